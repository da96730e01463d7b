#!/usr/bin/env bash
# GRPO on Llama-3.2-3B-Instruct: the baseline to llama3p2_3b_rest.sh, with its model, data, reward and budget.
# The trainer and the loss are verl's own, with the paper's mean over an answer's tokens.
#
#   bash run_scripts/llama3p2_3b_grpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in llama3p2_3b_rest.sh.
# Result    unknown here
set -euo pipefail

export METHOD=grpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-llama3p2_3b_grpo}
exec bash "$(dirname "$0")/llama3p2_3b_rest.sh" "$@"
