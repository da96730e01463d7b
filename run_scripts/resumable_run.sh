# shellcheck shell=bash disable=SC2154 # the variables are the sourcing script's
# Sourced, in the project's root, by the scripts of the small recipes, which set what is their own and
# call `resumable_run "$@"`. Here: the run that all of them are.
#
#   python   interpreter of the environment
#   start    folder of data/ and model/, which `make_start` fills
#   configuration   Hydra's --config-path, --config-name, --config-dir
#   groups   configuration groups to add
#   code     files that decide what a run does
#   steps preset seed output save; settings: others, as one line
#
# and, after sourcing, what is other than with BFCL's single turns:
#
#   options  overrides of the recipe's own
#   shown    name=metric pairs for the progress bar, separated by spaces
#   last     the file that `summarize` writes last
#
# Run again with the same settings it goes on from the last checkpoint, and reuses what is complete;
# with others it leaves alone what has a checkpoint.

options=()
shown="reward=reward/total/mean format=reward/format_ok/mean names=reward/name_match/mean"
last=report.html
summarize() {
  "$python" -m recipes.tiny_cpu.summarize "$output" --data "$start/data/held_out.parquet" \
    --preset "$preset" --seed "$seed" --seconds "$SECONDS"
}

resumable_run() {
  local arguments=(
    "${groups[@]}"
    "data.train_files=$start/data/train.parquet"
    "data.val_files=$start/data/held_out.parquet"
    "data.seed=$seed"
    "actor_rollout_ref.model.path=$start/model"
    "actor_rollout_ref.rollout.seed=$seed"
    "trainer.save_freq=$save"
    trainer.max_actor_ckpt_to_keep=2
    trainer.resume_mode=auto
    "${options[@]}"
  )
  if [[ ${DRY_RUN:-0} == 1 ]]; then
    exec "$python" -m rest_verl.integration.dry_run "${configuration[@]}" \
      "trainer.total_training_steps=$steps" "${arguments[@]}" "$@"
  fi

  mkdir -p "$output"
  local now
  now="$settings steps=$steps preset=$preset seed=$seed code=$(cat "${code[@]}" | sha256sum | cut -c1-12) $*"
  if [[ -f $output/settings.txt && $(<"$output/settings.txt") == "$now" ]]; then
    if [[ -f $output/summary.json && -f $output/$last ]]; then
      echo "already complete: $output (delete it to train again)"
      cat "$output/summary.json"
      exit 0
    fi
  elif [[ -e $output/summary.json || -e $output/checkpoints/latest_checkpointed_iteration.txt ]]; then
    {
      echo "$output holds another run; delete it, or name another folder (the variable …_OUTPUT)"
      [[ ! -f $output/settings.txt ]] || echo "  that one: $(<"$output/settings.txt")"
      echo "  this one: $now"
    } >&2
    exit 1
  else
    rm -rf "$output"/{summary.json,metrics.jsonl,samples.json,report.*,conversation.txt,checkpoints}
    rm -rf "$output"/{run.json,config.yaml,view.html}
    rm -rf "$output"/{validation,rollouts,verl_metrics*.jsonl,train.log}
    echo "$now" >"$output/settings.txt"
  fi

  source run_scripts/follow_main_ppo.sh
  echo "== 1/3 data, tokenizer and starting model"
  make_start

  echo "== 2/3 ResT, $steps steps, preset $preset, $settings (log: $output/train.log)"
  local resume=() saved
  if [[ -f $output/checkpoints/latest_checkpointed_iteration.txt ]]; then
    saved=$(<"$output/checkpoints/latest_checkpointed_iteration.txt")
    echo "going on after step $saved"
    # Validated before its first step; what may be missing is the validation after the last one.
    ((saved == steps)) || resume=(trainer.val_before_train=false)
  fi
  # verl begins its log anew at each start; the summary joins them.
  if [[ -f $output/verl_metrics.jsonl ]]; then
    (cat "$output/verl_metrics.jsonl"; echo) >>"$output/verl_metrics_earlier.jsonl" # its last line may be cut
  fi
  train "$output" "$steps" "$shown" "${arguments[@]}" "${resume[@]}" "$@"

  echo "== 3/3 summary"
  summarize
}
