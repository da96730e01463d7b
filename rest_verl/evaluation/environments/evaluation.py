"""An evaluation on rows of environments, from the files to the summary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rest_verl.evaluation.environments.playing import Player
from rest_verl.evaluation.environments.rows import environment_rows
from rest_verl.evaluation.environments.summary import write_environment_summary
from rest_verl.evaluation.generation import GenerationOptions
from rest_verl.evaluation.run import Evaluation, run_evaluation
from rest_verl.evaluation.store import read_run
from rest_verl.integration.agent_loops.options import ToolEnvironmentOptions


def evaluate_environments(
    model: Path,
    files: Sequence[Path],
    output: Path,
    *,
    options: GenerationOptions,
    tool_env: ToolEnvironmentOptions,
    syntax: str,
    limit: int | None,
) -> str:
    """The table of an evaluation, whose results lie in `output`; goes on there.

    Args:
        model: a Hugging Face folder.
        files: parquet files of rows.
        syntax: how the model writes calls where a row leaves that to it, or `auto`.
        limit: rows of each category.

    Raises:
        ValueError: as `environment_rows` and `run_evaluation`.
    """
    rows = environment_rows(files, Player(model, tool_env), limit)
    names = [file.name for file in files]
    keys = names if len(set(names)) == len(names) else [str(file) for file in files]
    checksums = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    evaluation = Evaluation(
        without_template="make the rows in the style toolrl, or compact for tiny models",
        model=model,
        options=options,
        rows=rows.tasks,
        shows_tools=rows.shows_tools,
        syntax="toolrl" if rows.syntaxes == {"toolrl"} else syntax,
        about={
            "benchmark": "environment",
            "data_version": ", ".join(rows.versions) or None,
            "mode": ", ".join(rows.styles),
            "limit": limit,
            "environments": rows.environments,
            "tool_env": {**asdict(tool_env), "task": dict(tool_env.task)},
            "data": {
                "folder": str(files[0].resolve().parent),
                "name": ", ".join(names),
                "release": None,
                "files": dict(zip(keys, checksums, strict=True)),
            },
        },
    )
    records = run_evaluation(evaluation, output)
    return write_environment_summary(output, read_run(output), records)
