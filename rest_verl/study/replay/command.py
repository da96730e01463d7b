"""The command `rest-verl replay-step`: why did this step do that?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rest_verl.algorithm.presets import PRESETS
from rest_verl.options.assignments import read_assignments
from rest_verl.options.lists import Listed, split_paths
from rest_verl.options.values import json_object, positive_int, positive_number, training_progress

_DESCRIPTION = "labels, weights, advantages and loss of one recorded step, beside the run's log"
_AGGREGATIONS = ("seq-mean-token-mean", "token-mean", "token-sum", "seq-mean-token-sum")


def add_replay_step(commands: Any) -> None:
    """Adds `replay-step` to the sub-commands of the command line."""
    command = commands.add_parser("replay-step", help=_DESCRIPTION, description=_DESCRIPTION)
    add = command.add_argument
    add(
        "rollouts",
        type=Path,
        metavar="ROLLOUTS",
        help="tq_batch.pt of skip.rollout_tq, or <step>.jsonl of trainer.rollout_data_dir",
    )
    add(
        "--model",
        required=True,
        help="the policy that the step began with: a Hugging Face folder, a global_step_* of "
        "verl's, or a hub name",
    )
    add("--preset", choices=list(PRESETS), default="paper", help="the run's (default: paper)")
    add(
        "--rest",
        action=Listed,
        default=[],
        metavar="KEY=VALUE",
        help="what the run changed of algorithm.rest, such as w_max=1.5",
    )
    moment = command.add_mutually_exclusive_group()
    moment.add_argument(
        "--progress", type=training_progress, metavar="NU", help="training progress, 0 to 1"
    )
    moment.add_argument(
        "--total-steps",
        type=positive_int,
        metavar="N",
        help="steps at progress 1; default of both: the checkpoint's clock, else what was logged",
    )
    add("--temperature", type=positive_number, default=1.0, help="of the rollout (default: 1)")
    add(
        "--loss-agg-mode",
        choices=_AGGREGATIONS,
        default=_AGGREGATIONS[0],
        help="the actor's (default: seq-mean-token-mean, as +rest sets it)",
    )
    add(
        "--no-std",
        action="store_true",
        help="the run had algorithm.norm_adv_by_std_in_grpo=False",
    )
    add(
        "--metrics",
        type=Path,
        metavar="RUN",
        help="the run's folder or metrics file (default: the nearest above ROLLOUTS)",
    )
    add(
        "--data",
        action=Listed,
        split=split_paths,
        type=Path,
        default=[],
        metavar="PARQUET",
        help="with <step>.jsonl: the run's rows, for prompts with their special tokens",
    )
    add(
        "--chat-template-kwargs",
        type=json_object,
        default={},
        metavar="JSON",
        help="""with --data: the run's, such as '{"enable_thinking": false}'""",
    )
    add(
        "--output",
        type=Path,
        default=Path("replayed"),
        metavar="FOLDER",
        help="for replay.json and replay.jsonl (default: replayed); goes on there",
    )
    command.set_defaults(run_command=replay_step)


def replay_step(arguments: argparse.Namespace) -> int:
    """Reads, passes, works out, compares and writes."""
    from rest_verl.algorithm.config import ReSTConfig
    from rest_verl.files.responses import refuse_cut
    from rest_verl.study.recorded import dump_files, read_recorded
    from rest_verl.study.replay.batch import check_rows
    from rest_verl.study.replay.log import find_log, logged_step

    # before a model is read: what can be refused at once
    options = {"preset": arguments.preset, **read_assignments(arguments.rest, "--rest")}
    config = ReSTConfig.from_options(options)
    if config.weights_per == "turn":
        raise ValueError("--rest weights_per=turn: dumps do not tell which turn a token is of")
    if arguments.output.exists() and not arguments.output.is_dir():
        raise ValueError(f"--output {arguments.output}: is a file; name a folder")
    for path in arguments.data:
        if not path.is_file():
            raise ValueError(f"--data {path}: no such file; name the run's parquet files")
    dumps = dump_files(arguments.rollouts)
    if len(dumps) > 1:
        raise ValueError(f"{arguments.rollouts}: holds {len(dumps)} dumps; name one, as {dumps[0]}")
    rows = read_recorded(dumps[0], refuse_cut)
    step = check_rows(rows, dumps[0])
    source = find_log(dumps[0], arguments.metrics)
    log = None if source is None else logged_step(source, step)
    if arguments.metrics is not None and log is None:
        raise ValueError(f"--metrics {arguments.metrics}: has nothing of step {step}")
    model = _model(arguments.model)
    progress, entropies = _clock(arguments, config, log)

    from rich.console import Console

    from rest_verl.algorithm.memory import EntropyMemory
    from rest_verl.files.atomic import write_atomically, write_json
    from rest_verl.integration.cores import use_free_cores
    from rest_verl.study.replay.log import beside, print_lines, remarks
    from rest_verl.study.replay.passes import policy_passes
    from rest_verl.study.replay.step import Method, replay
    from rest_verl.viewing.tokens.entropy import load_model

    use_free_cores()
    batch = _reader(arguments, model, config.syntax).batch(rows, step)
    memory = EntropyMemory(config.entropy_ema) if config.entropy_ema else None
    if memory is not None:
        memory.load(entropies)
    try:
        log_prob_BT, entropy_BT = policy_passes(
            batch,
            # float32, as a GPU would not have it by itself
            lambda: load_model(model).float(),
            temperature=arguments.temperature,
            model=_identity(model),
            folder=arguments.output / "passes",
        )
    except KeyboardInterrupt:
        print(
            f"\nstopped; passes that are done are in {arguments.output}, and the same command goes "
            "on from there",
            file=sys.stderr,
        )
        return 130
    method = Method(
        config=config,
        progress=progress,
        memory=memory,
        norm_by_std=not arguments.no_std,
        aggregation=arguments.loss_agg_mode,
    )
    found = replay(batch, log_prob_BT, entropy_BT, method)
    lines = beside(found.metrics, log)
    said = list(remarks(lines, batch))
    if config.shuffle:
        said.append(
            "shuffle: the permutation follows from the entropies to the last bit, so the weights "
            "here stand at other tokens than the step's did."
        )
    if log is None:
        where = "no metrics are near the dump" if source is None else f"{source} has no such step"
        said.append(f"There is no log beside it: {where}; --metrics names one.")
    elif memory is not None and not entropies:
        said.append("entropy_ema: the averages before this step are unknown, and left out.")
    about = {"rollouts": str(dumps[0]), "model": arguments.model, "step": step, **options}
    about |= {"temperature": arguments.temperature, "loss_agg_mode": arguments.loss_agg_mode}
    write_json(
        arguments.output / "replay.json", {"settings": about, "metrics": lines, "remarks": said}
    )
    write_atomically(
        arguments.output / "replay.jsonl", "".join(json.dumps(row) + "\n" for row in found.rows)
    )
    console = Console()
    print_lines(lines, step, console)
    for remark in said:
        console.print(remark, highlight=False, markup=False)
    print(arguments.output / "replay.jsonl")
    return 0


def _model(name: str) -> str:
    """What transformers can load: a checkpoint of verl's is merged into a folder of that form."""
    from rest_verl.integration.checkpoints import find_model

    folder = Path(name)
    if folder.is_dir():
        return str(find_model(folder))
    if folder.is_absolute() or name.startswith("."):
        raise ValueError(f"--model {name}: no such folder")
    return name


def _identity(model: str) -> Any:
    """What tells a model from others."""
    from rest_verl.integration.checkpoints import model_checksums

    return model_checksums(Path(model)) if Path(model).is_dir() else model


def _clock(
    arguments: argparse.Namespace, config: Any, log: Mapping[str, float] | None
) -> tuple[Any, Mapping[str, float]]:
    """From training steps to progress, and the averages of region entropies before the step.

    Raises:
        ValueError: nothing tells the progress, and the weights hang on it.
    """
    from rest_verl.algorithm.clock import Clock

    state = Path(arguments.model) / "rest_state.json"
    clock: Clock | None = None
    entropies: Mapping[str, float] = {}
    if state.is_file():
        from rest_verl.integration.chosen_platform import choose_platform

        choose_platform()
        from rest_verl.integration.run_state import read_state

        clock, entropies = read_state(state.parent)
    if arguments.progress is not None:
        return partial(_constant, arguments.progress), entropies
    if arguments.total_steps is not None:
        clock = Clock(horizon=float(arguments.total_steps))
    if clock is not None:
        return clock.progress, entropies
    logged = None if log is None else log.get("rest/progress")
    if logged is None and config.has_curriculum and config.clock == "progress":
        raise ValueError(
            "the weights change with training progress, and neither a log nor a checkpoint of the "
            "run tells it: give --total-steps N or --progress NU"
        )
    return partial(_constant, logged), entropies


def _constant(progress: float | None, steps: Any) -> float | None:
    return progress


def _reader(arguments: argparse.Namespace, model: str, syntax: str) -> Any:
    from rest_verl.study.replay.batch import Reader
    from rest_verl.viewing.tokens.entropy import load_tokenizer

    tokenizer = load_tokenizer(model)
    if not arguments.data:
        return Reader(model, tokenizer, syntax)
    from rest_verl.integration.chosen_platform import choose_platform

    choose_platform()
    from rest_verl.integration.token_builder import token_builder
    from rest_verl.study.rescore.tasks import TaskRows

    builder = token_builder(Path(model), arguments.chat_template_kwargs)
    return Reader(model, tokenizer, syntax, TaskRows(arguments.data, builder), builder)
