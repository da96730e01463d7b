# Sourced by the scripts that make an environment: `pick_python` says which interpreter to build on.
# PYTHON names those to try (default: python3.11, python3.12, python3).
pick_python() {
  local candidate wanted=${PYTHON:-python3.11 python3.12 python3}
  for candidate in $wanted; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "${0##*/}: needs Python 3.11 or 3.12 (tried: $wanted); set PYTHON=/path/to/python" >&2
  return 1
}
