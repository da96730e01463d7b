#!/usr/bin/env bash
# ResT on Llama-3.2-3B-Instruct, all parameters, with the paper's settings.
#
#   bash run_scripts/llama3p2_3b_rest.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/llama3p2_3b_rest.sh    # checks everything, needs no GPU
#
# Hardware  8 GPUs of 80 GB
# Memory    about 54 GiB a GPU while it samples, 18 in the update:
#           the estimate of DRY_RUN=1 for 80 GB H100s, not measured
# Hours     about 2.7 for 105 steps if answers are half as long as allowed: the same estimate
# Result    unknown here: the sources at hand give no figure for it. The model is behind Meta's
#           licence on the hub: accept it there, then hf auth login and hf download
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-meta-llama/Llama-3.2-3B-Instruct}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
EXTRA=()

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
