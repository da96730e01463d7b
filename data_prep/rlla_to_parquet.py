"""Writes ToolRL's raw JSON as verl rows: train, validation and a manifest.

    python data_prep/rlla_to_parquet.py --input rlla_sft.json --output-dir data/rlla

Two runs with the same data and options write the same bytes. Rows with the same prompt fall on the
same side of the split.
"""

import hashlib
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from rest_verl.data.parquet import RLLA_EXTRA_INFO, write_dataset
from rest_verl.data.rlla import read_rlla, verl_row
from rest_verl.data.splits import validation_keys


def main(
    input_file: Annotated[Path, typer.Option("--input", help="ToolRL's JSON: a list of rows.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet files.")],
    val_fraction: Annotated[float, typer.Option(help="Share of validation rows, in [0, 1).")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
) -> None:
    try:
        rows = read_rlla(input_file)
        keys = [f"{row['instruction']}\n{row['input']}" for row in rows]
        held_out = validation_keys(keys, val_fraction, seed)
        splits: dict[str, list[dict]] = {"train": [], "validation": []}
        bar = tqdm(zip(rows, keys, strict=True), "build", len(rows), unit="row", disable=None)
        for index, (row, key) in enumerate(bar):
            split = "validation" if key in held_out else "train"
            splits[split].append(verl_row(row, index=index, split=split))
        manifest = {
            "source": {
                "name": input_file.name,
                "sha256": hashlib.sha256(input_file.read_bytes()).hexdigest(),
            },
            "seed": seed,
            "validation_fraction": val_fraction,
            "counts": {split: len(members) for split, members in splits.items()},
        }
        write_dataset(output_dir, splits, RLLA_EXTRA_INFO, manifest)
    except (ValueError, OSError) as error:
        typer.echo(f"rlla_to_parquet: {error}", err=True)
        raise typer.Exit(1) from None
    counts = ", ".join(f"{len(members)} {split}" for split, members in splits.items())
    typer.echo(f"{len(rows)} rows ({counts}), written to {output_dir}")


if __name__ == "__main__":
    typer.run(main)
