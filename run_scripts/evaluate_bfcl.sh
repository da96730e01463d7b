#!/usr/bin/env bash
# Evaluates a model on BFCL: rest-verl evaluate bfcl, on GPUs or without an accelerator.
#
#   MODEL=outputs/my_run/checkpoints/global_step_105 bash run_scripts/evaluate_bfcl.sh [options…]
#
# MODEL       Hugging Face folder, or a global_step_* folder of verl's
# OUTPUT      folder for the results (outputs/evaluation/<the model's name>); run again it goes on
# CATEGORIES  single_turn, multi_turn, all, or names of categories (all)
# MODE        tools, prompt or compact (tools)
# GPUS        copies of the model, one on each GPU (1)
# PYTHON      interpreter to use (.venv/bin/python where there is one, else python3)
# Further options go to the command: --limit 20, --samples 4, --max-model-len 32768, …
set -euo pipefail
cd "$(dirname "$0")/.."

: "${MODEL:?set MODEL to a Hugging Face folder or a global_step_* folder}"
step=$(basename "$MODEL")
case $step in
  global_step_*) name=$(basename "$(dirname "$(dirname "$MODEL")")")_$step ;;
  *) name=$step ;;
esac
output=${OUTPUT:-outputs/evaluation/$name}
python=${PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}

if ! command -v nvidia-smi >/dev/null; then
  source run_scripts/cpu_environment.sh
fi

# shellcheck disable=SC2086 # several words
exec "$python" -m rest_verl.cli evaluate bfcl \
  --model "$MODEL" \
  --output "$output" \
  --categories ${CATEGORIES:-all} \
  --mode "${MODE:-tools}" \
  --data-parallel-size "${GPUS:-1}" \
  "$@"
