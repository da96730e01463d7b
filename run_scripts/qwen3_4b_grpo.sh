#!/usr/bin/env bash
# GRPO on Qwen3-4B-2507: the baseline to qwen3_4b_rest.sh, with its model, data, reward and budget.
# The trainer and the loss are verl's own, with the paper's mean over an answer's tokens.
#
#   bash run_scripts/qwen3_4b_grpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_4b_rest.sh.
# Result    48.62 % is the best of the GRPO family on BFCL v3 multi-turn in the paper
#           (arXiv 2509.21826); which member that is, the sources at hand do not say
set -euo pipefail

export METHOD=grpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_4b_grpo}
exec bash "$(dirname "$0")/qwen3_4b_rest.sh" "$@"
