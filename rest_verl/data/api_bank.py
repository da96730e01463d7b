"""Reads API-Bank as ToolRL and ResT evaluate it, and makes verl rows of it.

A level is a file `level-<N>-api_processed.json`: a list of {"system", "user", "answer"}. The
prompts, in ToolRL's form, ask for one call; the answer is that call, {"name", "parameters"}, alone
or as a list of one, and its parameter values are texts.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rest_verl.data.answers import write_answer
from rest_verl.files.json_lines import load_json
from rest_verl.syntax import ToolCall

LEVELS = (1, 2, 3)

_LISTED_TOOL = re.compile(r"^\d+\. (?:Name: )?(\w+)(?::|$)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ApiBankRow:
    """One dialogue and the call that comes next."""

    id: str
    """`level_<level>_<position in its file, from 0>`."""
    level: int
    system: str
    user: str
    answer: ToolCall

    @property
    def category(self) -> str:
        """The level's name in records and tables."""
        return f"level_{self.level}"

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt, `{"role", "content"}` each."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.user},
        ]

    @property
    def shows_tool(self) -> bool:
        """Whether the prompt lists the tool that the answer calls; six rows of level 2 do not."""
        return self.answer.name in _LISTED_TOOL.findall(self.system)


def level_file(folder: Path, level: int) -> Path:
    """Where a level's rows lie."""
    return folder / f"level-{level}-api_processed.json"


def read_api_bank(folder: Path) -> list[ApiBankRow]:
    """All rows of the three levels, in order.

    Raises:
        ValueError: a missing or broken file, or a bad row, with its number (the first is 0).
    """
    return [row for level in LEVELS for row in _read_level(level_file(folder, level), level)]


def verl_row(row: ApiBankRow, *, index: int, split: str) -> dict[str, Any]:
    """The row as verl reads it; one `data_source` a level, so validation reports each.

    The ground truth is the answer in ToolRL's notation, so that the reward scores it as it scores
    ToolRL's own rows.
    """
    return {
        "data_source": f"api_bank/{row.category}",
        "prompt": row.messages,
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": write_answer([row.answer], "", "toolrl")},
        "extra_info": {"index": index, "id": row.id, "category": row.category, "split": split},
    }


def _read_level(path: Path, level: int) -> list[ApiBankRow]:
    try:
        records = load_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(
            f"{path}: no such file; the folder needs level-1, level-2 and level-3-api_processed"
            ".json, from benchmarks/API-Bank of ToolRL's repository"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}; fetch it again") from None
    if not isinstance(records, list) or not records:
        raise ValueError(f"{path}: not a list of rows, or an empty one; fetch it again")
    return [
        _row(record, f"{path}, row {number}", level, number)
        for number, record in enumerate(records)
    ]


def _row(record: Any, where: str, level: int, number: int) -> ApiBankRow:
    if not isinstance(record, dict):
        raise ValueError(f"{where}: not a JSON object; make it one with system, user and answer")
    for key in ("system", "user"):
        if not isinstance(record.get(key), str):
            raise ValueError(f'{where}: "{key}" is missing or not a text; add it')
    return ApiBankRow(
        id=f"level_{level}_{number}",
        level=level,
        system=record["system"],
        user=record["user"],
        answer=_answer(record.get("answer"), where),
    )


def _answer(answer: Any, where: str) -> ToolCall:
    match answer:
        case {"name": str(name), "parameters": dict(parameters)} | [
            {"name": str(name), "parameters": dict(parameters)}
        ]:
            pass
        case _:
            raise ValueError(
                f'{where}: "answer" must be one call, {{"name": text, "parameters": object}}, '
                "alone or as a list of one"
            )
    for key, value in parameters.items():
        if not isinstance(value, str):
            raise ValueError(f"{where}: the value of parameter {key!r} must be a text; quote it")
    return ToolCall(name, parameters)
