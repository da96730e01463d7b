"""A BFCL question with its answer, and folders made of copies of it."""

import json
from pathlib import Path
from typing import Any

QUESTION: dict[str, Any] = {
    "id": "multiple_0",
    "question": [[{"role": "user", "content": "Weather in Oslo 0?"}]],
    "function": [
        {
            "name": "weather.get",
            "description": "Current weather.",
            "parameters": {
                "type": "dict",
                "properties": {
                    "city": {"type": "string", "description": "The city."},
                    "days": {"type": "integer", "default": 1},
                },
                "required": ["city"],
            },
        }
    ],
}
ANSWER: dict[str, Any] = {
    "id": "multiple_0",
    "ground_truth": [{"weather.get": {"city": ["Oslo", "Oslo, Norway"], "days": ["", 1]}}],
}


def numbered(record: dict[str, Any], number: int) -> dict[str, Any]:
    """A copy with this number in its id and, if it is a question, in its text."""
    text = json.dumps(record)
    return json.loads(
        text.replace("multiple_0", f"multiple_{number}").replace("Oslo 0", f"Oslo {number}")
    )


def write_category(
    folder: Path, questions: list | None, answers: list | None, name: str = "v4_multiple"
) -> None:
    """Writes one category's two files from records or ready lines; None leaves a file out."""
    for records, path in (
        (questions, folder / f"BFCL_{name}.json"),
        (answers, folder / "possible_answer" / f"BFCL_{name}.json"),
    ):
        if records is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [r if isinstance(r, str) else json.dumps(r) for r in records]
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def write_folder(folder: Path, rows: int = 20) -> Path:
    """BFCL v4 data with `rows` rows of the category `multiple`."""
    write_category(
        folder,
        [numbered(QUESTION, n) for n in range(rows)],
        [numbered(ANSWER, n) for n in range(rows)],
    )
    return folder
