"""BFCL's verdicts on the answers that verl dumps when it validates: accuracies without a model.

verl writes `<trainer.validation_data_dir>/<step>.jsonl`, a line for every answer: prompt and ground
truth as text, but no row id, and the rows in another order each time. A row is found again by its
ground truth and by its messages, which stand in the prompt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rest_verl.data.bfcl import CATEGORIES, BfclRow, BfclSource
from rest_verl.evaluation.bfcl.single_turn import score_single_turn
from rest_verl.evaluation.calls import record_calls
from rest_verl.files.json_lines import read_json_lines
from rest_verl.integration.run_syntax import asked_syntax, known_syntax
from rest_verl.syntax import read_message, terms_of
from rest_verl.syntax.terms import logged_terms

_PLACE = ("input", "output", "gts", "uid")
"""Keys of a dumped line that say which answer it is; the others are what verl logged of it."""


def score_validation(
    dump: Path,
    rows: Iterable[Mapping[str, Any]],
    source: BfclSource,
    *,
    syntax: str = "hermes",
) -> list[dict[str, Any]]:
    """The answers of one validation as result records, in the order of `rows`.

    A record has `id`, `category`, `sample`, `text`, `calls`, `terms`, `valid` and `error` as in an
    evaluation's `rows.jsonl`, and under `logged` what verl dumped of the answer besides: its score
    and the parts of its reward. Rows that were not validated have none.

    Args:
        dump: verl's file of one step.
        rows: those of the parquet file that was validated on, single-turn rows of BFCL.
        source: BFCL's data, of the rows' version.
        syntax: the model's own, for rows whose prompts ask for none.

    Raises:
        ValueError: rows that are not of this data, no such file, or a line that is no answer to
            one of the rows, with its number.
    """
    rows = list(rows)
    questions = bfcl_questions(rows, source)
    found = _Rows(rows)
    answers: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for where, line in read_json_lines(dump):
        match line:
            case {"input": str(prompt), "output": str(text), "gts": str(ground_truth)}:
                logged = {key: value for key, value in line.items() if key not in _PLACE}
            case _:
                raise ValueError(f'{where}: an answer needs "input", "output" and "gts"')
        candidates = found.rows_of(prompt, ground_truth)
        if not candidates:
            raise ValueError(
                f"{where}: none of the rows has this prompt and ground truth; name the file that "
                "was validated on"
            )
        # Rows alike in both are exchangeable: each gets as many of the answers.
        row_id = min(candidates, key=lambda name: len(answers[name]))
        question = questions[row_id]
        info = found.info[row_id]
        written_in = known_syntax(asked_syntax(info, ground_truth) or syntax)
        reading = read_message(
            written_in,
            text,
            think_is_open=written_in.leaves_think_open(prompt.encode("utf-8", "replace")),
            tools=written_in.types_of(info),
        )
        calls = record_calls(reading)
        written = logged_terms(logged)
        answers[row_id].append(
            {
                "id": row_id,
                "category": question.category,
                "sample": len(answers[row_id]),
                "text": text,
                "calls": calls,
                "foreign": reading.foreign,
                # A text does not tell what ended it.
                "terms": terms_of([reading], written and written.cut_off)._asdict(),
                **score_single_turn(question, calls, reading.foreign)._asdict(),
                "logged": logged,
            }
        )
    return [record for row_id in questions for record in answers.get(row_id, ())]


def bfcl_questions(rows: Sequence[Mapping[str, Any]], source: BfclSource) -> dict[str, BfclRow]:
    """BFCL's single-turn rows by id, in the order of the `rows` of a parquet file made of them.

    Raises:
        ValueError: rows that are not of this data.
    """
    infos = [row["extra_info"] for row in rows]
    for info in infos:
        if info["version"] != source.version or info["category"] not in CATEGORIES[source.version]:
            raise ValueError(
                f"{info['id']}: is of {info['category']}, BFCL {info['version']}; here single-turn "
                f"rows of {source.version} are scored"
            )
    known = {
        question.id: question
        for category in dict.fromkeys(info["category"] for info in infos)
        for question in source.read(category)
    }
    if strange := [info["id"] for info in infos if info["id"] not in known]:
        raise ValueError(f"{source.folder}: has no row {strange[0]}; name the data it came from")
    return {info["id"]: known[info["id"]] for info in infos}


class _Rows:
    """Finds rows by what verl shows of them."""

    def __init__(self, rows: list[Mapping[str, Any]]) -> None:
        self.info = {row["extra_info"]["id"]: row["extra_info"] for row in rows}
        self._by_truth: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
        for row in rows:
            # Templates strip messages.
            contents = [message["content"].strip() for message in row["prompt"]]
            truth = row["reward_model"]["ground_truth"]
            self._by_truth[truth].append((row["extra_info"]["id"], contents))

    def rows_of(self, prompt: str, ground_truth: str) -> list[str]:
        """Ids of the rows with this ground truth and the most text in the prompt."""
        shown = [
            (sum(map(len, contents)), row_id)
            for row_id, contents in self._by_truth.get(ground_truth, ())
            if all(content in prompt for content in contents)
        ]
        # One row's question can be the beginning of another's.
        most = max(shown, default=(0, ""))[0]
        return [row_id for length, row_id in shown if length == most]
