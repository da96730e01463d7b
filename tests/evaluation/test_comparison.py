"""Comparisons of whole runs: what is found, what is said, and what is refused."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from rest_verl.data.answers import write_answer
from rest_verl.data.api_bank import read_api_bank
from rest_verl.evaluation.api_bank.scoring import score_api_bank
from rest_verl.evaluation.comparison import Comparison, compare_folders

API_BANK = Path(__file__).resolve().parents[3] / "shared" / "data" / "api_bank"
SUMMARY = {"benchmark": "bfcl", "data_version": "v4", "mode": "tools"}


def record(id: str, valid: bool, sample: int = 0, category: str = "simple_python") -> dict:
    return {"id": id, "category": category, "sample": sample, "valid": valid, "text": "\u2028"}


def write_run(folder: Path, records: list[Any], **summary: Any) -> Path:
    folder.mkdir()
    (folder / "summary.json").write_text(json.dumps({**SUMMARY, **summary}))
    lines = [json.dumps(r, ensure_ascii=False) + "\n" for r in records]
    (folder / "rows.jsonl").write_text("".join(lines))
    return folder


def compare(tmp_path: Path, first: list[dict], second: list[dict]) -> Comparison:
    return compare_folders(write_run(tmp_path / "a", first), write_run(tmp_path / "b", second))


def test_a_run_with_itself(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [record(f"r{n}", n % 3 == 0) for n in range(30)])
    comparison = compare_folders(run, run)
    assert comparison.sentence() == (
        "No difference: the runs have the same verdict on each of 30 rows."
    )
    overall = comparison.overall
    assert (overall.difference, overall.p, overall.interval) == (0, 1, (0, 0))
    assert not overall.more_than_noise
    assert "Rows better in the second run (0): none" in comparison.to_markdown()


@pytest.mark.skipif(not API_BANK.is_dir(), reason="shared/data/api_bank is absent")
@pytest.mark.parametrize("corrupted", [1, 40])
def test_exactly_the_corrupted_rows_are_found(tmp_path: Path, corrupted: int) -> None:
    rows = read_api_bank(API_BANK)
    broken = set(random.Random(5).sample([row.id for row in rows], corrupted))
    runs: list[list[dict]] = [[], []]
    for row in rows:
        gold = write_answer([row.answer], "", "toolrl", think="t")
        wrong = gold.replace(f'"{row.answer.name}"', '"Nothing"')
        for run, text in zip(runs, (gold, wrong if row.id in broken else gold), strict=True):
            valid = score_api_bank(row, text).valid
            run.append(record(row.id, valid, category=row.category))
    random.Random(6).shuffle(runs[1])  # rows are paired by id, not by place
    comparison = compare(tmp_path, *runs)
    assert set(comparison.overall.worse) == broken
    assert len(comparison.overall.worse) == corrupted
    assert comparison.overall.better == ()
    assert comparison.overall.more_than_noise == (corrupted == 40)
    assert {c: r.rows for c, r in comparison.categories.items()} == {
        "level_1": 399, "level_2": 67, "level_3": 131
    }  # fmt: skip
    worse = [row for result in comparison.categories.values() for row in result.worse]
    assert set(worse) == broken


SENTENCES = [
    ("clearly better", 10, 0,
     "The second run is better, by more than noise: +50.00 points, from 50.00 % to 100.00 % on 20 "
     "rows; 95 % interval +30.00 to +70.00, p: 0.002."),
    ("clearly worse", 0, 9,
     "The second run is worse, by more than noise: -45.00 points, from 50.00 % to 5.00 % on 20 "
     "rows; 95 % interval -65.00 to -25.00, p: 0.0039."),
    # 5 of 5 rows one way: the interval excludes 0, but chance does that once in 16 times.
    ("too few rows", 5, 0,
     "The difference is not more than noise: +25.00 points, from 50.00 % to 75.00 % on 20 rows; "
     "95 % interval +10.00 to +45.00, p: 0.062."),
    ("as many either way", 3, 3,
     "The difference is not more than noise: +0.00 points, from 50.00 % to 50.00 % on 20 rows; "
     "95 % interval -25.00 to +25.00, p: 1."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("gained", "lost", "sentence"), [s[1:] for s in SENTENCES], ids=[s[0] for s in SENTENCES]
)
def test_sentences(tmp_path: Path, gained: int, lost: int, sentence: str) -> None:
    first = [record(f"r{n}", n < 10) for n in range(20)]
    second = [record(f"r{n}", lost <= n < 10 + gained) for n in range(20)]
    assert compare(tmp_path, first, second).sentence() == sentence


def test_several_samples(tmp_path: Path) -> None:
    # Row x: 1 of 2 right, then 2 of 2. Row y: 1 of 2 both times, though not the same one.
    verdicts = [{"x": (1, 0), "y": (1, 0)}, {"x": (1, 1), "y": (0, 1)}]
    runs = [
        [record(id, bool(v), n) for id, right in run.items() for n, v in enumerate(right)]
        for run in verdicts
    ]
    comparison = compare(tmp_path, *runs)
    overall = comparison.overall
    assert (overall.rows, overall.samples) == (2, 2)
    assert (overall.first, overall.second, overall.difference) == (0.5, 0.75, 0.25)
    assert (overall.better, overall.worse) == (("x",), ())
    assert comparison.first_spread.mean == 0.5
    assert comparison.first_spread.deviation == pytest.approx(0.5**0.5)  # samples: 100 %, 0 %
    assert comparison.second_spread.deviation == pytest.approx(0.125**0.5)  # 50 %, 100 %
    text = comparison.to_markdown()
    assert "exact sign-flip test" in text
    assert (
        "2 samples a row: mean 50.00 %, standard deviation 70.71 points, standard error 50.00"
    ) in text
    itself = compare_folders(tmp_path / "a", tmp_path / "a")
    assert itself.sentence() == (
        "No difference: the runs have the same number of right samples on each of 2 rows."
    )


def test_markdown_and_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first = [record("x", False), record("y", True, category="java")]
    second = [record("y", True, category="java"), record("x", True)]
    write_run(tmp_path / "a", first)
    write_run(tmp_path / "b", second)
    comparison = compare_folders(Path("a"), Path("b"))
    assert (
        comparison.to_markdown()
        == """\
# Two runs compared

The difference is not more than noise: +50.00 points, from 50.00 % to 100.00 % on 2 rows; \
95 % interval +0.00 to +100.00, p: 1.

- on `bfcl`, `v4`, `tools`
- first: `a`
- second: `b`

| rows | number | first | second | points | 95 % interval | p | better | worse |
| :-- | --: | --: | --: | --: | --: | --: | --: | --: |
| all | 2 | 50.00 % | 100.00 % | +50.00 | +0.00 to +100.00 | 1 | 1 | 0 |
| `simple_python` | 1 | 0.00 % | 100.00 % | +100.00 | +100.00 to +100.00 | 1 | 1 | 0 |
| `java` | 1 | 100.00 % | 100.00 % | +0.00 | +0.00 to +0.00 | 1 | 0 | 0 |

Every row has the same weight. p: McNemar's exact test on the rows, for categories not corrected \
for their number. Interval of the points: bootstrap over rows.

Rows better in the second run (1): `x`

Rows worse in the second run (0): none
"""
    )
    value = json.loads(comparison.to_json())
    assert value["sentence"] == comparison.sentence()
    assert (value["first"], value["second"], value["about"]) == ("a", "b", SUMMARY)
    assert value["overall"] == {
        "rows": 2, "samples": 1, "first": 0.5, "second": 1.0, "difference": 0.5,
        "interval": [0.0, 1.0], "p": 1.0, "better": ["x"], "worse": [], "more_than_noise": False,
    }  # fmt: skip
    assert value["categories"]["java"]["worse"] == []
    assert value["first_spread"] == {
        "num_values": 1, "mean": 0.5, "deviation": None, "error": None
    }  # fmt: skip


def test_markdown_shows_the_first_rows_and_no_mark_up_of_ids(tmp_path: Path) -> None:
    ids = [f"`r|{n}`\n# title" for n in range(53)]
    runs = [[record(id, valid) for id in ids] for valid in (False, True)]
    comparison = compare(tmp_path, *runs)
    text = comparison.to_markdown()
    assert "Rows better in the second run (53): `?r?0??# title`, " in text
    assert "`?r?49??# title` and 3 more, all in the JSON" in text
    assert json.loads(comparison.to_json())["overall"]["better"] == ids


A = [record("x", True), record("y", False)]
NOT_COMPARABLE = [
    ("version", {"data_version": "v3"}, A, "data_version is 'v4' in the first and 'v3' in the"),
    ("mode", {"mode": "prompt"}, A, "mode is 'tools' in the first and 'prompt' in the second"),
    ("benchmark", {"benchmark": "api_bank"}, A, "benchmark is 'bfcl' in the first and 'api_bank'"),
    ("fewer rows", {}, A[:1], "a has 1 rows that"),
    ("more rows", {}, [*A, record("z", True)], "b has 1 rows that"),
    ("samples", {}, [*A, record("x", True, 1), record("y", True, 1)], "samples is 1 in the"),
    ("category", {}, [A[0], record("y", True, category="java")], "the category of y is 'simple"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("summary", "records", "message"),
    [case[1:] for case in NOT_COMPARABLE],
    ids=[case[0] for case in NOT_COMPARABLE],
)
def test_refused_together(tmp_path: Path, summary: dict, records: list, message: str) -> None:
    first = write_run(tmp_path / "a", A)
    second = write_run(tmp_path / "b", records, **summary)
    with pytest.raises(ValueError, match="evaluate both") as caught:
        compare_folders(first, second)
    assert message in str(caught.value)
    assert str(first) in str(caught.value)
    assert str(second) in str(caught.value)


def test_other_contents_of_the_data_are_refused(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, A, data={"files": {"q.json": checksum}})
        for name, checksum in (("a", "12"), ("b", "34"), ("c", "12"))
    ]
    with pytest.raises(ValueError, match=r"q\.json had other contents in the second; evaluate"):
        compare_folders(*runs[:2])
    assert compare_folders(runs[0], runs[2]).overall.difference == 0


def test_the_rows_of_one_run_alone_are_named(tmp_path: Path) -> None:
    extra = [record(f"extra_{n}", True) for n in range(5)]
    with pytest.raises(ValueError, match=r"5 rows .*\(extra_0, extra_1, extra_2, \.\.\.\)"):
        compare(tmp_path, A, [*A, *extra])


BROKEN = [
    ("no rows", [], "holds no rows"),
    ("twice", [*A, A[0]], "rows.jsonl:3: sample 0 of x is there twice"),
    ("two categories", [*A, record("x", True, 1, "java")], "rows.jsonl:3: x is in two categories"),
    ("half done", [*A, record("x", True, 1)], "not the same samples of each"),
    ("no id", [{**A[0], "id": None}], 'rows.jsonl:1: a record needs "id"'),
    ("verdict as a number", [A[0], {**A[1], "valid": 1}], "rows.jsonl:2: a record needs"),
    ("not an object", [A[0], 7], "rows.jsonl:2: not a JSON object"),
]


@pytest.mark.parametrize(
    ("records", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_broken_rows(tmp_path: Path, records: list, message: str) -> None:
    run = write_run(tmp_path / "run", records)
    with pytest.raises(ValueError, match=r"rows\.jsonl") as caught:
        compare_folders(run, run)
    assert str(caught.value).startswith(str(run))
    assert message in str(caught.value)


def test_a_row_that_is_not_utf_8(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", A)
    with (run / "rows.jsonl").open("ab") as file:
        file.write(b'{"id": "\xff", "category": "java", "sample": 0, "valid": true}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl:3: not a line of JSON"):
        compare_folders(run, run)


def test_torn_row(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", A)
    with (run / "rows.jsonl").open("a") as file:
        file.write('{"id": "z", "val')
    with pytest.raises(ValueError, match=r"rows\.jsonl:3: not a line of JSON"):
        compare_folders(run, run)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no finished run"),
        ("{", "summary.json: cannot be read"),
        ("[]", 'summary.json: names no "benchmark"'),
        ('{"benchmark": 1}', 'summary.json: names no "benchmark"'),
    ],
)
def test_broken_summary(tmp_path: Path, content: str | None, message: str) -> None:
    run = write_run(tmp_path / "run", A)
    (run / "summary.json").unlink()
    if content is not None:
        (run / "summary.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        compare_folders(run, run)
