"""What the benchmarks share."""

from pathlib import Path
from typing import Any

from rest_verl.files.atomic import write_json as replace_json


def write_json(path: Path, result: dict[str, Any]) -> None:
    """Writes a benchmark's result, all or nothing, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_json(path, result)


def into_page(text: str, page: str, script: str) -> str:
    """The page with the text between the marks of that benchmark."""
    marks = [f"<!-- benchmarks/{script}: {edge} -->" for edge in ("begin", "end")]
    before, begin, rest = page.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        raise SystemExit(f"the page lacks the marks {marks[0]} and {marks[1]}")
    return f"{before}{begin}\n{text}{end}{after}"
