"""Runs BFCL's own single-turn checkers over outputs, in a process of its own.

    python official_scorer.py IN OUT

IN: {"rows": [{"category", "functions", "ground_truth"}], "cases": [[index of row, calls]]}, with
ground_truth null in the categories without answers and calls null for a malformed text.
OUT: for each case true, false, or the name of what the checker raised.

Needs no model client: `ast_checker` reads one flag of a model's entry from `model_config`, and a
stand-in has it. BFCL_PROJECT_ROOT has to name a folder, in which the package creates its own ones.
"""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

stand_in = ModuleType("bfcl_eval.constants.model_config")
stand_in.MODEL_CONFIG_MAPPING = {"any": SimpleNamespace(underscore_to_dot=False)}  # type: ignore[attr-defined]
sys.modules[stand_in.__name__] = stand_in

from bfcl_eval.constants.enums import Language  # noqa: E402
from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # noqa: E402
from bfcl_eval.utils import (  # noqa: E402
    is_empty_output,
    is_function_calling_format_output,
    is_java,
    is_js,
)


def verdict(row: dict[str, Any], calls: list[dict[str, Any]] | None) -> bool:
    """As `eval_runner` judges what a handler decoded; text that it cannot decode is None here."""
    category = row["category"]
    decoded = None if calls is None else [{call["name"]: call["arguments"]} for call in calls]
    if row["ground_truth"] is None:
        has_call = decoded is not None and not is_empty_output(decoded)
        return has_call != ("irrelevance" in category)
    if decoded is None or not is_function_calling_format_output(decoded):
        return False
    language = Language.PYTHON
    if is_java(category) or is_js(category):
        language = Language.JAVA if is_java(category) else Language.JAVASCRIPT
    return ast_checker(row["functions"], decoded, row["ground_truth"], language, category, "any")[
        "valid"
    ]


def answer(row: dict[str, Any], calls: list[dict[str, Any]] | None) -> bool | str:
    try:
        return verdict(row, calls)
    except Exception as error:  # in BFCL's own run this ends the evaluation
        return type(error).__name__


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answers = [answer(given["rows"][index], calls) for index, calls in given["cases"]]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
