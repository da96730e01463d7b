#!/usr/bin/env bash
# Dr. GRPO on Qwen3-8B: the baseline to qwen3_8b_rest.sh, with its model, data, reward and budget.
# verl's own options: advantages without the group's spread, sums over tokens divided by a constant.
#
#   bash run_scripts/qwen3_8b_drgrpo.sh [main_ppo overrides…]
#
# Hardware, memory and hours as in qwen3_8b_rest.sh.
# Result    the paper's best baseline has 38.12 % on BFCL v3 multi-turn and 68.15 % on
#           API-Bank (arXiv 2509.21826); which it is, the sources at hand do not say
set -euo pipefail

export METHOD=drgrpo EXPERIMENT_NAME=${EXPERIMENT_NAME:-qwen3_8b_drgrpo}
exec bash "$(dirname "$0")/qwen3_8b_rest.sh" "$@"
