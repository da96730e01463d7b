"""Fills this recipe's README with what its runs came to, and draws their curves.

python -m recipes.turn_credit.tables
"""

import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from recipes.evidence.statistics import Estimate, bootstrap, contrast, sign_flip_p
from recipes.turn_credit.run import (
    CELLS,
    HERE,
    cell_path,
    digest,
    evaluation_steps,
    read_declaration,
)
from rest_verl.evaluation.table import CONFIDENCE_LABEL, code, markdown_table
from rest_verl.files.atomic import write_atomically
from rest_verl.viewing.palette import LIGHT

PAGE, PICTURE = HERE / "README.md", "curves.png"
BLOCK = re.compile(r"(<!-- tables -->\n).*?(<!-- end -->)", re.DOTALL)

SURE = 0.001

Cell = Mapping[str, Any]
Cells = dict[str, dict[int, Cell]]
"""Arm -> seed -> record."""


def read_cells(declared: Mapping[str, Any], folder: Path) -> Cells:
    """The runs that are there.

    Raises:
        ValueError: one was made under another declaration, or is not whole.
    """
    cells: Cells = {}
    for arm in declared["arms"]:
        for seed in declared["seeds"]:
            path = cell_path(folder, arm, seed)
            if not path.exists():
                continue
            cell = json.loads(path.read_bytes())
            if cell["declaration"] != digest():
                raise ValueError(f"{path}: run under another declaration; move it away, run again")
            if [seen["step"] for seen in cell["evaluations"]] != evaluation_steps(declared):
                raise ValueError(f"{path}: not evaluated at the declared steps; run it again")
            cells.setdefault(arm, {})[seed] = cell
    return cells


def curve(cell: Cell) -> np.ndarray:
    """Held-out share of right turns at each evaluation."""
    return np.array([np.mean(seen["right"]) for seen in cell["evaluations"]])


def rise(cell: Cell) -> float:
    """Of the share, from before the first step to after the last."""
    return float(curve(cell)[-1] - curve(cell)[0])


def area(cell: Cell) -> float:
    """Under the curve, over what it was before the first step."""
    steps = [seen["step"] for seen in cell["evaluations"]]
    shares = curve(cell) - curve(cell)[0]
    return float(np.trapezoid(shares, steps) / (steps[-1] - steps[0]))


def rise_p(cell: Cell, evaluation: int = -1) -> float:
    """Welch's test over held-out conversations, before the first step against an evaluation."""
    first, later = (cell["evaluations"][which]["right"] for which in (0, evaluation))
    return float(stats.ttest_ind(later, first, equal_var=False).pvalue)


def first_sure_step(cell: Cell) -> int | None:
    """The first evaluation that is better than before by p < 0.001, as are all later ones."""
    first = None
    for number in reversed(range(1, len(cell["evaluations"]))):
        better = curve(cell)[number] > curve(cell)[0]
        if not (better and rise_p(cell, number) < SURE):
            break
        first = cell["evaluations"][number]["step"]
    return first


def report(declared: Mapping[str, Any], cells: Cells) -> str:
    """Markdown: every run, each arm's mean, and their difference seed by seed."""
    number = sum(map(len, cells.values()))
    declared_number = len(declared["arms"]) * len(declared["seeds"])
    parts = [f"{number} of {declared_number} declared runs.\n"]
    rows = [
        [
            f"{code(arm)}, seed {seed}",
            *(f"{100 * share:.1f}" for share in curve(cell)[[0, -1]]),
            f"{100 * rise(cell):+.1f}",
            _p(rise_p(cell)),
            f"{first_sure_step(cell) or '–'}",
            f"{100 * area(cell):+.1f}",
            f"{cell['seconds'] / 60:.0f}",
        ]
        for arm, of_arm in cells.items()
        for seed, cell in of_arm.items()
    ]
    head = ["run", "before, %", "after, %", "rise, points", "p", f"p < {SURE} from step"]
    head += ["area, points", "minutes"]
    parts.append(markdown_table(head, rows))
    measures = {"rise": rise, "area": area}
    rows = []
    for arm, of_arm in cells.items():
        runs = list(of_arm.values())
        values = [_over_seeds([list(map(measure, runs))], 1) for measure in measures.values()]
        rows.append([f"{code(arm)}, mean of {len(runs)}", *map(_points, values), "–"])
    first, second = declared["arms"]
    pairs = sorted(cells.get(first, {}).keys() & cells.get(second, {}).keys())
    if pairs:
        both = {
            name: [[measure(cells[arm][seed]) for seed in pairs] for arm in (first, second)]
            for name, measure in measures.items()
        }
        p = sign_flip_p(np.subtract(*both["rise"]))
        values = [_over_seeds(of_arms, 1, -1) for of_arms in both.values()]
        count = f"{len(pairs)} pair{'s' * (len(pairs) > 1)}"
        name = f"{code(first)} minus {code(second)}, {count}"
        rows.append([name, *map(_points, values), _p(p)])
    head = ["", f"rise ({CONFIDENCE_LABEL})", f"area ({CONFIDENCE_LABEL})", "p of the rise"]
    parts.append(markdown_table(head, rows))
    parts.append(f"![Held-out share of right turns over the steps]({PICTURE})\n")
    return "\n".join(parts)


def draw(declared: Mapping[str, Any], cells: Cells) -> bytes:
    """PNG: the curve of each run, and each arm's mean over its seeds."""
    figure = Figure(figsize=(6.4, 3.6), facecolor=LIGHT.background, layout="constrained")
    axes = figure.subplots()
    steps = evaluation_steps(declared)
    for color, (arm, of_arm) in zip(LIGHT.runs[1:], cells.items(), strict=False):
        curves = 100 * np.array([curve(cell) for cell in of_arm.values()])
        axes.plot(steps, curves.T, color=color, linewidth=0.8, alpha=0.5)
        axes.plot(steps, curves.mean(axis=0), color=color, linewidth=2.2, label=arm)
    axes.set_xlabel("training step", color=LIGHT.muted)
    axes.set_ylabel("held-out turns right, %", color=LIGHT.muted)
    axes.tick_params(colors=LIGHT.muted, length=0)
    axes.grid(color=LIGHT.grid)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.legend(frameon=False, labelcolor=LIGHT.ink)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _over_seeds(values_AS: Sequence[Sequence[float]], *coefficients: float) -> Estimate:
    return bootstrap(np.array(values_AS)[..., None], contrast(*coefficients))


def _points(estimate: Estimate) -> str:
    between = estimate.interval
    ends = f" ({100 * between.low:+.1f} to {100 * between.high:+.1f})" if between else ""
    return f"{100 * estimate.value:+.1f}{ends}"


def _p(p: float) -> str:
    return f"< {SURE}" if p < SURE else f"{p:.3f}"


def main() -> int:
    declared = read_declaration()
    try:
        cells = read_cells(declared, CELLS)
        if not cells:
            raise ValueError("no run is there yet: python -m recipes.turn_credit.run makes them")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    filled = report(declared, cells)
    page = PAGE.read_text(encoding="utf-8")
    write_atomically(PAGE, BLOCK.sub(lambda match: f"{match[1]}{filled}{match[2]}", page))
    PAGE.with_name(PICTURE).write_bytes(draw(declared, cells))
    print(filled)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
