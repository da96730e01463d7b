"""One evaluation, from rows and a model to stored records; goes on where an earlier one stopped."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rest_verl.chosen_platform import runs_on_cpu
from rest_verl.doctor import choose_platform
from rest_verl.environments.template import examine_template
from rest_verl.evaluation.checkpoints import model_checksums
from rest_verl.evaluation.conversations import Chat, Dialogue, Question, Record
from rest_verl.evaluation.generation import GenerationOptions, run_all, vllm_engine
from rest_verl.evaluation.store import Key, Store, read_records, record_key, write_records

PACKAGES = ("rest-verl", "verl", "vllm", "transformers", "torch")
"""Whose versions have a part in what is generated."""

Row = Question | Dialogue
Job = tuple[Row, int]
"""A row, and the number of a sample."""

_PROBE = "probe_7c1e"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What is evaluated, on what, and how."""

    model: Path
    """A Hugging Face folder."""
    options: GenerationOptions
    rows: Sequence[Row]
    shows_tools: bool
    """Whether the tools come through the chat template."""
    about: dict[str, Any]
    """The benchmark, its data with checksums, and every other setting; JSON throughout."""


def run_evaluation(evaluation: Evaluation, folder: Path) -> list[Record]:
    """All records, in order; those that `folder` has already are not made again.

    Raises:
        ValueError: `folder` is in use or belongs to another run, or the model has no chat template
            that will do.
    """
    choose_platform()  # before verl is imported
    jobs = _jobs(evaluation.rows, evaluation.options.samples)
    with Store(folder, _description(evaluation)) as store:
        if any(key not in store.records for key in jobs):
            asyncio.run(_generate(evaluation, jobs, store))
        records = [store.records[key] for key in jobs]
        # In the order asked for, whatever the order in which they were done.
        write_records(folder, records)
    return records


def rescore(folder: Path, rows: Sequence[Row], samples: int) -> list[Record]:
    """The records in `folder`, judged anew and written back.

    Raises:
        ValueError: records are missing, or of other rows.
    """
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
        if isinstance(row, Question):
            verdict = row.judge(record["text"], record["calls"])
        else:
            verdict = row.judge(record["calls"])
        records.append({**record, **verdict})
    write_records(folder, records)
    return records


def _jobs(rows: Sequence[Row], samples: int) -> dict[Key, Job]:
    """Every row with every sample number, in the order of the results."""
    return {(row.id, sample): (row, sample) for row in rows for sample in range(samples)}


def _description(evaluation: Evaluation) -> dict[str, Any]:
    return {
        **evaluation.about,
        "model": {"path": str(evaluation.model), "files": model_checksums(evaluation.model)},
        "options": {**asdict(evaluation.options), "on_cpu": runs_on_cpu()},
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


async def _generate(evaluation: Evaluation, jobs: Mapping[Key, Job], store: Store) -> None:
    options = evaluation.options
    builder = _token_builder(evaluation.model, options)
    if evaluation.shows_tools:
        _check_shows_tools(builder, evaluation.model)
    ends = {examine_template(builder).end_id, builder.tokenizer.eos_token_id} - {None}
    missing = [job for key, job in jobs.items() if key not in store.records]
    # Conversations first: they take longest.
    missing.sort(key=lambda job: isinstance(job[0], Question))
    model = evaluation.model
    async with vllm_engine(model, options, on_cpu=runs_on_cpu(), end_ids=ends) as engine:
        chat = Chat(engine, builder, options)
        with tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="row") as bar:

            async def run(job: Job) -> None:
                store.append(await chat.record(*job))
                bar.update()

            await run_all(missing, run)


def _token_builder(model: Path, options: GenerationOptions) -> Any:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # processes are forked later
    from transformers import AutoConfig, AutoTokenizer
    from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

    tokenizer = AutoTokenizer.from_pretrained(model)
    if not tokenizer.chat_template:
        raise ValueError(f"{model}: its tokenizer has no chat template; add chat_template.jinja")
    return create_continuous_token_builder(
        tokenizer,
        hf_model_type=AutoConfig.from_pretrained(model).model_type,
        chat_template_kwargs=dict(options.chat_template_kwargs),
    )


def _check_shows_tools(builder: Any, model: Path) -> None:
    function = {"name": _PROBE, "description": "", "parameters": {"type": "object"}}
    tools = [{"type": "function", "function": {**function}}]
    prompt = builder.build_initial_tokens([{"role": "user", "content": "ask"}], tools=tools)
    if _PROBE not in builder.tokenizer.decode(prompt):
        raise ValueError(
            f"{model}: its chat template does not show tools; evaluate with --mode prompt, or "
            "compact for the tiny recipes' models"
        )
