"""The command `rest-verl rescore`: recorded rollouts under another reward, or under the same."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from rest_verl.options.lists import Listed, split_paths
from rest_verl.options.values import json_object, positive_int

_DESCRIPTION = "recorded rollouts scored again, compared row by row with what was logged"


def add_rescore(commands: Any) -> None:
    """Adds `rescore` to the sub-commands of the command line."""
    command = commands.add_parser("rescore", help=_DESCRIPTION, description=_DESCRIPTION)
    add = command.add_argument
    add(
        "rollouts",
        type=Path,
        metavar="ROLLOUTS",
        help="<step>.jsonl of trainer.rollout_data_dir or validation_data_dir, tq_batch.pt of "
        "skip.rollout_tq, or a folder of these, such as a run's",
    )
    add(
        "--reward",
        action=Listed,
        required=True,
        metavar="PRESET|KEY=VALUE",
        help="of single answers: toolrl or toolrl_scheduled, and options of theirs such as "
        "correctness_max=2 or horizon=150",
    )
    add(
        "--total-steps",
        type=positive_int,
        metavar="N",
        help="the run's steps, by which a schedule goes",
    )
    add(
        "--tool-env",
        action=Listed,
        default=[],
        metavar="KEY=VALUE",
        help="of conversations: options of rest_tool_env, such as reward=dense; those of the run "
        "where they are not its defaults",
    )
    add("--model", metavar="FOLDER", help="of the run: its tokenizer and chat template are read")
    add(
        "--data",
        action=Listed,
        split=split_paths,
        type=Path,
        default=[],
        metavar="PARQUET",
        help="the run's rows",
    )
    add(
        "--syntax",
        default="auto",
        metavar="NAME",
        help="how the model writes calls (default: auto, as its chat template)",
    )
    add(
        "--chat-template-kwargs",
        type=json_object,
        default={},
        metavar="JSON",
        help="""the run's, such as '{"enable_thinking": false}'""",
    )
    add(
        "--output",
        type=Path,
        default=Path("rescored"),
        metavar="FOLDER",
        help="for rescored.jsonl and rescored.json (default: rescored); goes on there",
    )
    command.set_defaults(run_command=rescore)


def rescore(arguments: argparse.Namespace) -> int:
    """Reads, scores, compares and writes."""
    from rest_verl.study.recorded import dump_files, read_recorded
    from rest_verl.study.rescore.settings import Settings, reward_settings, tool_env_settings

    reward, clock = reward_settings(arguments.reward, arguments.total_steps)
    settings = Settings(
        reward=reward,
        clock=clock,
        tool_env=tool_env_settings(arguments.tool_env),
        model=arguments.model,
        syntax=arguments.syntax,
        chat_template_kwargs=arguments.chat_template_kwargs,
        data=tuple(arguments.data),
    )
    if arguments.model is not None and not Path(arguments.model).is_dir():
        raise ValueError(f"--model {arguments.model}: no such folder; name the run's model")
    for path in arguments.data:
        if not path.is_file():
            raise ValueError(f"--data {path}: no such file; name the run's parquet files")
        if arguments.model is None:
            raise ValueError(f"--data {path}: rows are found by their prompt: add --model FOLDER")
    dumps = dump_files(arguments.rollouts)

    from rich.console import Console
    from tqdm import tqdm

    from rest_verl.study.rescore.store import Store
    from rest_verl.study.rescore.summary import print_summary, summarise

    store = Store(arguments.output, settings.fingerprint())
    pending = [dump for dump in dumps if store.records(dump) is None]
    if pending:
        scorer = _scorer(settings)
        num_rows = 0
        for dump in tqdm(pending, desc="reading", unit="file", disable=None, leave=False):
            rows = read_recorded(dump)
            scorer.check(rows)
            num_rows += len(rows)
        try:
            with tqdm(total=num_rows, desc="scoring", unit="row", disable=None) as bar:
                for dump in pending:
                    records = []
                    for record in scorer.score(read_recorded(dump, _unsaid), str(dump)):
                        records.append(record)
                        bar.update()
                    store.write(dump, records)
        except KeyboardInterrupt:
            done = sum(store.records(dump) is not None for dump in dumps)
            print(
                f"\nstopped with {done} of {len(dumps)} files in {arguments.output}; the same "
                "command goes on from there",
                file=sys.stderr,
            )
            return 130
    records = [record for dump in dumps for record in store.records(dump) or []]
    summary = summarise(records)
    store.finish(records, {"settings": settings.fingerprint(), **summary})
    print_summary(summary, Console())
    print(arguments.output / "rescored.jsonl")
    return 0


def _unsaid(_: Path) -> None:
    """A cut line, at the second reading."""


def _scorer(settings: Any) -> Any:
    """Reads what the settings name; verl is imported where a model is."""
    from rest_verl.study.rescore.scoring import Scorer

    if settings.model is None:
        return Scorer(settings, None, None, None)
    import logging
    import warnings

    from rest_verl.integration.chosen_platform import choose_platform

    logging.disable(logging.WARNING)  # as in `doctor`: verl warns of every engine that is missing
    warnings.simplefilter("ignore")
    choose_platform()
    from transformers import AutoConfig

    from rest_verl.integration.token_builder import token_builder
    from rest_verl.study.rescore.conversations import ConversationScorer
    from rest_verl.study.rescore.tasks import TaskRows

    try:
        builder = token_builder(Path(settings.model), settings.chat_template_kwargs)
        model_type = AutoConfig.from_pretrained(settings.model).model_type
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--model {settings.model}: no model can be read ({reason})") from None
    tasks = TaskRows(settings.data, builder) if settings.data else None
    conversations = ConversationScorer(settings, builder.tokenizer, model_type)
    return Scorer(settings, builder.tokenizer, tasks, conversations)
