# shellcheck shell=bash
# Sourced by the GPU recipes (qwen3_*.sh, llama3p2_*.sh), which set what is their own and call
# `train "$@"`. Here: every setting with the paper's value, the data, and verl's command.
#
# Any variable below can be set from outside: LR=5e-7 NNODES=2 bash run_scripts/qwen3_4b_rest.sh
# Further arguments go to verl's main_ppo, last, so that they win.
#
# DRY_RUN=1     says if the command can work, and estimates memory and time; needs neither GPU nor
#               model, starts and writes nothing. With --yaml [FILE.yaml]: the configuration as well
# PYTHON        interpreter of the environment that has verl and rest_verl (python3)
# MODEL_PATH    folder, or name on the Hugging Face hub of a model that is in the local cache
# RLLA_JSON     ToolRL's rows, the paper's data: dataset/rlla_4k_raw/rlla_rl.json of the repository
#               qiancheng0/ToolRL on GitHub; without them: see `choose_data`
# TRAIN_FILE, VAL_FILE   parquet files of your own
# OUTPUT        folder for checkpoints, validation answers and metrics (outputs/<experiment>)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python3}

fail() {
  echo "$(basename "$0"): $1" >&2
  exit 1
}

###################### settings: the paper's (arXiv 2509.21826) unless said ######################
: "${MODEL_PATH:?the recipe sets it}"
METHOD=${METHOD:-rest}                           # rest, or verl's own: grpo, drgrpo
REST_PRESET=${REST_PRESET:-paper}                # +rest=<preset>, where METHOD=rest
TRAINER_MODE=${TRAINER_MODE:-sync}               # sync, colocate_async, separate_async
REWARD_PRESET=${REWARD_PRESET:-toolrl_scheduled} # toolrl: the scale stays as it is
DATA_SET=${DATA_SET:-}                           # rlla, bfcl, bfcl_multi_turn; empty: choose_data

TRAIN_BATCH_SIZE=${TRAIN_BATCH_SIZE:-512} # prompts a step
PPO_MINI_BATCH_SIZE=${PPO_MINI_BATCH_SIZE:-64}
ROLLOUT_N=${ROLLOUT_N:-4} # answers a prompt
MAX_PROMPT_LENGTH=${MAX_PROMPT_LENGTH:-2048}
MAX_RESPONSE_LENGTH=${MAX_RESPONSE_LENGTH:-2048}
LR=${LR:-1e-6}
TOTAL_EPOCHS=${TOTAL_EPOCHS:-15} # 105 steps, of 3,920 rows
NGPUS_PER_NODE=${NGPUS_PER_NODE:-8}

# Not in the paper: machine, speed and bookkeeping. None of it changes what is computed.
NNODES=${NNODES:-1}
ROLLOUT_TP=${ROLLOUT_TP:-1}                     # GPUs that share a copy of the model in vLLM
GPU_MEMORY_UTILIZATION=${GPU_MEMORY_UTILIZATION:-0.6} # vLLM's share of a GPU, while it samples
MAX_TOKENS_PER_GPU=${MAX_TOKENS_PER_GPU:-16384} # of a micro-batch; at least prompt + response
SP_SIZE=${SP_SIZE:-1}                           # GPUs that share a sequence
OFFLOAD=${OFFLOAD:-False}                       # parameters and optimizer to CPU memory when idle
SAVE_FREQ=${SAVE_FREQ:-21}
TEST_FREQ=${TEST_FREQ:-7}
LOGGER=${LOGGER:-'["console","file"]'} # add "wandb", "tensorboard", …
PROJECT_NAME=${PROJECT_NAME:-rest_verl}
EXPERIMENT_NAME=${EXPERIMENT_NAME:-$(basename "$0" .sh)}
OUTPUT=$(realpath -m "${OUTPUT:-$root/outputs/$EXPERIMENT_NAME}")
DATA_DIR=${DATA_DIR:-$root/data}

########################################### data and model #######################################
# The paper trains on ToolRL's rows, which are not part of this project. Without RLLA_JSON (or a
# data/rlla of an earlier run) BFCL's single-turn tasks take their place: they come with a package,
# but a model trained on them can no longer be compared on BFCL's single-turn part.
choose_data() {
  if [[ -n ${TRAIN_FILE:-} || -n ${VAL_FILE:-} ]]; then
    [[ -n ${TRAIN_FILE:-} && -n ${VAL_FILE:-} ]] || fail "set both TRAIN_FILE and VAL_FILE, or none"
    [[ -f $TRAIN_FILE && -f $VAL_FILE ]] || fail "no such files: TRAIN_FILE=$TRAIN_FILE VAL_FILE=$VAL_FILE"
    return
  fi
  [[ -z ${RLLA_JSON:-} || -f $RLLA_JSON ]] || fail_without_rlla
  if [[ -z $DATA_SET ]]; then
    DATA_SET=bfcl
    if [[ -n ${RLLA_JSON:-} || -f $DATA_DIR/rlla/train.parquet ]]; then
      DATA_SET=rlla
    else
      is_fallback=1
    fi
  fi
  TRAIN_FILE=$DATA_DIR/$DATA_SET/train.parquet
  VAL_FILE=$DATA_DIR/$DATA_SET/validation.parquet
  case $DATA_SET in
    bfcl | bfcl_multi_turn) ;;
    rlla) [[ -n ${RLLA_JSON:-} || -f $TRAIN_FILE ]] || fail_without_rlla ;;
    *) fail "DATA_SET=$DATA_SET is unknown: rlla, bfcl or bfcl_multi_turn" ;;
  esac
}

fail_without_rlla() {
  fail "no ToolRL rows at RLLA_JSON=${RLLA_JSON:-}: \
dataset/rlla_4k_raw/rlla_rl.json of https://github.com/qiancheng0/ToolRL"
}

say_fallback() {
  [[ -n ${is_fallback:-} ]] || return 0
  cat >&2 <<'EOF'
WARNING: THIS IS NOT THE PAPER'S DATA. RLLA_JSON is not set, so BFCL's single-turn tasks take the
place of ToolRL's rows. Results are not comparable with the paper's, nor on BFCL's single-turn part.
Set RLLA_JSON to ToolRL's rlla_rl.json for the paper's data, or DATA_SET=bfcl if BFCL is meant.
EOF
}

prepare_data() {
  [[ -f $TRAIN_FILE && -f $VAL_FILE ]] && return
  local folder
  folder=$(dirname "$TRAIN_FILE")
  case $DATA_SET in
    rlla)
      "$PYTHON" "$root/data_prep/rlla_to_parquet.py" --input "$RLLA_JSON" --output-dir "$folder" \
        --val-fraction 0.02 # as much as ToolRL holds out
      ;;
    bfcl)
      "$PYTHON" "$root/data_prep/bfcl_to_parquet.py" --output-dir "$folder"
      ;;
    bfcl_multi_turn)
      "$PYTHON" "$root/data_prep/bfcl_to_parquet.py" --categories multi_turn \
        --prompt-style chat_template --output-dir "$folder"
      ;;
  esac
}

check_model_path() {
  if [[ $MODEL_PATH == [./~]* && ! -d $MODEL_PATH ]]; then
    fail "MODEL_PATH=$MODEL_PATH is not a folder"
  fi
}

# Nothing is downloaded here: a model of several GB should not come as a surprise.
require_model() {
  [[ -d $MODEL_PATH ]] && return
  local find_cached='import sys, huggingface_hub as hub
hub.snapshot_download(sys.argv[1], local_files_only=True)'
  "$PYTHON" -c "$find_cached" "$MODEL_PATH" >/dev/null 2>&1 ||
    fail "the model $MODEL_PATH is not on this machine. Get it (on every node) with: \
hf download $MODEL_PATH; or set MODEL_PATH to its folder"
}

############################################ verl's command ######################################
train() {
  check_model_path
  choose_data
  if [[ -d $MODEL_PATH ]]; then MODEL_PATH=$(realpath "$MODEL_PATH"); fi

  local DATA=(
    data.train_files="$TRAIN_FILE"
    data.val_files="$VAL_FILE"
    data.train_batch_size="$TRAIN_BATCH_SIZE"
    data.max_prompt_length="$MAX_PROMPT_LENGTH"
    data.max_response_length="$MAX_RESPONSE_LENGTH"
    data.filter_overlong_prompts=True
    data.truncation=error
  )
  local MODEL=(
    actor_rollout_ref.model.path="$MODEL_PATH"
    actor_rollout_ref.model.use_remove_padding=True
    actor_rollout_ref.model.enable_gradient_checkpointing=True
  )
  local ACTOR=(
    actor_rollout_ref.actor.strategy=fsdp2
    actor_rollout_ref.actor.optim.lr="$LR"
    actor_rollout_ref.actor.ppo_mini_batch_size="$PPO_MINI_BATCH_SIZE"
    actor_rollout_ref.actor.use_dynamic_bsz=True
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu="$MAX_TOKENS_PER_GPU"
    actor_rollout_ref.actor.ulysses_sequence_parallel_size="$SP_SIZE"
    actor_rollout_ref.actor.entropy_from_logits_with_chunking=True
    actor_rollout_ref.actor.use_kl_loss=False
    actor_rollout_ref.actor.entropy_coeff=0
    actor_rollout_ref.actor.fsdp_config.param_offload="$OFFLOAD"
    actor_rollout_ref.actor.fsdp_config.optimizer_offload="$OFFLOAD"
  )
  local ROLLOUT=(
    actor_rollout_ref.rollout.name=vllm
    actor_rollout_ref.rollout.n="$ROLLOUT_N"
    actor_rollout_ref.rollout.temperature=1.0
    actor_rollout_ref.rollout.tensor_model_parallel_size="$ROLLOUT_TP"
    actor_rollout_ref.rollout.gpu_memory_utilization="$GPU_MEMORY_UTILIZATION"
  )
  local REWARD=(
    reward.reward_manager.name=rest
    +reward.custom_reward_function.reward_kwargs.preset="$REWARD_PRESET"
  )
  local ALGO=(
    algorithm.adv_estimator=grpo
    algorithm.use_kl_in_reward=False
  )
  case $METHOD in
    rest) # brings the trainer and the objective's mean as well
      ALGO+=(+rest="$REST_PRESET" trainer.v1.trainer_mode="rest_$TRAINER_MODE")
      ;;
    grpo) # verl's own, with the mean of the paper's objective
      ALGO+=(
        actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean
        trainer.v1.trainer_mode="$TRAINER_MODE"
      )
      ;;
    drgrpo) # verl's own: no division by the group's spread, none by the answer's length
      ALGO+=(
        algorithm.norm_adv_by_std_in_grpo=False
        actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-sum-norm
        actor_rollout_ref.actor.loss_scale_factor="$MAX_RESPONSE_LENGTH" # else the micro-batch's width
        trainer.v1.trainer_mode="$TRAINER_MODE"
      )
      ;;
    *) fail "METHOD=$METHOD is unknown: rest, grpo or drgrpo" ;;
  esac
  local TRAINER=(
    trainer.project_name="$PROJECT_NAME"
    trainer.experiment_name="$EXPERIMENT_NAME"
    trainer.logger="$LOGGER"
    trainer.nnodes="$NNODES"
    trainer.n_gpus_per_node="$NGPUS_PER_NODE"
    trainer.total_epochs="$TOTAL_EPOCHS"
    trainer.save_freq="$SAVE_FREQ"
    trainer.test_freq="$TEST_FREQ"
    trainer.max_actor_ckpt_to_keep=2
    trainer.default_local_dir="$OUTPUT/checkpoints"
    trainer.validation_data_dir="$OUTPUT/validation"
    # Through Ray, since a cluster that runs already does not see this shell's environment.
    +ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH="$OUTPUT/verl_metrics.jsonl"
  )
  local arguments=(
    "${DATA[@]}" "${MODEL[@]}" "${ACTOR[@]}" "${ROLLOUT[@]}" "${REWARD[@]}" "${ALGO[@]}"
    "${TRAINER[@]}" "${EXTRA[@]}" "$@"
  )

  if [[ ${DRY_RUN:-0} == 1 ]]; then
    say_fallback
    exec "$PYTHON" -m rest_verl.integration.dry_run "${arguments[@]}"
  fi
  require_model
  say_fallback
  prepare_data
  mkdir -p "$OUTPUT"
  # Several nodes: the cluster that ray_cluster.sh or slurm_rest.sbatch started, never a new one.
  if ((NNODES > 1)); then export RAY_ADDRESS=${RAY_ADDRESS:-auto}; fi
  exec "$PYTHON" -m verl.trainer.main_ppo "${arguments[@]}"
}
