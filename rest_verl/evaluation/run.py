"""One evaluation, from rows and a model to stored records; goes on where an earlier one stopped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from rest_verl.environments.template import examine_template
from rest_verl.evaluation.asking import check_template
from rest_verl.evaluation.calls import are_calls, are_turns
from rest_verl.evaluation.conversations import Chat, Dialogue, Question, Record, Row
from rest_verl.evaluation.generation import GenerationOptions, run_all, vllm_engine
from rest_verl.evaluation.store import (
    Key,
    Store,
    locked,
    read_records,
    record_key,
    write_records,
)
from rest_verl.integration.checkpoints import model_checksums
from rest_verl.integration.chosen_platform import choose_platform, runs_on_cpu
from rest_verl.integration.message_reader import MessageReader, generation_end_ids
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.integration.token_builder import token_builder
from rest_verl.integration.versions import package_versions

Job = tuple[Row, int]
"""A row, and the number of a sample."""
AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is evaluated, on what, and how."""

    model: Path
    """A Hugging Face folder."""
    options: GenerationOptions
    rows: Sequence[Row]
    shows_tools: bool
    """Whether the tools come through the chat template."""
    syntax: str
    """How calls are written: `auto` for what the chat template writes."""
    about: dict[str, Any]
    """The benchmark, its data with checksums, and every other setting; JSON throughout."""
    without_template: str = "evaluate with --mode prompt, or compact for the tiny recipes' models"
    """What to do about a chat template that shows no tools, for the message that refuses it."""


def run_evaluation(evaluation: Evaluation, folder: Path) -> list[Record]:
    """All records, in order; those that `folder` has already are not made again.

    Raises:
        ValueError: `folder` is in use or belongs to another run, or the model has no chat template
            that will do.
    """
    choose_platform()  # before verl is imported
    jobs = _jobs(evaluation.rows, evaluation.options.samples)
    # Before anything is hashed, written or started.
    builder = token_builder(evaluation.model, evaluation.options.chat_template_kwargs)
    check_template(
        builder,
        evaluation.model,
        evaluation.rows,
        shows_tools=evaluation.shows_tools,
        mend=evaluation.without_template,
    )
    reader = _reader(evaluation, builder)
    with Store(folder, _description(evaluation, reader)) as store:
        if any(key not in store.records for key in jobs):
            try:
                asyncio.run(_generate(evaluation, builder, reader, jobs, store))
            except KeyboardInterrupt:
                done = sum(key in store.records for key in jobs)
                print(
                    f"\nstopped with {done} of {len(jobs)} answers in {folder}; the same command "
                    "goes on from there",
                    file=sys.stderr,
                )
                sys.exit(130)
        records = [store.records[key] for key in jobs]
        # In the order asked for, whatever the order in which they were done.
        write_records(folder, records)
    return records


def rescore(folder: Path, rows: Sequence[Question | Dialogue], samples: int) -> list[Record]:
    """The records in `folder`, judged anew and written back.

    Raises:
        ValueError: records are missing, or of other rows.
    """
    with locked(folder):
        return _rescore(folder, rows, samples)


def _rescore(folder: Path, rows: Sequence[Question | Dialogue], samples: int) -> list[Record]:
    found = {record_key(record): record for record in read_records(folder)}
    jobs = _jobs(rows, samples)
    if missing := sum(key not in found for key in jobs):
        raise ValueError(
            f"{folder}: {missing} of {len(jobs)} answers are missing; start its evaluation again "
            "to go on"
        )
    records = []
    for key, (row, _) in jobs.items():
        record = found[key]
        scorable = are_calls if isinstance(row, Question) else are_turns
        if not scorable(record.get("calls")) or not isinstance(record.get("text"), str | list):
            raise ValueError(
                f"{folder}: the record of {row.id}, sample {record['sample']}, has no text and "
                "calls that can be scored; remove its line and start its evaluation again"
            )
        if isinstance(row, Question):
            foreign = str(record.get("foreign", ""))
            verdict = row.judge(record["text"], record["calls"], foreign)
        else:
            verdict = row.judge(record["calls"])
        records.append({**record, **verdict})
    write_records(folder, records)
    return records


def _jobs(rows: Sequence[AnyRow], samples: int) -> dict[Key, tuple[AnyRow, int]]:
    """Every row with every sample number, in the order of the results."""
    return {(row.id, sample): (row, sample) for row in rows for sample in range(samples)}


def _reader(evaluation: Evaluation, builder: Any) -> MessageReader:
    """Reads the answers; ValueError where the template does not tell how calls are written."""
    syntaxes = RunSyntaxes(
        evaluation.syntax,
        builder.tokenizer,
        evaluation.options.chat_template_kwargs,
        model=evaluation.model,
        mend=f"name it with --syntax NAME, or {evaluation.without_template}",
    )
    end_ids = generation_end_ids(evaluation.model)
    return MessageReader(builder.tokenizer, syntaxes.own, end_ids=end_ids)


def _description(evaluation: Evaluation, reader: MessageReader) -> dict[str, Any]:
    return {
        **evaluation.about,
        "syntax": reader.syntax.name,
        "model": {"path": str(evaluation.model), "files": model_checksums(evaluation.model)},
        "options": {**asdict(evaluation.options), "on_cpu": runs_on_cpu()},
        "packages": package_versions(),
    }


async def _generate(
    evaluation: Evaluation,
    builder: Any,
    reader: MessageReader,
    jobs: Mapping[Key, Job],
    store: Store,
) -> None:
    options = evaluation.options
    template_end, own_end = examine_template(builder).end_id, builder.tokenizer.eos_token_id
    ends = {template_end, own_end, *reader.stop_ids} - {None}
    missing = [job for key, job in jobs.items() if key not in store.records]
    # Conversations first: they take longest.
    missing.sort(key=lambda job: isinstance(job[0], Question))
    model = evaluation.model
    async with vllm_engine(model, options, on_cpu=runs_on_cpu(), end_ids=ends) as engine:
        chat = Chat(engine, builder, options, reader)
        seconds = 0.1 if sys.stderr.isatty() else 30.0  # in a log, a line's worth now and then
        with tqdm(
            total=len(jobs), initial=len(jobs) - len(missing), unit="row", mininterval=seconds
        ) as bar:

            async def run(job: Job) -> None:
                store.append(await chat.record(*job))
                bar.update()

            await run_all(missing, run)
