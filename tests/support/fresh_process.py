"""Runs Python code in a process of its own: what verl loads, it loads once in a process."""

import os
import subprocess
import sys
from pathlib import Path


def run_python(
    code: str, folder: Path, **environment: str | None
) -> subprocess.CompletedProcess[str]:
    """Runs `code` in `folder`; None removes a variable from the environment."""
    variables = {**os.environ, "TOKENIZERS_PARALLELISM": "false", **environment}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=folder,
        env={name: value for name, value in variables.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=300,
    )
