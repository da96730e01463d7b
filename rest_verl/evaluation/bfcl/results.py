"""Result files in BFCL's own layout, for its own `evaluate` to score.

`result/<model>/<group>/BFCL_v4_<category>_result.json` holds a line `{"id", "result"}` for every
row. BFCL reads a result with the handler of a model that it knows. `OFFICIAL_MODEL` stands in for
the model that was evaluated: its handler reads `<tool_call>` blocks, which is what is written, one
for every call that this project's parser read, and it leaves the dots in functions' names alone.

A malformed text becomes an empty result. The official handler would drop the malformed blocks of
a text and keep the others; here one of them makes the text count as without calls.

BFCL's `evaluate` runs the calls of multi-turn results by `eval`. So a call that is not plainly one
of a BFCL method is written as a call of an unknown function: wrong in the same way, and harmless.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rest_verl.data.bfcl import CATEGORIES, MULTI_TURN_CATEGORIES
from rest_verl.environments.bfcl_backend import CLASSES, method_table

OFFICIAL_MODEL = "Qwen/Qwen3-8B-FC"
"""The name under which BFCL scores the results."""
VERSION = "v4"
"""Of the data in bfcl-eval, and so the only one that it scores."""

_UNKNOWN_CALL = {"name": "unknown_function", "arguments": {}}


def write_official(
    records: Iterable[Mapping[str, Any]], folder: Path, *, version: str, sample: int = 0
) -> list[Path]:
    """Writes one sample of every row below `folder`/result; returns the files.

    Args:
        records: `id`, `category`, `sample` and `calls` each.
        version: of the data that was run.

    Raises:
        ValueError: another version than v4: bfcl-eval has neither its rows nor its names; or a
            category that v4 does not have.
    """
    if version != VERSION:
        raise ValueError(
            f"bfcl-eval scores BFCL {VERSION} only, and these results are of {version}; "
            "the scores of this project hold for both"
        )
    lines: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record["sample"] == sample:
            line = {"id": record["id"], "result": official_result(record)}
            lines[record["category"]].append(json.dumps(line) + "\n")
    if unknown := lines.keys() - {*CATEGORIES[VERSION], *MULTI_TURN_CATEGORIES}:
        raise ValueError(f"BFCL {VERSION} has no category {min(unknown)!r}")
    model = folder / "result" / OFFICIAL_MODEL.replace("/", "_")
    paths = []
    for category, content in lines.items():
        path = model / _group(category) / f"BFCL_{VERSION}_{category}_result.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(content), encoding="ascii")
        paths.append(path)
    return paths


def official_result(record: Mapping[str, Any]) -> str | list[list[str]]:
    """A text that the handler reads as the record's calls; of several turns, a text a step."""
    calls = record["calls"]
    if record["category"] not in MULTI_TURN_CATEGORIES:
        return _text(calls or ())
    return [[_text(map(_harmless, step or ())) for step in turn] for turn in calls]


def _text(calls: Iterable[Mapping[str, Any]]) -> str:
    # JSON holds no line break, so nothing in a call can end its block.
    return "\n".join(f"<tool_call>\n{json.dumps(dict(call))}\n</tool_call>" for call in calls)


def _harmless(call: Mapping[str, Any]) -> Mapping[str, Any]:
    is_method = call["name"] in method_table(tuple(CLASSES))
    return call if is_method and all(map(str.isidentifier, call["arguments"])) else _UNKNOWN_CALL


def _group(category: str) -> str:
    if category in MULTI_TURN_CATEGORIES:
        return "multi_turn"
    return "live" if category.startswith("live_") else "non_live"
