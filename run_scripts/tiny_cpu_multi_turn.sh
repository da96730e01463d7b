#!/usr/bin/env bash
# Multi-turn ResT on a machine without an accelerator: a 2 M-parameter model talks with a tool
# environment through verl's own main_ppo and vLLM, for a few steps.
#
#   bash run_scripts/tiny_cpu_multi_turn.sh [main_ppo overrides…]
#
# TINY_TASKS   bfcl: BFCL's multi-turn tasks with few tools; shop: the example of one's own tools,
#              recipes/own_tools (bfcl)
# TINY_SYNTAX  toolrl: prompts ask for ToolRL's format; qwen3_coder: the model writes calls as its
#              chat template does, which is one of Qwen3-Coder's kind (toolrl)
# TINY_STEPS   training steps (6)
# TINY_PRESET  token weights, as in tiny_cpu_rest.sh (paper)
# TINY_SEED    seed of sampling and of the data's order (0)
# TINY_OUTPUT  folder for the results (outputs/tiny_cpu_multi_turn_<tasks>)
# TINY_SAVE    steps between checkpoints (10)
# TINY_WARM_STEPS  batches of the supervised warm start (bfcl 100, shop 90)
# DRY_RUN=1    says if the run can work, with an estimate, and trains nothing; --yaml: the configuration
#
# Writes metrics.jsonl, summary.json, conversation.txt, rollouts/, validation/ and train.log there.
# Run again with the same settings it goes on from the last checkpoint, and reuses what is complete.
set -euo pipefail
cd "$(dirname "$0")/.."

tasks=${TINY_TASKS:-bfcl}
steps=${TINY_STEPS:-6}
preset=${TINY_PRESET:-paper}
seed=${TINY_SEED:-0}
save=${TINY_SAVE:-10}
output=${TINY_OUTPUT:-outputs/tiny_cpu_multi_turn_$tasks}
[[ $output = /* ]] || output=$PWD/$output
syntax=${TINY_SYNTAX:-toolrl}
start=$PWD/outputs/tiny_cpu_multi_turn_${tasks}_start
[[ $syntax == toolrl ]] || start=${start%_start}_${syntax}_start

case $tasks in
  bfcl) prompt_length=700 response_length=836 batch=8 n=4 micro=4 default_warm=100 ;;
  shop) prompt_length=100 response_length=300 batch=16 n=8 micro=16 default_warm=90 ;;
  *) echo "TINY_TASKS=$tasks is unknown: choose bfcl or shop" >&2; exit 1 ;;
esac
warm=${TINY_WARM_STEPS:-$default_warm}
[[ $warm == "$default_warm" ]] || start=${start%_start}_warm${warm}_start

bash run_scripts/setup_cpu.sh
source run_scripts/cpu_environment.sh
python=$PWD/.venv/bin/python

# What registers an environment of one's own has to be loaded in all of verl's processes.
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [[ $tasks == shop ]]; then
  export VERL_USE_EXTERNAL_MODULES=${VERL_USE_EXTERNAL_MODULES:+$VERL_USE_EXTERNAL_MODULES,}recipes.own_tools.shop
fi

configuration=(--config-path "$PWD/recipes/tiny_cpu" --config-name tiny_cpu)
groups=("+rest=$preset" +tool_env=bfcl)
code=(recipes/tiny_cpu/{*.py,*.yaml} recipes/{tiny_multi_turn,own_tools}/*.py)
settings="tasks=$tasks syntax=$syntax warm=$warm"
make_start() {
  "$python" -m recipes.tiny_multi_turn.prepare --tasks "$tasks" --syntax "$syntax" \
    --warm-steps "$warm" --output-dir "$start"
}

source run_scripts/resumable_run.sh
shown="reward=reward/total/mean turns_right=reward/turns_right/mean calls=reward/calls/mean"
options=(
  "data.train_batch_size=$batch"
  "data.max_prompt_length=$prompt_length"
  "data.max_response_length=$response_length"
  "actor_rollout_ref.actor.ppo_mini_batch_size=$batch"
  "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=$micro"
  actor_rollout_ref.actor.optim.lr=5e-5
  "actor_rollout_ref.rollout.n=$n"
  "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=$micro"
  "actor_rollout_ref.rollout.prompt_length=$prompt_length"
  "actor_rollout_ref.rollout.response_length=$response_length"
  "actor_rollout_ref.rollout.max_model_len=$((prompt_length + response_length))"
  actor_rollout_ref.rollout.custom.rest_tool_env.max_observation_tokens=96
  actor_rollout_ref.rollout.custom.rest_tool_env.max_steps_per_turn=6
  "trainer.rollout_data_dir=$output/rollouts"
)
last=summary.json
summarize() {
  "$python" -m recipes.tiny_multi_turn.summarize "$output" --seconds "$SECONDS"
}
resumable_run "$@"
