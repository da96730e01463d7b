"""Splits dialogues with tool calls into single steps: a row for each message of the assistant.

    python data_prep/dialogues_to_steps.py --bfcl multi_turn --output-dir data/bfcl_steps
    python data_prep/dialogues_to_steps.py --input chats.jsonl --output-dir data/chat_steps

A step's prompt is the whole dialogue before it; its right answer are the message's calls, or no
call at all. BFCL's dialogues are made by playing its multi-turn answers. `--input` is a file of
recorded chats, JSON lines, a JSON array or parquet, in one of the layouts of docs/data.md.

Of a chat either right rows are made or none: the first that is at fault stops, and nothing is
written. `--skip-bad` leaves such chats out, counts them by reason, and writes them to
`refused.jsonl` beside the output; more than `--max-bad` of them stop it.

BFCL does not say which of a turn's calls belong to one message. With `--calls-per-step one` each is
a step, and its observation is in the history of the next: later calls often need what earlier ones
returned. With `all` a turn is one step.

Two runs with the same data and options write the same bytes. A dialogue is never split between
train and validation, nor are dialogues that open with the same question.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from rest_verl.data import (
    BfclSource,
    Dialogue,
    PromptStyle,
    Step,
    split_steps,
    step_row,
    validation_keys,
)
from rest_verl.data.bfcl import MULTI_TURN_CATEGORIES, package_release
from rest_verl.data.bfcl_replay import CallsPerStep, replay_category
from rest_verl.data.chats import LAYOUTS, Sifted, read_chats, refusal_table, refused_lines, sift
from rest_verl.data.model_prompts import counts_by_category, leave_out_long
from rest_verl.data.parquet import STEP_EXTRA_INFO, write_dataset
from rest_verl.integration.data_model import load_data_model
from rest_verl.options.lists import split_commas, with_commas

REFUSED = "refused.jsonl"


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet files.")],
    bfcl: Annotated[
        list[str] | None,
        typer.Option(
            help="Multi-turn categories, separated by spaces or commas; multi_turn for all."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of BFCL files, v3 or v4; default: bfcl-eval's own.")
    ] = None,
    input_file: Annotated[
        Path | None,
        typer.Option("--input", help="Recorded chats: JSON lines, a JSON array or parquet."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(help=f"Of --input: {', '.join(LAYOUTS)}; default: found out for each chat."),
    ] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out chats that give no right rows.")
    ] = False,
    max_bad: Annotated[
        float, typer.Option(help="With --skip-bad: the share of chats that may be left out.")
    ] = 0.05,
    prompt_style: Annotated[
        PromptStyle, typer.Option(help="How tools and history are shown and answers written.")
    ] = "toolrl",
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the model, for its tokenizer: with chat_template, answers are written "
            "as its chat template writes them."
        ),
    ] = None,
    max_prompt_length: Annotated[
        int | None,
        typer.Option(help="Leave out prompts, tools included, of more tokens; needs --model."),
    ] = None,
    calls_per_step: Annotated[
        CallsPerStep, typer.Option(help="Of a turn of BFCL: one call a step, or all of them.")
    ] = "one",
    calls_only: Annotated[
        bool, typer.Option("--calls-only", help="Leave out the steps that want no call.")
    ] = False,
    val_fraction: Annotated[
        float, typer.Option(help="Share of validation dialogues, in [0, 1).")
    ] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    try:
        if bool(bfcl) == bool(input_file):
            raise ValueError("name either --bfcl or --input")
        if data_dir and input_file:
            raise ValueError("--data-dir goes with --bfcl only")
        if bfcl and (layout or skip_bad):
            raise ValueError("--layout and --skip-bad go with --input only")
        if not 0 <= max_bad <= 1:
            raise ValueError(f"--max-bad is a share from 0 to 1, got {max_bad}")
        asks = load_data_model(model, prompt_style, max_prompt_length)
        syntax = asks.syntax if asks and asks.syntax else "hermes"

        def split(dialogue: Dialogue) -> Iterable[Step]:
            return split_steps(dialogue, prompt_style, syntax=syntax)

        left_out: dict[str, str] = {}
        sifted = Sifted()
        if input_file:
            chats = tqdm(read_chats(input_file, layout), "read", unit="chat", disable=None)
            sifted = sift(chats, split, skip_bad=skip_bad)
            kept = sifted.kept
            digest = hashlib.sha256(input_file.read_bytes()).hexdigest()
            source: dict[str, Any] = {
                "name": input_file.name,
                "sha256": digest,
                "layouts": dict(sifted.layouts),
                "nulls_left_out": sifted.num_nulls,
                "system_messages_replaced": sifted.num_systems_replaced,
                "refused": dict(Counter(record.refused.reason for record in sifted.refused)),
            }
            _check_share(sifted, max_bad)
        else:
            asked = [name for option in bfcl or [] for name in split_commas(option)]
            dialogues, left_out, source = _from_bfcl(asked, data_dir, calls_per_step)
            kept = [(dialogue, list(split(dialogue))) for dialogue in dialogues]
        held_out = validation_keys((d.split_key for d, _ in kept), val_fraction, seed)
        splits: dict[str, list[dict]] = {"train": [], "validation": []}
        index = 0
        for dialogue, steps in tqdm(kept, "build", unit="dialogue", disable=None):
            name = "validation" if dialogue.split_key in held_out else "train"
            for step in steps:
                if step.wants_calls or not calls_only:
                    row = step_row(dialogue, step, prompt_style, index=index, split=name)
                    splits[name].append(row)
                    index += 1
        if not index:
            raise ValueError("no step is left to write")
        of_model: dict[str, Any] = {}
        if asks:
            of_model["syntax"] = asks.syntax or "toolrl"
        if asks and max_prompt_length is not None:
            too_long = leave_out_long(splits, asks.tokenizer, max_prompt_length)
            of_model |= {"max_prompt_length": max_prompt_length, "too_long": too_long}
        counts = counts_by_category(splits)
        manifest = {
            "source": source,
            "prompt_style": prompt_style,
            **of_model,
            "calls_only": calls_only,
            "seed": seed,
            "validation_fraction": val_fraction,
            "counts": counts,
            "left_out": left_out,
        }
        texts = {REFUSED: refused_lines(sifted.refused)} if sifted.refused else {}
        write_dataset(output_dir, splits, STEP_EXTRA_INFO, manifest, texts)
        if not texts:
            (output_dir / REFUSED).unlink(missing_ok=True)  # of an earlier output
    except (ValueError, OSError) as error:
        typer.echo(f"dialogues_to_steps: {error}", err=True)
        raise typer.Exit(1) from None
    for category, count in counts.items():
        typer.echo(f"{category:24}{count['train']:6} train{count['validation']:6} validation")
    for reason in left_out.values():
        typer.echo(f"left out: {reason}")
    for row_id, length in of_model.get("too_long", {}).items():
        typer.echo(f"left out: {row_id}: {length} tokens in its prompt")
    for name, number in sifted.layouts.items():
        typer.echo(f"layout {name}: {number} chats")
    if sifted.num_nulls:
        typer.echo(f"nulls in arguments, as tables put them there, left out: {sifted.num_nulls}")
    if sifted.num_systems_replaced:
        typer.echo(f"system messages with tools, now in the prompt: {sifted.num_systems_replaced}")
    if sifted.refused:
        typer.echo(f"refused: {len(sifted.refused)} chats, in {output_dir / REFUSED}")
        typer.echo("\n".join(refusal_table(sifted.refused)))
    written = sum(map(len, splits.values()))
    typer.echo(f"{written} steps of {len(kept)} dialogues, written to {output_dir}")


def _check_share(sifted: Sifted, max_bad: float) -> None:
    bad, number = len(sifted.refused), len(sifted.refused) + len(sifted.kept)
    if number and bad / number > max_bad:
        typer.echo("\n".join(refusal_table(sifted.refused)), err=True)
        raise ValueError(
            f"{bad} of {number} chats are bad, more than --max-bad {max_bad}; nothing is written"
        )


def _from_bfcl(
    categories: list[str], data_dir: Path | None, calls_per_step: CallsPerStep
) -> tuple[list[Dialogue], dict[str, str], dict[str, Any]]:
    """(dialogues, id -> why a row is left out, the manifest's source)."""
    source = BfclSource.open(data_dir)
    chosen = source.select(categories)
    if single_turn := [name for name in chosen if name not in MULTI_TURN_CATEGORIES]:
        raise ValueError(
            f"{single_turn[0]} is single-turn: it has no steps; bfcl_to_parquet.py writes it"
        )
    dialogues: list[Dialogue] = []
    left_out: dict[str, str] = {}
    for category in tqdm(chosen, "play", unit="category", disable=None):
        played = replay_category(source, category, calls_per_step)
        left_out |= played.left_out
        for dialogue in played.dialogues:
            if names := dialogue.calls_not_offered():
                reason = f"its answer calls {', '.join(names)}, not offered at that point"
                left_out[dialogue.id] = f"{dialogue.id}: {reason}"
            else:
                dialogues.append(dialogue)
    return (
        dialogues,
        left_out,
        {
            "name": source.name,
            "release": source.release,
            "data_version": source.version,
            "sha256": source.checksums(chosen),
            "bfcl_eval_release": package_release(),
            "calls_per_step": calls_per_step,
        },
    )


if __name__ == "__main__":
    sys.argv[1:] = with_commas(sys.argv[1:], "--bfcl")
    typer.run(main)
