"""What to show and how, from the folder of a run; what the user names wins."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from rest_verl.algorithm.clock import Clock
from rest_verl.algorithm.config import ReSTConfig
from rest_verl.files.run_folder import VALIDATION, RunFolder, open_run, run_of
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.sources import newest_step, read_rollouts, read_texts

STEPS = 105
"""At progress 1 where no run tells: as in the released code's run."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a view is made of."""

    rollouts: list[Rollout]
    title: str
    model: str
    """A folder, a checkpoint's too, or a hub name."""
    weights: str
    """The preset, in words."""
    config: ReSTConfig
    syntax: str
    progress: float
    total_steps: int
    as_trained: bool
    """Whether training weighted these rollouts so."""


def choose(arguments: argparse.Namespace) -> Shown:
    """Reads the rollouts and settles what the arguments of `rest-verl view` leave open.

    Raises:
        ValueError: no rollouts, no model, or a folder that is no run's.
    """
    run = _run(arguments)
    if arguments.text:
        rollouts, title, dump = read_texts(arguments.text), arguments.text[0].name, None
        rollouts = rollouts[: arguments.limit]
        if len(arguments.text) > 1:
            title = f"{title} and {len(arguments.text) - 1} more"
    else:
        dump = newest_step(arguments.rollouts or _dump(run))
        rollouts = read_rollouts(dump, arguments.limit)
        title = "/".join(dump.resolve().parts[-3 if run else -2 :])
    own = _own_config(run)
    preset = arguments.preset or (run and run.text("preset"))
    if arguments.preset or own is None or own.shuffle:
        # weights that are shuffled are paper's, in other places
        config = ReSTConfig.preset(arguments.preset or "paper")
        weights = f"preset {arguments.preset or 'paper'}"
    else:
        # what a run remembers of earlier steps is not in its dumps
        config, weights = replace(own, entropy_ema=0.0), f"the run's weights, preset {preset}"
    step = next((rollout.step for rollout in rollouts if rollout.step is not None), None)
    is_validation = run is not None and dump is not None and _is_in(dump, run.place(VALIDATION))
    clock = _clock(run)
    trained = None if clock is None or step is None else float(clock.progress(step))
    progress = arguments.progress if arguments.progress is not None else trained or 0.0
    # The weights that step s - 1 made sample for step s; a validation is made by those of its step.
    sampled_by = max(0, (step or 0) - (not is_validation))
    saved, model = (None, arguments.model) if arguments.model else _model(run, sampled_by)
    syntax = arguments.syntax or (own.syntax if own else "auto")
    return Shown(
        rollouts=rollouts,
        title=title,
        model=model,
        weights=weights,
        config=config,
        syntax=syntax,
        progress=progress,
        total_steps=arguments.total_steps or (round(clock.horizon) if clock else STEPS),
        as_trained=(
            progress == trained
            and config == own
            and syntax == own.syntax
            and saved == sampled_by
            and not is_validation
            and _is_whole(dump, arguments.limit)
            and _is_exact(run, own)
        ),
    )


def _run(arguments: argparse.Namespace) -> RunFolder | None:
    if arguments.run is not None:
        return open_run(arguments.run)
    if arguments.rollouts is not None:
        return run_of(arguments.rollouts)
    if not arguments.text:
        raise ValueError("name the folder of a RUN, or --rollouts, or --text with --model")
    return None


def _own_config(run: RunFolder | None) -> ReSTConfig | None:
    options = run.about.get("rest") if run else None
    return ReSTConfig.from_options(options) if isinstance(options, dict) else None


def _is_exact(run: RunFolder | None, own: ReSTConfig) -> bool:
    """Whether a dump holds all that the run's weights depend on: samples of earlier policies have
    clocks of their own, and turns are not told apart."""
    assert run is not None
    return run.text("trainer") == "rest_sync" and own.weights_per == "response"


def _dump(run: RunFolder | None) -> Path:
    assert run is not None
    if run.dumps is None:
        raise ValueError(
            f"{run.path}: holds no rollouts and no answers of a validation; train with "
            "trainer.rollout_data_dir=FOLDER, or name --rollouts or --text"
        )
    return run.dumps


def _is_whole(dump: Path | None, limit: int | None) -> bool:
    """Whether all of a step's responses are shown: weights are made of their mean entropies."""
    if dump is None or limit is not None:
        return False
    return dump.suffix != ".jsonl" or dump.read_bytes().endswith(b"\n")


def _model(run: RunFolder | None, sampled_by: int) -> tuple[int, str]:
    """Step and place of the saved model nearest to that of this step."""
    if run is None:
        raise ValueError(
            "name the model that wrote this with --model; only a RUN tells it by itself"
        )
    found = run.model_near(sampled_by)
    if found is None:
        raise ValueError(f"{run.path}: has no checkpoint and names no model; name it with --model")
    return found


def _clock(run: RunFolder | None) -> Clock | None:
    state = run.about.get("clock") if run else None
    return Clock.from_state(state) if isinstance(state, dict) else None


def _is_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
