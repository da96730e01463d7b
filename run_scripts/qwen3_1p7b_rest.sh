#!/usr/bin/env bash
# ResT on Qwen3-1.7B, all parameters, with the paper's settings.
#
#   bash run_scripts/qwen3_1p7b_rest.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_1p7b_rest.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB; NGPUS_PER_NODE=1 does it too, in about eight times the time
# Memory    about 52 GiB a GPU while it samples (as much as vLLM is given), 14 in the update:
#           the estimate of DRY_RUN=1 for 80 GB H100s, not measured
# Hours     about 1.9 for 105 steps if answers are half as long as allowed: the same estimate
# Result    not in the paper; no figure to compare with
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-1.7B}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
EXTRA=()

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
