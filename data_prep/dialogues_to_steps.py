"""Splits dialogues with tool calls into single steps: a row for each message of the assistant.

    python data_prep/dialogues_to_steps.py --bfcl multi_turn --output-dir data/bfcl_steps
    python data_prep/dialogues_to_steps.py --input chats.jsonl --output-dir data/chat_steps

A step's prompt is the whole dialogue before it; its right answer are the message's calls, or no
call at all. BFCL's dialogues are made by playing its multi-turn answers; a line of `--input` is
`{"messages": [...], "tools": [...]}` in OpenAI's layout.

BFCL does not say which of a turn's calls belong to one message. With `--calls-per-step one` each is
a step, and its observation is in the history of the next: later calls often need what earlier ones
returned. With `all` a turn is one step.

Two runs with the same data and options write the same bytes. A dialogue is never split between
train and validation, nor are dialogues that open with the same question.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from rest_verl.data import (
    BfclSource,
    Dialogue,
    PromptStyle,
    read_dialogues,
    split_steps,
    step_row,
    validation_keys,
)
from rest_verl.data.bfcl import MULTI_TURN_CATEGORIES, package_release
from rest_verl.data.bfcl_replay import CallsPerStep, replay_category
from rest_verl.data.model_prompts import counts_by_category, leave_out_long
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset
from rest_verl.integration.data_model import load_data_model


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet files.")],
    bfcl: Annotated[
        list[str] | None,
        typer.Option(
            help="Multi-turn categories, separated by commas or repeated; multi_turn for all."
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of BFCL files, v3 or v4; default: bfcl-eval's own.")
    ] = None,
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON lines of chat messages.")
    ] = None,
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
        asks = load_data_model(model, prompt_style, max_prompt_length)
        syntax = asks.syntax if asks and asks.syntax else "hermes"
        left_out: dict[str, str] = {}
        if input_file:
            if data_dir:
                raise ValueError("--data-dir goes with --bfcl only")
            dialogues = list(read_dialogues(input_file))
            digest = hashlib.sha256(input_file.read_bytes()).hexdigest()
            source: dict[str, Any] = {"name": input_file.name, "sha256": digest}
        else:
            asked = [name.strip() for option in bfcl or [] for name in option.split(",")]
            dialogues, left_out, source = _from_bfcl(asked, data_dir, calls_per_step)
        held_out = validation_keys((d.split_key for d in dialogues), val_fraction, seed)
        splits: dict[str, list[dict]] = {"train": [], "validation": []}
        index = 0
        for dialogue in tqdm(dialogues, "build", unit="dialogue", disable=None):
            split = "validation" if dialogue.split_key in held_out else "train"
            for step in split_steps(dialogue, prompt_style, syntax=syntax):
                if step.wants_calls or not calls_only:
                    row = step_row(dialogue, step, prompt_style, index=index, split=split)
                    splits[split].append(row)
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
        write_dataset(output_dir, splits, BFCL_EXTRA_INFO, manifest)
    except (ValueError, OSError) as error:
        typer.echo(f"dialogues_to_steps: {error}", err=True)
        raise typer.Exit(1) from None
    for category, count in counts.items():
        typer.echo(f"{category:24}{count['train']:6} train{count['validation']:6} validation")
    for reason in left_out.values():
        typer.echo(f"left out: {reason}")
    for row_id, length in of_model.get("too_long", {}).items():
        typer.echo(f"left out: {row_id}: {length} tokens in its prompt")
    written = sum(map(len, splits.values()))
    typer.echo(f"{written} steps of {len(dialogues)} dialogues, written to {output_dir}")


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
    typer.run(main)
