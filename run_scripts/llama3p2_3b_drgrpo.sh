#!/usr/bin/env bash
# Dr. GRPO on Llama-3.2-3B-Instruct: the baseline to llama3p2_3b_rest.sh, with its model, data, reward and budget.
# verl's own options: advantages without the group's spread, sums over tokens divided by a constant.
#
#   bash run_scripts/llama3p2_3b_drgrpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in llama3p2_3b_rest.sh.
# Result    unknown here
set -euo pipefail

export METHOD=drgrpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-llama3p2_3b_drgrpo}
exec bash "$(dirname "$0")/llama3p2_3b_rest.sh" "$@"
