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
# TINY_WARM_STEPS  batches of the supervised warm start (480); fewer: sooner, from a weaker model
#
# Writes metrics.jsonl, summary.json, samples.json, report.html, report.png and train.log there.
# Run again with the same settings it goes on from the last checkpoint, and reuses what is complete.
set -euo pipefail
started=$SECONDS
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

case $mode in
  sync) mode_options=() ;;
  colocate_async | separate_async) mode_options=("+trainer_mode=$mode") ;;
  *) echo "TINY_TRAINER=$mode is unknown: choose sync, colocate_async or separate_async" >&2; exit 1 ;;
esac

bash run_scripts/setup_cpu.sh
source run_scripts/cpu_environment.sh
python=$PWD/.venv/bin/python

mkdir -p "$output"
settings="warm=$warm steps=$steps preset=$preset trainer=$mode seed=$seed code=$(cat recipes/tiny_cpu/{*.py,*.yaml,trainer_mode/*.yaml} | sha256sum | cut -c1-12) $*"
if [[ -f $output/settings.txt && $(<"$output/settings.txt") == "$settings" ]]; then
  if [[ -f $output/summary.json && -f $output/report.png ]]; then
    echo "already complete: $output (delete it to train again)"
    cat "$output/summary.json"
    exit 0
  fi
else
  rm -rf "$output"/{summary.json,metrics.jsonl,samples.json,report.*,validation,verl_metrics*.jsonl,checkpoints,train.log}
  echo "$settings" >"$output/settings.txt"
fi

source run_scripts/follow_main_ppo.sh
echo "== 1/3 data, tokenizer and starting model"
"$python" -m recipes.tiny_cpu.prepare --output-dir "$start" --warm-steps "$warm"

echo "== 2/3 ResT, $steps steps, preset $preset, trainer $mode (log: $output/train.log)"
resume=()
if [[ -f $output/checkpoints/latest_checkpointed_iteration.txt ]]; then
  saved=$(<"$output/checkpoints/latest_checkpointed_iteration.txt")
  echo "going on after step $saved"
  # Validated before its first step; what may be missing is the validation after the last one.
  ((saved == steps)) || resume=(trainer.val_before_train=false)
fi
# verl begins its log anew at each start; the summary joins them.
if [[ -f $output/verl_metrics.jsonl ]]; then
  (cat "$output/verl_metrics.jsonl"; echo) >>"$output/verl_metrics_earlier.jsonl" # its last line may be cut
fi
shown="reward=reward/total/mean format=reward/format_ok/mean names=reward/name_match/mean"
train "$output" "$steps" "$shown" "$PWD/recipes/tiny_cpu" tiny_cpu \
  "+rest=$preset" "${mode_options[@]}" \
  "data.train_files=$start/data/train.parquet" \
  "data.val_files=$start/data/held_out.parquet" \
  "data.seed=$seed" \
  "actor_rollout_ref.model.path=$start/model" \
  "actor_rollout_ref.rollout.seed=$seed" \
  "trainer.save_freq=$save" \
  trainer.max_actor_ckpt_to_keep=2 \
  trainer.resume_mode=auto \
  "${resume[@]}" \
  "$@"

echo "== 3/3 summary and report"
"$python" -m recipes.tiny_cpu.summarize "$output" --data "$start/data/held_out.parquet" \
  --preset "$preset" --seed "$seed" --seconds $((SECONDS - started))
