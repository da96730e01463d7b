#!/usr/bin/env bash
# GRPO on Qwen3-14B: the baseline to qwen3_14b_rest.sh, with its model, data, reward and budget.
# The trainer and the loss are verl's own, with the paper's mean over an answer's tokens.
#
#   bash run_scripts/qwen3_14b_grpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_14b_rest.sh.
# Result    BFCL v3 multi-turn: 38.88 % (arXiv 2509.21826). Not repeated here
set -euo pipefail

export METHOD=grpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_14b_grpo}
exec bash "$(dirname "$0")/qwen3_14b_rest.sh" "$@"
