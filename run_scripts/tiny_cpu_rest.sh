#!/usr/bin/env bash
# ResT on a machine without an accelerator: a 2 M-parameter model learns tool calls on BFCL tasks
# through verl's own main_ppo and vLLM.
#
#   bash run_scripts/tiny_cpu_rest.sh [main_ppo overrides…]
#
# TINY_STEPS   training steps (36)
# TINY_PRESET  token weights: paper, calibrated, uniform (plain GRPO) or any other preset (paper)
# TINY_TRAINER sync, or one of verl's asynchronous modes: colocate_async, separate_async (sync)
# TINY_SEED    seed of sampling and of the data's order (0)
# TINY_OUTPUT  folder for the results (outputs/tiny_cpu_rest)
# TINY_SAVE    steps between checkpoints (6)
# TINY_WARM_STEPS  batches of the supervised warm start (480); fewer: sooner, from a weaker model, whose
#              folder is one of its own
# DRY_RUN=1    says if the run can work, with an estimate, and trains nothing; --yaml: the configuration
#
# Writes metrics.jsonl, summary.json, samples.json, report.html, report.png and train.log there.
# Run again with the same settings it goes on from the last checkpoint, and reuses what is complete.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${TINY_STEPS:-36}
preset=${TINY_PRESET:-paper}
mode=${TINY_TRAINER:-sync}
seed=${TINY_SEED:-0}
output=${TINY_OUTPUT:-outputs/tiny_cpu_rest}
save=${TINY_SAVE:-6}
warm=${TINY_WARM_STEPS:-480}
[[ $output = /* ]] || output=$PWD/$output
start=$PWD/outputs/tiny_cpu_start
[[ $warm == 480 ]] || start=${start%_start}_warm${warm}_start

case $mode in
  sync) mode_options=() ;;
  colocate_async | separate_async) mode_options=("+trainer_mode=$mode") ;;
  *) echo "TINY_TRAINER=$mode is unknown: choose sync, colocate_async or separate_async" >&2; exit 1 ;;
esac

bash run_scripts/setup_cpu.sh
source run_scripts/cpu_environment.sh
python=$PWD/.venv/bin/python

configuration=(--config-path "$PWD/recipes/tiny_cpu" --config-name tiny_cpu)
groups=("+rest=$preset" "${mode_options[@]}")
code=(recipes/tiny_cpu/{*.py,*.yaml,trainer_mode/*.yaml})
settings="warm=$warm trainer=$mode"
make_start() {
  "$python" -m recipes.tiny_cpu.prepare --output-dir "$start" --warm-steps "$warm"
}

source run_scripts/resumable_run.sh
resumable_run "$@"
