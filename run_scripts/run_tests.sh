#!/usr/bin/env bash
# Set-up, lint, types and the whole test suite, the end-to-end run of verl's trainer included.
#   bash run_scripts/run_tests.sh [pytest arguments…]     e.g. tests/rewards -k schedule
set -euo pipefail
cd "$(dirname "$0")/.."
bash run_scripts/setup_cpu.sh --dev
timeout 600 .venv/bin/python run_scripts/fetch_tokenizers.py || echo "tokenizers: not all are there"
source run_scripts/cpu_environment.sh
bin=.venv/bin
[[ $# -eq 0 ]] || exec $bin/python -m pytest "$@"

$bin/ruff check .
$bin/ruff format --check .
$bin/mypy
$bin/python tests/fuzz.py --count 60000 --seed 0
OMP_NUM_THREADS=1 $bin/python -m pytest -n "$(nproc)" -m "not end_to_end"
exec $bin/python -m pytest -m end_to_end # one at a time: each needs the whole machine
