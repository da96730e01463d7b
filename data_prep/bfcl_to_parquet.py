"""Writes BFCL's single-turn categories as verl rows: train, validation and a manifest.

    python data_prep/bfcl_to_parquet.py --output-dir data/bfcl --prompt-style toolrl

Two runs with the same data and options write the same bytes. Rows that ask the same question, which
BFCL has across categories, fall on the same side of the split.
"""

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from rest_verl.data import BfclSource, PromptStyle, validation_keys, verl_row
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset


def main(
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet files.")],
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of BFCL_v<N>_*.json files, v3 or v4; default: bfcl-eval's own."),
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(help="Separated by commas, or repeated; default: all single-turn ones."),
    ] = None,
    prompt_style: Annotated[
        PromptStyle, typer.Option(help="How tools are shown and answers written.")
    ] = "toolrl",
    val_fraction: Annotated[float, typer.Option(help="Share of validation rows, in [0, 1).")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    try:
        source = BfclSource.open(data_dir)
        asked = [name.strip() for option in categories or [] for name in option.split(",")]
        chosen = source.select(asked)
        progress = tqdm(chosen, "read", unit="category", disable=None)
        rows = [row for category in progress for row in source.read(category)]
        held_out = validation_keys((row.question_key for row in rows), val_fraction, seed)
        splits: dict[str, list[dict]] = {"train": [], "validation": []}
        counts = {category: dict.fromkeys(splits, 0) for category in chosen}
        for index, row in enumerate(tqdm(rows, "build", unit="row", disable=None)):
            split = "validation" if row.question_key in held_out else "train"
            splits[split].append(verl_row(row, prompt_style, index=index, split=split))
            counts[row.category][split] += 1
        manifest = {
            "source": {
                "name": source.name,
                "release": source.release,
                "data_version": source.version,
                "sha256": source.checksums(chosen),
            },
            "prompt_style": prompt_style,
            "seed": seed,
            "validation_fraction": val_fraction,
            "counts": counts,
        }
        write_dataset(output_dir, splits, BFCL_EXTRA_INFO, manifest)
    except (ValueError, OSError) as error:
        typer.echo(f"bfcl_to_parquet: {error}", err=True)
        raise typer.Exit(1) from None
    for category, count in counts.items():
        typer.echo(f"{category:24}{count['train']:6} train{count['validation']:6} validation")
    typer.echo(f"BFCL {source.version}, {len(rows)} rows, written to {output_dir}")


if __name__ == "__main__":
    typer.run(main)
