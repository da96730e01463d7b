#!/usr/bin/env bash
# GRPO on Qwen3-8B: the baseline to qwen3_8b_rest.sh, with its model, data, reward and budget.
# The trainer and the loss are verl's own, with the paper's mean over an answer's tokens.
#
#   bash run_scripts/qwen3_8b_grpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_8b_rest.sh.
# Result    the paper's best baseline has 38.12 % on BFCL v3 multi-turn and 68.15 % on
#           API-Bank (arXiv 2509.21826); which it is, the sources at hand do not say
set -euo pipefail

export METHOD=grpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_8b_grpo}
exec bash "$(dirname "$0")/qwen3_8b_rest.sh" "$@"
