#!/usr/bin/env bash
# Set-up, lint, types and the whole test suite, the end-to-end run of verl's trainer included.
#   bash run_scripts/run_tests.sh [pytest arguments…]     e.g. tests/rewards -k schedule
set -euo pipefail
cd "$(dirname "$0")/.."
bash run_scripts/setup_cpu.sh --dev
source run_scripts/cpu_environment.sh
bin=.venv/bin
if [[ $# -eq 0 ]]; then
  $bin/ruff check .
  $bin/ruff format --check .
  $bin/mypy
  $bin/python tests/fuzz.py --count 100000 --seed 0
fi
exec $bin/python -m pytest "$@"
