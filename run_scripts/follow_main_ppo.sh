# Sourced by the scripts of the small recipes, in the project's root and after set-up: `train` runs
# verl's main_ppo, follows its log, and ends all that it started however the script ends.

# verl hands weights to its samplers over a socket in /tmp that is named by Ray's job, which is the first
# of its cluster here: of two runs at once, each would take the other's weights or wait for ever.
run_lock=/tmp/rest_verl_run.$UID.lock
# Everything that a run starts is found again by this folder's name, and by nothing else.
ray_dir=$(mktemp -d /tmp/rest_ray.XXXXXX)
trainer= follower=
clean_up() {
  trap - EXIT INT TERM HUP
  set +e # what has gone already is no error
  [[ -n $follower ]] && kill -TERM "$follower" 2>/dev/null
  [[ -n $trainer ]] && kill -TERM -- "-$trainer" 2>/dev/null
  pkill -TERM -f "$ray_dir" 2>/dev/null
  for _ in {1..20}; do
    pgrep -f "$ray_dir" >/dev/null || { [[ -n $trainer ]] && kill -0 -- "-$trainer" 2>/dev/null; } || break
    sleep 0.5
  done
  pkill -KILL -f "$ray_dir" 2>/dev/null
  [[ -n $trainer ]] && kill -KILL -- "-$trainer" 2>/dev/null
  rm -rf "$ray_dir"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# train OUTPUT STEPS SHOWN [overrides…]
#   SHOWN: name=metric pairs for the progress bar, separated by spaces
#   configuration: array that the script sets, Hydra's --config-path, --config-name, --config-dir
train() {
  local output=$1 steps=$2 shown=$3 lock
  shift 3
  export VERL_FILE_LOGGER_PATH=$output/verl_metrics.jsonl
  exec {lock}>"$run_lock"
  if ! flock --nonblock "$lock"; then
    echo "waiting: another run is under way on this machine, and two would share verl's socket for weights"
    flock "$lock"
  fi
  set -m # the trainer gets a process group of its own, which clean_up ends
  "$python" -m verl.trainer.main_ppo "${configuration[@]}" \
    "trainer.total_training_steps=$steps" \
    "trainer.validation_data_dir=$output/validation" \
    "trainer.default_local_dir=$output/checkpoints" \
    "+ray_kwargs.ray_init._temp_dir=$ray_dir" \
    "$@" >>"$output/train.log" 2>&1 {lock}>&- &
  trainer=$!
  set +m
  # shellcheck disable=SC2086 # several words
  "$python" -m recipes.tiny_cpu.follow "$output/verl_metrics.jsonl" --steps "$steps" --pid "$trainer" \
    --show $shown {lock}>&- &
  follower=$!
  if ! wait "$trainer"; then
    echo "training failed; the end of $output/train.log:" >&2
    tail -n 30 "$output/train.log" >&2
    exit 1
  fi
  wait "$follower" || true
  trainer= follower=
  exec {lock}>&-
}
