#!/usr/bin/env bash
# ResT on Qwen3-14B, all parameters, with the paper's settings.
#
#   bash run_scripts/qwen3_14b_rest.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_14b_rest.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB
# Memory    about 50 GiB a GPU while it samples, 43 in the update, and 165 GiB of CPU memory
#           in all; with OFFLOAD=False 70 GiB a GPU:
#           the estimate of DRY_RUN=1 for 80 GB H100s, not measured
# Hours     about 8.4 for 105 steps if answers are half as long as allowed: the same estimate
# Result    BFCL v3 multi-turn: 44.25 % (GRPO 38.88 %), as the paper reports
#           (arXiv 2509.21826). Not repeated here
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-14B}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
ROLLOUT_TP=${ROLLOUT_TP:-2}
MAX_TOKENS_PER_GPU=${MAX_TOKENS_PER_GPU:-8192}
OFFLOAD=${OFFLOAD:-True} # False is faster, and tight
EXTRA=()

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
