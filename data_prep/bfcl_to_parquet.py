"""Writes BFCL's categories as verl rows: train, validation and a manifest.

    python data_prep/bfcl_to_parquet.py --output-dir data/bfcl --prompt-style toolrl
    python data_prep/bfcl_to_parquet.py --output-dir data/bfcl_multi_turn --categories multi_turn

Without --categories all single-turn categories are written. `multi_turn` stands for the four
multi-turn ones, whose rows are run by the agent loop `rest_tool_env`.

Two runs with the same data and options write the same bytes. Rows that ask the same question, which
BFCL has across categories, fall on the same side of the split, and so do the variants of one
conversation in the multi-turn categories. A multi-turn row whose own answer does not earn the
maximum is left out and named in the manifest.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from rest_verl.data import (
    MULTI_TURN_CATEGORIES,
    BfclRow,
    BfclSource,
    PromptStyle,
    can_be_right,
    validation_keys,
    verl_row,
)
from rest_verl.data.bfcl import package_release
from rest_verl.data.bfcl_multi_turn import MultiTurnRow, multi_turn_row
from rest_verl.data.bfcl_replay import replay_category
from rest_verl.data.model_prompts import counts_by_category, leave_out_long
from rest_verl.data.parquet import BFCL_EXTRA_INFO, ENVIRONMENT_EXTRA_INFO, write_dataset
from rest_verl.integration.data_model import load_data_model
from rest_verl.options.lists import split_commas, with_commas


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet files.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of BFCL_v<N>_*.json files, v3 or v4; default: bfcl-eval's own."),
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(
            help="Separated by spaces or commas; multi_turn for all multi-turn ones. "
            "Default: all single-turn ones."
        ),
    ] = None,
    prompt_style: Annotated[
        PromptStyle, typer.Option(help="How tools are shown and answers written.")
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
    val_fraction: Annotated[float, typer.Option(help="Share of validation rows, in [0, 1).")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    try:
        asks = load_data_model(model, prompt_style, max_prompt_length)
        source = BfclSource.open(data_dir)
        asked = [name for option in categories or [] for name in split_commas(option)]
        chosen = source.select(asked)
        rows: list[BfclRow | MultiTurnRow] = []
        left_out: dict[str, str] = {}
        not_offered: dict[str, list[str]] = {}
        for category in tqdm(chosen, "read", unit="category", disable=None):
            if category not in MULTI_TURN_CATEGORIES:
                rows += source.read(category)
                continue
            played = replay_category(source, category)
            rows += played.rows
            left_out |= played.left_out
            not_offered |= {
                d.id: names for d in played.dialogues if (names := d.calls_not_offered())
            }
        held_out = validation_keys((row.question_key for row in rows), val_fraction, seed)
        splits: dict[str, list[dict]] = {"train": [], "validation": []}
        of_model: dict[str, Any] = {}
        if asks:
            of_model["syntax"] = asks.syntax or "toolrl"
            never_right = {
                row.id
                for row in rows
                if asks.syntax and isinstance(row, BfclRow) and not can_be_right(row, asks.syntax)
            }
            of_model["never_right"] = sorted(never_right)
            rows = [row for row in rows if row.id not in never_right]
        for index, row in enumerate(tqdm(rows, "build", unit="row", disable=None)):
            split = "validation" if row.question_key in held_out else "train"
            build = multi_turn_row if isinstance(row, MultiTurnRow) else verl_row
            splits[split].append(build(row, prompt_style, index=index, split=split))
        if asks and max_prompt_length is not None:
            too_long = leave_out_long(splits, asks.tokenizer, max_prompt_length)
            of_model |= {"max_prompt_length": max_prompt_length, "too_long": too_long}
        none = {category: dict.fromkeys(splits, 0) for category in chosen}
        counts = none | counts_by_category(splits)
        manifest: dict[str, Any] = {
            "source": {
                "name": source.name,
                "release": source.release,
                "data_version": source.version,
                "sha256": source.checksums(chosen),
            },
            "prompt_style": prompt_style,
            **of_model,
            "seed": seed,
            "validation_fraction": val_fraction,
            "counts": counts,
        }
        extra_info = BFCL_EXTRA_INFO
        if set(chosen) & set(MULTI_TURN_CATEGORIES):
            extra_info = ENVIRONMENT_EXTRA_INFO
            manifest["multi_turn"] = {
                "bfcl_eval_release": package_release(),
                "left_out": left_out,
                "answers_call_functions_not_offered": not_offered,
            }
        write_dataset(output_dir, splits, extra_info, manifest)
    except (ValueError, OSError) as error:
        typer.echo(f"bfcl_to_parquet: {error}", err=True)
        raise typer.Exit(1) from None
    for category, count in counts.items():
        typer.echo(f"{category:24}{count['train']:6} train{count['validation']:6} validation")
    for reason in left_out.values():
        typer.echo(f"left out: {reason}")
    for row_id, names in not_offered.items():
        typer.echo(f"{row_id}: its answer calls {', '.join(names)}, not offered at that point")
    for row_id in of_model.get("never_right", []):
        typer.echo(f"left out: {row_id}: its own answer is wrong by its tools' types")
    for row_id, length in of_model.get("too_long", {}).items():
        typer.echo(f"left out: {row_id}: {length} tokens in its prompt")
    written = sum(map(len, splits.values()))
    typer.echo(f"BFCL {source.version}, {written} rows, written to {output_dir}")


if __name__ == "__main__":
    sys.argv[1:] = with_commas(sys.argv[1:], "--categories")
    typer.run(main)
