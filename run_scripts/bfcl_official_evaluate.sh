#!/usr/bin/env bash
# Scores BFCL results by BFCL's own command `evaluate`, in an environment of its own.
#   bash run_scripts/bfcl_official_evaluate.sh FOLDER [arguments of `bfcl evaluate`]
# FOLDER holds result/, as an evaluation writes it; the scores come to FOLDER/score, as CSV and JSON.
# A run of some rows only needs --partial-eval. BFCL counts what was not run as 0 in its overall
# accuracies. It runs the calls of multi-turn results by eval: score only results written here.
# Environment:
#   BFCL_VENV   where the environment is, or is made (default: outputs/bfcl_official_venv; 0.6 GB)
#   PYTHON      interpreter to make it with (default: python3.11, python3.12 or python3)
set -euo pipefail

if [[ $# -lt 1 || ! -d "$1/result" ]]; then
  echo "bfcl_official_evaluate.sh: needs a folder that holds result/, got: ${1:-nothing}" >&2
  exit 1
fi
results=$(cd "$1" && pwd)
shift
[[ -n "${BFCL_VENV:-}" ]] && BFCL_VENV=$(realpath -m "$BFCL_VENV")
cd "$(dirname "$0")/.."
venv=${BFCL_VENV:-$PWD/outputs/bfcl_official_venv}
requirements=run_scripts/bfcl_official_requirements.txt

if ! cmp -s "$requirements" "$venv/.requirements"; then
  source run_scripts/pick_python.sh
  python=$(pick_python)
  echo "making $venv with $($python --version) (a few minutes)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps -r "$requirements"
  cp "$requirements" "$venv/.requirements"
fi

export BFCL_PROJECT_ROOT=$results PYTHONUTF8=1
exec "$venv/bin/python" -m bfcl_eval evaluate "$@"
