"""The command `rest-verl view`: which tokens carry the gradient, and why."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from rest_verl.algorithm.presets import PRESETS
from rest_verl.options.lists import Listed, split_paths
from rest_verl.options.values import positive_int, training_progress
from rest_verl.syntax import Syntax, get_syntax

VIEWED = tuple(name for name, preset in PRESETS.items() if "shuffle" not in preset.values)
"""Presets whose weights belong to a region or to a token."""

_DESCRIPTION = "each token of a response by region, entropy and weight, as a page or here"


def add_view(commands: Any) -> None:
    """Adds `view` to the sub-commands of the command line."""
    view = commands.add_parser("view", help=_DESCRIPTION, description=_DESCRIPTION)
    add = view.add_argument
    add(
        "run",
        nargs="?",
        type=Path,
        metavar="RUN",
        help="folder of a run: its last rollouts (or validation), the model that is nearest to "
        "them, and its weights, unless an option names others",
    )
    add(
        "--model",
        help="Hugging Face folder, global_step_* of verl's, or a hub name: makes token ids of text "
        "and, where the preset needs them, the entropies",
    )
    source = view.add_mutually_exclusive_group()
    source.add_argument(
        "--text",
        action=Listed,
        split=split_paths,
        type=Path,
        metavar="FILE",
        help="model text, one response a file",
    )
    source.add_argument(
        "--rollouts",
        type=Path,
        metavar="DUMP",
        help="<step>.jsonl of trainer.rollout_data_dir or validation_data_dir, or that folder; "
        "tq_batch.pt of skip.rollout_tq; a global_step_* that holds transfer_queue",
    )
    add("--preset", choices=VIEWED, help="default: the run's own weights, else paper")
    add(
        "--progress",
        type=training_progress,
        metavar="NU",
        help="where the page's slider starts and what the terminal shows, 0 to 1 (default: that of "
        "the rollouts in their run, else 0)",
    )
    add(
        "--total-steps",
        type=positive_int,
        metavar="N",
        help="steps at progress 1, for the preset official, which counts steps (default: the "
        "run's, else 105, as in the released code's run)",
    )
    add(
        "--syntax",
        metavar="NAME",
        help="how the model writes calls, for rollouts whose prompt asks for no format (default: "
        "the run's, else auto, as its chat template)",
    )
    add("--limit", type=positive_int, metavar="N", help="only the first N rollouts")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="the page (default: RUN/view.html, else view.html)",
    )
    add("--terminal", action="store_true", help="print in colours; a page only with --output")
    view.set_defaults(run_command=view_tokens)


def view_tokens(arguments: argparse.Namespace) -> int:
    """Reads, weighs and shows."""
    from rest_verl.integration.message_reader import generation_end_ids
    from rest_verl.viewing.tokens.entropy import load_tokenizer, model_entropies
    from rest_verl.viewing.tokens.of_run import choose
    from rest_verl.viewing.tokens.view import build_view

    output = arguments.output
    if output is None and not arguments.terminal:
        output = (arguments.run or Path()) / "view.html"
    if output is not None and output.is_dir():
        raise ValueError(f"--output {output}: is a folder; name the HTML file to write")
    shown = choose(arguments)
    rollouts = shown.rollouts
    model = _model(shown.model)
    tokenizer = load_tokenizer(model)
    syntax = _syntax(shown.syntax, tokenizer)
    view = build_view(
        rollouts,
        tokenizer,
        shown.config,
        entropy_of=partial(model_entropies, model),
        progress=shown.progress,
        as_trained=shown.as_trained,
        total_steps=shown.total_steps,
        syntax=syntax,
        end_ids=generation_end_ids(model),
    )
    if arguments.terminal:
        from rest_verl.viewing.tokens.terminal import print_view

        print_view(view)
    if output is not None:
        from rest_verl.viewing.tokens.page import write_page

        num_tokens = len(view.token_ids)
        facts = [
            shown.weights,
            f"model {shown.model}",
            f"calls {', '.join(sorted({rollout.syntax or syntax.name for rollout in rollouts}))}",
            f"{len(rollouts):,} response{'s'[: len(rollouts) > 1]}",
            f"{num_tokens:,} tokens",
        ]
        print(write_page(view, output, title=shown.title, facts=facts))
    return 0


def _model(name: str) -> str:
    """What transformers can load: a checkpoint of verl's is merged into a folder of that form."""
    from rest_verl.integration.checkpoints import find_model

    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        return str(find_model(folder))
    return name


def _syntax(name: str, tokenizer: Any) -> Syntax:
    """By `auto` the template's; where it does not tell, `toolrl`, which reads `hermes` as well."""
    from rest_verl.integration.run_syntax import RunSyntaxes
    from rest_verl.integration.template_syntax import NoSyntax

    try:
        return RunSyntaxes(name, tokenizer).own
    except NoSyntax:
        return get_syntax("toolrl")
