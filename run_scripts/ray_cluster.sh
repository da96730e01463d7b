#!/usr/bin/env bash
# A Ray cluster over several machines, for recipes with NNODES above 1. Only calls Ray's own command.
#
#   bash run_scripts/ray_cluster.sh head                  # on the first machine
#   bash run_scripts/ray_cluster.sh worker HEAD_ADDRESS   # on every other one
#   bash run_scripts/ray_cluster.sh status
#   NNODES=2 bash run_scripts/qwen3_14b_rest.sh           # on the first machine
#   bash run_scripts/ray_cluster.sh stop                  # on every machine; ends all of Ray there
#
# Further arguments go to `ray start` (--num-gpus 8, --node-ip-address, …). Every machine needs the
# same environment, the model, and the project at the same path or on a shared disk.
#
# PORT      of the head (6379)
# RAY       Ray's command (ray)
# DRY_RUN   1: print the command instead
set -euo pipefail

RAY=${RAY:-ray}
PORT=${PORT:-6379}

usage() {
  echo "ray_cluster.sh: head, worker HEAD_ADDRESS, status or stop" >&2
  exit 1
}

case ${1:-} in
  head)
    shift
    command=("$RAY" start --head --port "$PORT" "$@")
    ;;
  worker)
    [[ $# -ge 2 ]] || usage
    address=$2
    shift 2
    [[ $address == *:* ]] || address=$address:$PORT
    command=("$RAY" start --address "$address" "$@")
    ;;
  status | stop) command=("$RAY" "$1") ;;
  *) usage ;;
esac

if [[ ${DRY_RUN:-0} == 1 ]]; then
  echo "${command[*]}"
  exit
fi
command -v "$RAY" >/dev/null || {
  echo "ray_cluster.sh: no command $RAY here: activate the environment that has verl, or set RAY" >&2
  exit 1
}
exec "${command[@]}"
