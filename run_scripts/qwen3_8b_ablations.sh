#!/usr/bin/env bash
# The paper's ablations on Qwen3-8B, one or all, one after the other. Each is qwen3_8b_rest.sh with
# one thing changed; model, data and budget stay.
#
#   bash run_scripts/qwen3_8b_ablations.sh no_curriculum [main_ppo overrides…]
#   bash run_scripts/qwen3_8b_ablations.sh all
#
# Results on API-Bank as the paper reports them (arXiv 2509.21826; ResT itself: 70.69 %):
#   no_dynamic_reward    the reward's scale does not follow training         64.15 %
#   no_think_gradient    no gradient from the text between the think tags    66.33 %
#   no_curriculum        weights from entropies, the same at every step      65.83 %
#   official_constants   the released code's constants, without entropies    not reported
#   per_token            each token by its own entropy, no regions           not reported
# Not repeated here. Hardware, memory and hours (of each) as in qwen3_8b_rest.sh.
set -euo pipefail

names=(no_dynamic_reward no_think_gradient no_curriculum official_constants per_token)
chosen=${1:-}
shift || true

run() {
  local name=$1 preset=paper reward=toolrl_scheduled
  shift
  case $name in
    no_dynamic_reward) reward=toolrl ;;
    no_think_gradient) preset=no_think ;;
    no_curriculum) preset=static ;;
    official_constants) preset=official ;;
    per_token) preset=token ;;
    *)
      echo "qwen3_8b_ablations.sh: name an ablation: ${names[*]} or all" >&2
      exit 1
      ;;
  esac
  if [[ ${DRY_RUN:-0} == 1 ]]; then echo "== $name"; fi
  METHOD=rest REST_PRESET=$preset REWARD_PRESET=$reward EXPERIMENT_NAME=qwen3_8b_$name \
    OUTPUT=${OUTPUT:+$OUTPUT/$name} bash "$(dirname "$0")/qwen3_8b_rest.sh" "$@"
}

if [[ $chosen == all ]]; then
  for name in "${names[@]}"; do run "$name" "$@"; done
else
  run "$chosen" "$@"
fi
