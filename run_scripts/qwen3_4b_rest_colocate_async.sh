#!/usr/bin/env bash
# ResT on Qwen3-4B-2507, sampling and training in turns on the same GPUs; a rollout that is not
# done when the batch is full goes on after the update, so that no step waits for its longest answer.
#
#   bash run_scripts/qwen3_4b_rest_colocate_async.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_4b_rest_colocate_async.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB
# Memory    as qwen3_4b_rest.sh
# Hours     unknown: not measured here; faster than qwen3_4b_rest.sh the more answers differ in length
# Result    unknown: the paper trains synchronously
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-4B-Instruct-2507}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
TRAINER_MODE=${TRAINER_MODE:-colocate_async}
NUM_WARMUP_BATCHES=${NUM_WARMUP_BATCHES:-1} # batches sent out before the first step
MAX_STALENESS=${MAX_STALENESS:-8}           # updates that an answer may span; older ones are dropped
EXTRA=(
  trainer.v1.colocate_async.num_warmup_batches="$NUM_WARMUP_BATCHES"
  trainer.v1.sampler.max_off_policy_threshold="$MAX_STALENESS"
)

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
