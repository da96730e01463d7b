#!/usr/bin/env bash
# ResT on Qwen3-4B-2507, all parameters, with the paper's settings.
#
#   bash run_scripts/qwen3_4b_rest.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_4b_rest.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB
# Memory    about 55 GiB a GPU while it samples (38 of it for vLLM's cache), 20 in the update:
#           the estimate of DRY_RUN=1 for 80 GB H100s, not measured
# Hours     about 3.4 for 105 steps if answers are half as long as allowed: the same estimate
# Result    BFCL v3 multi-turn: 50.38 % overall, 62.50 % base (the best of the GRPO family:
#           48.62 %; GPT-4o: 50.00 %), as the paper reports (arXiv 2509.21826). Not repeated here.
#           Its "2507" does not say which of the two variants: this is Instruct
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-4B-Instruct-2507}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
EXTRA=()

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
