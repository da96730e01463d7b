#!/usr/bin/env bash
# ResT on a machine without an accelerator: a 2 M-parameter model learns tool calls on BFCL tasks
# through verl's own main_ppo and vLLM.
#
#   bash run_scripts/tiny_cpu_rest.sh [main_ppo overrides…]
#
# TINY_STEPS   training steps (36)
# TINY_PRESET  token weights: paper, official, static, no_think, uniform (plain GRPO), token (paper)
# TINY_SEED    seed of sampling and of the data's order (0)
# TINY_OUTPUT  folder for the results (outputs/tiny_cpu_rest)
#
# Writes metrics.jsonl, summary.json, samples.json, report.html, report.png and train.log there.
# Run again with the same settings it reuses what is complete.
set -euo pipefail
started=$SECONDS
cd "$(dirname "$0")/.."

steps=${TINY_STEPS:-36}
preset=${TINY_PRESET:-paper}
seed=${TINY_SEED:-0}
output=${TINY_OUTPUT:-outputs/tiny_cpu_rest}
[[ $output = /* ]] || output=$PWD/$output
start=$PWD/outputs/tiny_cpu_start

bash run_scripts/setup_cpu.sh
source run_scripts/cpu_environment.sh
python=$PWD/.venv/bin/python

mkdir -p "$output"
settings="steps=$steps preset=$preset seed=$seed code=$(cat recipes/tiny_cpu/*.{py,yaml} | sha256sum | cut -c1-12) $*"
if [[ -f $output/summary.json && -f $output/settings.txt && $(<"$output/settings.txt") == "$settings" ]]; then
  echo "already complete: $output (delete it to train again)"
  cat "$output/summary.json"
  exit 0
fi

source run_scripts/tiny_cpu_train.sh
echo "== 1/3 data, tokenizer and starting model"
"$python" -m recipes.tiny_cpu.prepare --output-dir "$start"

echo "== 2/3 ResT, $steps steps, preset $preset (log: $output/train.log)"
rm -rf "$output"/{summary.json,settings.txt,metrics.jsonl,samples.json,report.*,validation,verl_metrics.jsonl}
shown="reward=reward/total/mean format=reward/format_ok/mean names=reward/name_match/mean"
train "$output" "$steps" "$shown" "$PWD/recipes/tiny_cpu" tiny_cpu \
  "+rest=$preset" \
  "data.train_files=$start/data/train.parquet" \
  "data.val_files=$start/data/held_out.parquet" \
  "data.seed=$seed" \
  "actor_rollout_ref.model.path=$start/model" \
  "actor_rollout_ref.rollout.seed=$seed" \
  "$@"

echo "== 3/3 summary and report"
"$python" -m recipes.tiny_cpu.summarize "$output" --data "$start/data/held_out.parquet" \
  --preset "$preset" --seed "$seed" --seconds $((SECONDS - started))
echo "$settings" >"$output/settings.txt"
