"""The command fills the page and draws the picture; the published page is what the cells say."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from evidence_cells import declare, record, write, write_study

from recipes.evidence import tables
from recipes.evidence.cells import Study, read_study
from recipes.evidence.report import completeness, task_report
from recipes.evidence.tables import CELLS, DECLARATION, PAGE, fill, main

EMPTY_PAGE = "# Evidence\n\nAsked.\n\n<!-- tables: tiny -->\nold\n<!-- end -->\n\nConcluded.\n"
NUMBER = re.compile(r"[+-]?\d[\d,]*(?:\.\d+)?")


def chance(reward: str, arm: str, seed: int, at: float) -> float:
    return 0.3 + at * (0.3 if arm == "paper" else 0.1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a declaration, all its cells and an empty page."""
    folder = tmp_path_factory.mktemp("study")
    declaration = declare(folder)
    write_study(declaration, folder / "cells", chance, bfcl=True)
    (folder / "evidence.md").write_text(EMPTY_PAGE)
    return folder


def read(folder: Path) -> Study:
    return read_study(folder / "declaration.json", folder / "cells")


def run(folder: Path) -> int:
    return main(
        [
            *("--declaration", f"{folder / 'declaration.json'}"),
            *("--cells", f"{folder / 'cells'}"),
            *("--page", f"{folder / 'evidence.md'}"),
        ]
    )


def rows_of(report: str, title: str) -> dict[str, list[str]]:
    """First cell -> the others, of the table after a title."""
    _, _, after = report.partition(title)
    assert after, f"no {title!r} in the report"
    table = after.split("\n\n")[1]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    return {first: others for first, *others in [cells[0], *cells[2:]]}


def test_the_command(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(whole) == 0
    assert capsys.readouterr().out == "tiny: All 24 declared cells were run.\n"
    page, picture = (whole / "evidence.md").read_text(), (whole / "evidence.png").read_bytes()
    before, after = EMPTY_PAGE.split("old\n")
    assert page == f"{before}{task_report(read(whole), 'tiny')}\n{after}"
    assert picture.startswith(b"\x89PNG")
    assert run(whole) == 0  # nothing new: nothing changes
    assert (whole / "evidence.md").read_text() == page
    assert (whole / "evidence.png").read_bytes() == picture


def test_the_tables_of_a_whole_study(whole: Path) -> None:
    report = task_report(read(whole), "tiny")
    assert report.startswith(
        "10 steps, an evaluation on 40 held-out rows every 5; learning rate 0.0003; "
        "a cell took 1.5 minutes (median)."
    )
    assert "With 4 pairs p cannot be below 0.12." in report
    assert "One seed" not in report
    levels = rows_of(report, "**Outcomes under `toolrl`**")
    assert list(levels) == ["arm", "`uniform`", "`paper`", "`shuffled`"]
    assert levels["arm"][:3] == ["seeds", "area under the curve", "final exact match"]
    assert levels["`paper`"][0] == "4"
    assert re.fullmatch(r"\d+\.\d % \(\d+\.\d–\d+\.\d\)", levels["`paper`"][1])
    assert re.fullmatch(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", levels["`paper`"][4])
    assert levels["`uniform`"][5] == "10 (10 to 10), 4 of 4 seeds"
    first = rows_of(report, "**Differences in area under the curve under `toolrl_scheduled`**")
    assert list(first) == ["arm", "`paper`", "`shuffled`", "`paper` − `shuffled`"]
    pairs, points, p, adjusted, better, _, _ = first["`paper`"]
    assert (pairs, p, adjusted) == ("4", "0.12", "0.25")
    assert re.fullmatch(r"\+\d+\.\d \([+-]\d+\.\d to \+\d+\.\d\)", points)
    assert re.fullmatch(r"[01]\.\d\d \([01]\.\d\d–[01]\.\d\d\)", better)
    assert first["`paper` − `shuffled`"][3] == "–"
    effects = rows_of(report, "**Weights and schedule in area under the curve**")
    assert list(effects) == [
        "arms",
        "`paper` − `uniform`",
        "`shuffled` − `uniform`",
        "`paper` − `shuffled`",
    ]
    others = rows_of(report, "Differences in the other outcomes under toolrl<")
    assert others["arm"][::3] == [
        "final exact match",
        "final BFCL accuracy",
        "final held-out reward",
    ]
    side = rows_of(report, "Side effects under toolrl,")
    assert side["`paper`"] == ["48", "0.5", "0.905", "0.02", "0.01", "0.2", "0.3"]
    assert "of thoughts" not in side["arm"]
    assert report.count("<details>") == report.count("</details>") == 4


def test_one_seed(tmp_path: Path) -> None:
    declaration = declare(tmp_path, seeds=[0])
    write_study(declaration, tmp_path / "cells", chance)
    report = task_report(read(tmp_path), "tiny")
    assert "One seed: no interval, no p." in report
    assert "(median).\n\nAll 6 declared cells were run." in report
    levels = rows_of(report, "**Outcomes under `toolrl`**")
    assert "final BFCL accuracy" not in levels["arm"]
    assert re.fullmatch(r"\d+\.\d %", levels["`paper`"][1])
    _, points, *others = rows_of(report, "**Differences in area")["`paper`"]
    assert re.fullmatch(r"[+-]\d+\.\d", points)
    assert others[:2] == ["–", "–"]
    assert others[3:] == ["–", "–"]
    (tmp_path / "evidence.md").write_text(EMPTY_PAGE)
    assert run(tmp_path) == 0


def test_a_reward_that_is_not_reached(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    for seed in (0, 1):
        write(tmp_path / "cells", record(declaration, seed=seed))
        low = record(declaration, arm="paper", seed=seed, rewards=[0.0] * 10)
        write(tmp_path / "cells", low)
    levels = rows_of(task_report(read(tmp_path), "tiny"), "**Outcomes under `toolrl`**")
    assert levels["`paper`"][-1] == "not reached, 0 of 2 seeds"


def test_arms_without_their_reference_have_no_differences(tmp_path: Path) -> None:
    declaration = declare(tmp_path)
    write(tmp_path / "cells", record(declaration, arm="paper"))
    report = task_report(read(tmp_path), "tiny")
    assert "**Differences" not in report
    assert "Weights and schedule" not in report
    assert rows_of(report, "**Outcomes under `toolrl`**")["`paper`"][-1] == "–"
    (tmp_path / "evidence.md").write_text(EMPTY_PAGE)
    assert run(tmp_path) == 0


def test_what_was_not_run_is_named(tmp_path: Path) -> None:
    declaration = declare(tmp_path, seeds=[0, 1, 2, 5])
    write_study(declaration, tmp_path / "cells", chance)
    for arm, seed in [("paper", 1), ("paper", 2), ("paper", 5), ("shuffled", 0), ("shuffled", 2)]:
        (tmp_path / f"cells/tiny/toolrl/{arm}/seed_{seed}.json").unlink()
    for arm in ("uniform", "shuffled"):
        (tmp_path / f"cells/tiny/toolrl_scheduled/{arm}/seed_5.json").unlink()
    assert completeness(read(tmp_path), "tiny") == (
        "17 of 24 declared cells were run. Not run:\n\n"
        "- under `toolrl`: `paper` (seeds 1–2, 5); `shuffled` (seeds 0, 2)\n"
        "- under `toolrl_scheduled`: `uniform`, `shuffled` (seeds 5)"
    )
    first = rows_of(task_report(read(tmp_path), "tiny"), "**Differences in area")
    assert [first[arm][0] for arm in ("`paper`", "`shuffled`")] == ["1", "2"]


def test_nothing_run_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    declare(tmp_path)
    page = fill(EMPTY_PAGE, read(tmp_path))
    assert "\nNot run: none of the 24 declared cells.\n<!-- end -->" in page
    (tmp_path / "evidence.md").write_text(EMPTY_PAGE)
    assert run(tmp_path) == 1
    assert "nothing to draw" in capsys.readouterr().err
    assert (tmp_path / "evidence.md").read_text() == EMPTY_PAGE


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("# Evidence\n", "add the lines '<!-- tables: tiny -->', each with '<!-- end -->'"),
        ("<!-- tables: tiny -->\nnot closed\n", "add the lines"),
        (
            f"{EMPTY_PAGE}<!-- tables: large -->\n<!-- end -->\n",
            "tables of large: no such task is declared",
        ),
        (None, "evidence.md: no such file"),
    ],
)
def test_a_page_that_cannot_be_filled(
    tmp_path: Path, page: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "cells", record(declare(tmp_path)))
    if page is not None:
        (tmp_path / "evidence.md").write_text(page)
    assert run(tmp_path) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "evidence.png").exists()


def test_a_foreign_cell_stops_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = record(declare(tmp_path))
    path = write(tmp_path / "cells", {**content, "declaration": "f" * 64})
    (tmp_path / "evidence.md").write_text(EMPTY_PAGE)
    assert run(tmp_path) == 1
    assert capsys.readouterr().err.startswith(f"{path}: run under declaration ffffffffffff…")
    assert (tmp_path / "evidence.md").read_text() == EMPTY_PAGE


def test_several_tasks_on_one_page(whole: Path) -> None:
    study = read(whole)
    later = replace(study.tasks["tiny"], name="later")
    two = replace(study, tasks={**study.tasks, "later": later})
    page = fill(f"<!-- tables: later -->\n<!-- end -->\n{EMPTY_PAGE}", two)
    assert page.startswith("<!-- tables: later -->\nNot run: none of the 24 declared cells.\n<!--")
    assert page.count("<!-- end -->") == 2
    assert "Asked." in page
    assert "old" not in page


@pytest.mark.skipif(not (PAGE.exists() and CELLS.exists()), reason="no cell is published yet")
def test_the_published_page_is_what_the_cells_say() -> None:
    """If this fails, run python -m recipes.evidence.tables."""
    published = PAGE.read_text(encoding="utf-8")
    made = fill(published, read_study(DECLARATION, CELLS))
    assert NUMBER.sub("#", published) == NUMBER.sub("#", made)
    there, here = (
        [float(number.replace(",", "")) for number in NUMBER.findall(page)]
        for page in (published, made)
    )
    # Another machine may round a last digit otherwise.
    assert there == pytest.approx(here, abs=0.11, rel=0.02)


def test_measured_gradients_go_to_their_place(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "GRADIENTS", tmp_path)
    page = "<!-- gradients: made -->\nold\n<!-- end -->\n"
    with pytest.raises(ValueError, match=r"made/gradients.md: no such file; write it with"):
        tables.fill(f"{EMPTY_PAGE}{page}", read(whole))
    (tmp_path / "made").mkdir()
    report = "# Gradients\n\nmodel m\n\n| a |\n| - |\n\n![figures](gradients.png)\n\nSaid.\n"
    (tmp_path / "made" / "gradients.md").write_text(report)
    filled = tables.fill(f"{EMPTY_PAGE}{page}", read(whole))
    said = "model m\n\n| a |\n| - |\n\nSaid."
    assert filled.endswith(f"<!-- gradients: made -->\n{said}\n<!-- end -->\n")
