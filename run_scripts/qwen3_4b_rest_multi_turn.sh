#!/usr/bin/env bash
# ResT on Qwen3-4B-2507 in conversations: the policy talks with BFCL's multi-turn environments.
#
#   bash run_scripts/qwen3_4b_rest_multi_turn.sh [main_ppo overrides…]
#   DRY_RUN=1 bash run_scripts/qwen3_4b_rest_multi_turn.sh    # checks everything, needs no GPU
#   bash run_scripts/qwen3_4b_rest_multi_turn.sh algorithm.adv_estimator=rest_turn  # credit by turns
#
# Hardware  8 GPUs of 80 GB
# Memory    about 56 GiB a GPU while it samples, 22 in the update: the estimate of DRY_RUN=1 for
#           80 GB H100s, not measured
# Hours     about 9 for 110 steps if conversations are half as long as allowed: the same estimate,
#           which leaves out the waiting between calls
# Result    unknown: the paper trains on single steps of conversations, never in an environment.
#           A tenth of BFCL's tasks is held out; a score on the others shows what was trained on
#
# Chosen, not tuned: lengths (the longest list of tools has 32,408 characters) and batch sizes.
set -euo pipefail

MODEL_PATH=${MODEL_PATH:-Qwen/Qwen3-4B-Instruct-2507}
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}
DATA_SET=${DATA_SET:-bfcl_multi_turn}
TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-64}
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-16}
ROLLOUT_N=${ROLLOUT_N:-8} # rewards of a group often agree: more answers, more groups that teach
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-10240}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-8192} # everything after the prompt, tools' outputs too
MAX_TOKENS_PER_GPU=${MAX_TOKENS_PER_GPU:-20480}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-10} # 11 steps each
MAX_STEPS_PER_TURN=${MAX_STEPS_PER_TURN:-10}
EXTRA=(
  +tool_env=bfcl
  actor_rollout_ref.rollout.custom.rest_tool_env.max_steps_per_turn="$MAX_STEPS_PER_TURN"
  actor_rollout_ref.rollout.custom.rest_tool_env.reward="${ENV_REWARD:-dense}"
)

source "$(dirname "$0")/gpu_train.sh" # every other setting, and the paper's values
train "$@"
