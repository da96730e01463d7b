"""What the benchmarks share."""

from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_json as replace_json


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Writes a benchmark's result, all or nothing, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, result)
