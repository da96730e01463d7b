"""What `rest-verl evaluate … RUN` takes from the folder of a run; what an option names wins."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet

from rest_verl.files.run_folder import RunFolder, open_run
from rest_verl.integration.run_syntax import asked_syntax

RESULTS = "evaluation"
"""Folder of results in a run's."""


def settle(arguments: argparse.Namespace, benchmark: str) -> RunFolder | None:
    """Sets the model, the output, the syntax and the template's arguments where no option does.

    Raises:
        ValueError: no run in that folder, no checkpoint in it yet, or nothing to take them from.
    """
    run = None if arguments.run is None else open_run(arguments.run)
    if run is not None and arguments.model is None:
        checkpoints = run.checkpoints
        if not checkpoints:
            raise ValueError(f"{run.path}: has no checkpoint yet; name a model with --model")
        arguments.model = checkpoints[max(checkpoints)]
    if run is not None and arguments.output is None:
        arguments.output = run.path / RESULTS / benchmark / arguments.model.absolute().name
    if missing := [name for name in ("model", "output") if getattr(arguments, name) is None]:
        raise ValueError(f"name --{missing[0]}, or the folder of a RUN")
    if arguments.chat_template_kwargs is None:
        arguments.chat_template_kwargs = (run and run.about.get("chat_template_kwargs")) or {}
    if getattr(arguments, "syntax", "") is None:
        arguments.syntax = own_syntax(run)
    return run


def own_syntax(run: RunFolder | None) -> str:
    """How the run's model writes calls, as it was set."""
    options = run.about.get("rest") if run else None
    named = options.get("syntax") if isinstance(options, Mapping) else None
    return named if isinstance(named, str) else "auto"


def prompt_style(run: RunFolder | None) -> str | None:
    """How the run's prompts show tools; None where its rows do not tell, or are not here.

    ToolRL's own rows (RLLA) do not name it: their ground truths are in its format.
    """
    for path in validation_files(run):
        for row in pyarrow.parquet.read_table(path).slice(0, 1).to_pylist():
            info, model = (
                part if isinstance(part := row.get(name), Mapping) else {}
                for name in ("extra_info", "reward_model")
            )
            if isinstance(style := info.get("prompt_style"), str):
                return style
            if "syntax" not in info and asked_syntax(info, model.get("ground_truth")) == "toolrl":
                return "toolrl"
    return None


def validation_files(run: RunFolder | None) -> list[Path]:
    """The parquet files that the run validates on, as far as they are here."""
    named: Any = run.about.get("val_files") if run else None
    paths = [named] if isinstance(named, str) else named if isinstance(named, list) else []
    found = [Path(path) for path in paths if isinstance(path, str)]
    return [path for path in found if path.suffix == ".parquet" and path.is_file()]
