#!/usr/bin/env bash
# ResT on Qwen3-8B, all parameters, with the paper's settings.
#
#   bash run_scripts/qwen3_8b_rest.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_8b_rest.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB
# Memory    about 61 GiB a GPU while it samples, 34 when weights are exchanged, 27 in the update:
#           the estimate of DRY_RUN=1 for 80 GB H100s, not measured
# Hours     about 5.3 for 105 steps if answers are half as long as allowed: the same estimate
# Result    BFCL v3 multi-turn: 40.13 % overall, 50.50 % base (best baseline 38.12 %).
#           API-Bank: 70.69 %, level 3 60.31 % (best baseline 68.15 %). As the paper reports
#           (arXiv 2509.21826). Not repeated here
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-8B}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
MAX_TOKENS_PER_GPU=${MAX_TOKENS_PER_GPU:-8192}
EXTRA=()

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
