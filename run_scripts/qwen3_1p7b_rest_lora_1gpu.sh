#!/usr/bin/env bash
# ResT on Qwen3-1.7B with LoRA, on one GPU: the method on a small budget, not the paper's set-up.
#
#   bash run_scripts/qwen3_1p7b_rest_lora_1gpu.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_1p7b_rest_lora_1gpu.sh    # checks everything, needs no GPU
#
# Hardware  one GPU of 24 to 80 GB; with more memory raise GPU_MEMORY_UTILIZATION (0.6) and
#           MAX_TOKENS_PER_GPU (16384): faster, the same result
# Memory    about 12 GiB of a 24 GB GPU, 34 of an 80 GB one (vLLM's share): the estimate of
#           DRY_RUN=1 (REST_GPU=rtx4090 and others choose the GPU), not measured
# Hours     about 4 on an H100, 21 on an RTX 4090 for 112 steps if answers are half as long as
#           allowed: the same estimate
# Result    unknown: not measured here, not in the paper
#
# Chosen, not tuned: the learning rate is ten times the full-parameter one, as verl's LoRA guide
# advises, and a step is a quarter of the paper's, for the same number of updates a step (8).
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-1.7B}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-1}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-128}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-16}
LR=${LR:-1e-5}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-4} # about the paper's number of steps
LORA_RANK=${LORA_RANK:-32}
LORA_ALPHA=${LORA_ALPHA:-32}
MAX_TOKENS_PER_GPU=${MAX_TOKENS_PER_GPU:-4096}
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.4}
OFFLOAD=${OFFLOAD:-True}
EXTRA=(
  actor_rollout_ref.model.lora_rank="$LORA_RANK"
  actor_rollout_ref.model.lora_alpha="$LORA_ALPHA"
  actor_rollout_ref.model.target_modules=all-linear
  actor_rollout_ref.actor.fsdp_config.model_dtype=bf16 # of the frozen weights
  actor_rollout_ref.rollout.load_format=safetensors    # vLLM reads the frozen weights itself
  actor_rollout_ref.rollout.layered_summon=True        # and gets the adapter layer by layer
)

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
