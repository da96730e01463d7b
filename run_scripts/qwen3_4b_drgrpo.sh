#!/usr/bin/env bash
# Dr. GRPO on Qwen3-4B-2507: the baseline to qwen3_4b_rest.sh, with its model, data, reward and budget.
# verl's own options: advantages without the group's spread, sums over tokens divided by a constant.
#
#   bash run_scripts/qwen3_4b_drgrpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_4b_rest.sh.
# Result    48.62 % is the best of the GRPO family on BFCL v3 multi-turn in the paper
#           (arXiv 2509.21826); which member that is, the sources at hand do not say
set -euo pipefail

export METHOD=drgrpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_4b_drgrpo}
exec bash "$(dirname "$0")/qwen3_4b_rest.sh" "$@"
