"""Runs BFCL's own checker over conversations, in a process of its own: it evaluates their text.

    python official_bfcl.py IN OUT

IN: {"rows": [record with ground_truth], "cases": [{"row": index, "turns": [[call string]]}]}.
OUT: for each case {"valid", "outputs": the model's outputs as far as the checker ran them}.
"""

import json
import sys
from pathlib import Path
from typing import Any

from bfcl_eval.eval_checker.multi_turn_eval import multi_turn_checker, multi_turn_utils

execute = multi_turn_utils.execute_multi_turn_func_call
outputs: list[str] = []


def recording(func_call_list: list[str], *args: Any, **options: Any) -> Any:
    results, instances = execute(func_call_list, *args, **options)
    if not options["model_name"].endswith("_ground_truth"):
        outputs.extend(results)
    return results, instances


def run(case: dict[str, Any], row: dict[str, Any], name: str) -> dict[str, Any]:
    outputs.clear()
    truth = row["ground_truth"]
    if len(case["turns"]) != len(truth):  # the evaluation's rule for conversations cut off
        return {"valid": False, "outputs": []}
    turns = [[[call] for call in turn] for turn in case["turns"]]
    verdict = multi_turn_checker.multi_turn_checker(turns, truth, row, "", name)
    # It keeps every instance for good.
    for key in [key for key in vars(multi_turn_utils) if key.startswith(name)]:
        delattr(multi_turn_utils, key)
    return {"valid": verdict["valid"], "outputs": list(outputs)}


if __name__ == "__main__":
    multi_turn_checker.execute_multi_turn_func_call = recording
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    answers = [
        run(case, given["rows"][case["row"]], f"case_{number}_of_its_own")
        for number, case in enumerate(given["cases"])
    ]
    Path(sys.argv[2]).write_text(json.dumps(answers), encoding="utf-8")
