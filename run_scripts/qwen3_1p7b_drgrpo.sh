#!/usr/bin/env bash
# Dr. GRPO on Qwen3-1.7B: the baseline to qwen3_1p7b_rest.sh, with its model, data, reward and budget.
# verl's own options: advantages without the group's spread, sums over tokens divided by a constant.
#
#   bash run_scripts/qwen3_1p7b_drgrpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_1p7b_rest.sh.
# Result    unknown here
set -euo pipefail

export METHOD=drgrpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_1p7b_drgrpo}
exec bash "$(dirname "$0")/qwen3_1p7b_rest.sh" "$@"
