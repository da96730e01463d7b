#!/usr/bin/env bash
# ResT on Qwen3-4B-2507, with GPUs that only sample and GPUs that only train: neither waits.
#
#   bash run_scripts/qwen3_4b_rest_separate_async.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_4b_rest_separate_async.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB: 4 train, 4 sample. Move GPUs to the side that waits: rest/staleness and
#           timing_s/gen near 0 say that the trainer is the slow one
# Memory    about 26 GiB of a GPU that trains, 70 of one that samples: the estimate of DRY_RUN=1 for
#           80 GB H100s, not measured
# Hours     unknown: not measured here
# Result    unknown: the paper trains synchronously
#
# The weights go to the sampler after each step. verl wants batch = exchanges between steps times
# mini-batch; the paper's 512 = 8 * 64.
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-4B-Instruct-2507}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-4}          # that train
ROLLOUT_GPUS_PER_NODE=${ROLLOUT_GPUS_PER_NODE:-4} # that sample
ROLLOUT_NNODES=${ROLLOUT_NNODES:-1}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.85} # nothing else is on the sampler's GPUs
TRAINER_MODE=${TRAINER_MODE:-separate_async}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64}
NUM_WARMUP_BATCHES=${NUM_WARMUP_BATCHES:-1} # batches sent out before the first step
MAX_STALENESS=${MAX_STALENESS:-8}           # updates that an answer may span; older ones are dropped
EXTRA=(
  actor_rollout_ref.hybrid_engine=False # no second vLLM on the GPUs that train
  actor_rollout_ref.rollout.nnodes="$ROLLOUT_NNODES"
  actor_rollout_ref.rollout.n_gpus_per_node="$ROLLOUT_GPUS_PER_NODE"
  actor_rollout_ref.rollout.checkpoint_engine.backend="${CHECKPOINT_ENGINE:-nccl}"
  trainer.v1.separate_async.parameter_sync_step="$((TRAIN_BATCH_SIZE / PPO_MINI_BATCH_SIZE))"
  trainer.v1.separate_async.num_warmup_batches="$NUM_WARMUP_BATCHES"
  trainer.v1.sampler.max_off_policy_threshold="$MAX_STALENESS"
)

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
