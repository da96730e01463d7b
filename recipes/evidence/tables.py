"""Fills the study's page and draws its picture from the cells that are there.

python -m recipes.evidence.tables

A page marks where a task's tables go: from `<!-- tables: tiny -->` to `<!-- end -->`. The picture
lies beside the page, under its name. Likewise `<!-- gradients: tiny -->` marks the place of what
`rest-verl gradients` wrote into gradients/tiny.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from recipes.evidence.cells import CELLS, DECLARATION, Study, read_study
from recipes.evidence.picture import draw
from recipes.evidence.report import completeness, task_report
from rest_verl.files.atomic import write_atomically

PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"
BLOCK = re.compile(r"(<!-- tables: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
MEASURED = re.compile(r"(<!-- gradients: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
GRADIENTS = Path(__file__).parent / "gradients"


def fill(page: str, study: Study) -> str:
    """The page with the tables of each marked task in place.

    Raises:
        ValueError: it marks a task that was not declared, or no place for one that has cells.
    """
    marked = [name for _, name, _ in BLOCK.findall(page)]
    if unknown := [name for name in marked if name not in study.tasks]:
        raise ValueError(f"tables of {', '.join(unknown)}: no such task is declared")
    run = {key.task for key in study.cells}
    if homeless := [name for name in study.tasks if name in run and name not in marked]:
        lines = ", ".join(f"'<!-- tables: {name} -->'" for name in homeless)
        raise ValueError(f"no place for tables: add the lines {lines}, each with '<!-- end -->'")
    page = BLOCK.sub(lambda match: f"{match[1]}{task_report(study, match[2])}\n{match[3]}", page)
    return MEASURED.sub(lambda match: f"{match[1]}{_measured(match[2])}\n{match[3]}", page)


def _measured(name: str) -> str:
    """What `rest-verl gradients` wrote into the folder of that name, without title and picture."""
    path = GRADIENTS / name / "gradients.md"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; write it with rest-verl gradients") from None
    kept = "\n".join(line for line in lines if not line.startswith(("# ", "![")))
    return re.sub(r"\n{3,}", "\n\n", kept).strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m recipes.evidence.tables")
    parser.add_argument("--declaration", type=Path, default=DECLARATION)
    parser.add_argument("--cells", type=Path, default=CELLS, help="folder of the cells' files")
    parser.add_argument("--page", type=Path, default=PAGE, help="what is filled")
    options = parser.parse_args(arguments)
    try:
        study = read_study(options.declaration, options.cells)
        if not options.page.is_file():
            raise ValueError(f"{options.page}: no such file")
        page = fill(options.page.read_text(encoding="utf-8"), study)
        picture = draw(study)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    write_atomically(options.page, page)
    options.page.with_suffix(".png").write_bytes(picture)
    for task in study.tasks:
        print(f"{task}: {completeness(study, task)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
