"""Writes API-Bank as verl rows, `validation.parquet`, and a manifest.

    python data_prep/api_bank_to_parquet.py --data-dir API_BANK --output-dir data/api_bank

The folder holds ToolRL's three files `level-<N>-api_processed.json`. A benchmark is not trained on,
so there is one split: give it to verl as a validation file. Two runs write the same bytes.
"""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from rest_verl.data.api_bank import LEVELS, level_file, read_api_bank, verl_row
from rest_verl.data.parquet import write_dataset

SPLIT = "validation"
EXTRA_INFO = pa.struct(
    [("index", pa.int64()), *((name, pa.string()) for name in ("id", "category", "split"))]
)


def main(
    data_dir: Annotated[Path, typer.Option(help="Folder of level-<N>-api_processed.json.")],
    output_dir: Annotated[Path, typer.Option(help="Folder for the parquet file.")],
) -> None:
    try:
        rows = read_api_bank(data_dir)
        counts = Counter(row.category for row in rows)
        not_shown = [row.id for row in rows if not row.shows_tool]
        files = [level_file(data_dir, level) for level in LEVELS]
        manifest = {
            "source": {
                "name": data_dir.resolve().name,
                "sha256": {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files},
            },
            "counts": counts,
            "answers_call_tools_not_shown": not_shown,
        }
        verl_rows = [verl_row(row, index=index, split=SPLIT) for index, row in enumerate(rows)]
        write_dataset(output_dir, {SPLIT: verl_rows}, EXTRA_INFO, manifest)
    except (ValueError, OSError) as error:
        typer.echo(f"api_bank_to_parquet: {error}", err=True)
        raise typer.Exit(1) from None
    for category, count in counts.items():
        typer.echo(f"{category}: {count} rows")
    for row_id in not_shown:
        typer.echo(f"{row_id}: its prompt does not show the tool that its answer calls")
    typer.echo(f"{len(rows)} rows, written to {output_dir}")


if __name__ == "__main__":
    typer.run(main)
