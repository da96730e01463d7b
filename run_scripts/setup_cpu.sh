#!/usr/bin/env bash
# Makes .venv with verl, vLLM and rest_verl for a machine without an accelerator.
#   bash run_scripts/setup_cpu.sh [--dev]      --dev: what the tests need as well
# Quick and silent when nothing has changed since the last time. Environment:
#   PYTHON   interpreter to build on (default: python3.11, python3.12 or python3)
# pip's own settings apply. Where torch's default build is the one for GPUs, several GB of GPU
# libraries come along; point pip at the CPU builds (PIP_EXTRA_INDEX_URL) to avoid that.
set -euo pipefail
cd "$(dirname "$0")/.."

TORCH=2.13.0
wanted=cpu
[[ "${1:-}" == "--dev" ]] && wanted=dev

stamp=.venv/.rest_verl_$wanted
inputs=(requirements/*.txt requirements/vllm_alias/setup.cfg setup.cfg run_scripts/setup_cpu.sh)
fingerprint=$(cat "${inputs[@]}" | sha256sum | cut -d' ' -f1)-$PWD
[[ -f $stamp && $(<"$stamp") == "$fingerprint" ]] && exit 0

# One pip at a time: a second script that needs the environment waits here.
exec 9>.setup.lock
flock 9
[[ -f $stamp && $(<"$stamp") == "$fingerprint" ]] && exit 0

if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  source run_scripts/pick_python.sh
  python=$(pick_python)
  echo "setup: making .venv with $($python --version)"
  rm -rf .venv
  "$python" -m venv .venv || {
    echo "setup_cpu.sh: python -m venv failed; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
  }
fi
pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@" 2> >(grep -v '^WARNING: Location' >&2); }

echo "setup: torch $TORCH"
pip install "torch==$TORCH"
echo "setup: verl, vLLM and their dependencies (a few minutes the first time)"
pip install --no-deps -r requirements/cpu.txt
if [[ $wanted == dev ]]; then
  echo "setup: test tools"
  pip install --no-deps -r requirements/dev.txt
fi
# Built in a copy, so that no build folder is left in the source tree.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp requirements/vllm_alias/* "$scratch"
pip install --no-deps --no-build-isolation "$scratch"
pip install --no-deps --no-build-isolation --editable .

echo "$fingerprint" >"$stamp"
# The test tools come on top of everything that the plain set-up has.
[[ $wanted == dev ]] && echo "$fingerprint" >.venv/.rest_verl_cpu
echo "setup: done"
