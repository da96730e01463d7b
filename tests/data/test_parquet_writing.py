"""The parquet files: layout, identical bytes, and nothing left after an error."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rest_verl.data.parquet import BFCL_EXTRA_INFO, RLLA_EXTRA_INFO, verl_schema, write_dataset

RLLA_TEST = Path(__file__).resolve().parents[3] / "shared" / "data" / "rlla" / "test.parquet"


def row(index: int, content: object = "Hi") -> dict:
    return {
        "data_source": "rlla",
        "prompt": [{"role": "user", "content": content}],
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": "<response> ok </response>"},
        "extra_info": {
            "index": index,
            "input": "",
            "instruction": "",
            "output": "",
            "split": "train",
        },
    }


def write(folder: Path, *rows: dict) -> None:
    write_dataset(folder, {"train": list(rows), "validation": []}, RLLA_EXTRA_INFO, {"seed": 3})


def test_rows_come_back(tmp_path: Path) -> None:
    rows = [row(0), row(1, "naïve 日本 \u2028")]
    write(tmp_path / "a" / "b", *rows)
    assert pq.read_table(tmp_path / "a" / "b" / "train.parquet").to_pylist() == rows


def test_manifest_describes_the_files(tmp_path: Path) -> None:
    write(tmp_path, row(0), row(1))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "manifest.json",
        "train.parquet",
        "validation.parquet",
    ]
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    sums = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in tmp_path.glob("*.parquet")}
    assert manifest == {
        "seed": 3,
        "files": {
            "train.parquet": {"rows": 2, "sha256": sums["train.parquet"]},
            "validation.parquet": {"rows": 0, "sha256": sums["validation.parquet"]},
        },
    }


def test_an_empty_split_has_the_columns(tmp_path: Path) -> None:
    write(tmp_path, row(0))
    assert pq.read_schema(tmp_path / "validation.parquet") == verl_schema(RLLA_EXTRA_INFO)


def test_same_bytes_over_other_data(tmp_path: Path) -> None:
    write(tmp_path / "one", row(0))
    write(tmp_path / "two", row(0), row(1))
    write(tmp_path / "two", row(0))
    for name in ("train.parquet", "validation.parquet", "manifest.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_split_that_is_no_longer_written_goes(tmp_path: Path) -> None:
    write(tmp_path, row(0))
    (tmp_path / "held_out.parquet").write_bytes(b"another's")
    write_dataset(tmp_path, {"train": [row(1)]}, RLLA_EXTRA_INFO, {})
    assert {path.name for path in tmp_path.iterdir()} == {
        "held_out.parquet",
        "manifest.json",
        "train.parquet",
    }


@pytest.mark.parametrize(
    "manifest", ["", "[]", '{"files": 3}', '{"files": {"validation.parquet": {}}}']
)
def test_what_no_manifest_vouches_for_stays(tmp_path: Path, manifest: str) -> None:
    (tmp_path / "validation.parquet").write_bytes(b"the user's")
    (tmp_path / "manifest.json").write_text(manifest)
    write_dataset(tmp_path, {"train": [row(1)]}, RLLA_EXTRA_INFO, {})
    assert (tmp_path / "validation.parquet").read_bytes() == b"the user's"


def test_a_split_changed_since_stays(tmp_path: Path) -> None:
    write(tmp_path, row(0))
    (tmp_path / "validation.parquet").write_bytes(b"changed by hand")
    write_dataset(tmp_path, {"train": [row(1)]}, RLLA_EXTRA_INFO, {})
    assert (tmp_path / "validation.parquet").read_bytes() == b"changed by hand"


BAD_ROWS = [row(1, content=5), row(1, content="\ud800"), {**row(1), "prompt": "text"}]


@pytest.mark.parametrize("bad", BAD_ROWS, ids=["number", "half a surrogate pair", "not a list"])
def test_nothing_new_after_an_error(tmp_path: Path, bad: dict) -> None:
    with pytest.raises((ValueError, TypeError)):
        write(tmp_path / "new" / "deep", row(0), bad)
    assert list(tmp_path.iterdir()) == []


def test_old_files_survive_an_error(tmp_path: Path) -> None:
    write(tmp_path, row(0))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises((ValueError, TypeError)):
        write(tmp_path, row(0), BAD_ROWS[0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_folder_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write(tmp_path / "file" / "deep", row(0))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not RLLA_TEST.is_file(), reason="shared/data/rlla is not there")
def test_columns_of_toolrl() -> None:
    theirs = pq.read_schema(RLLA_TEST).remove_metadata()
    assert verl_schema(RLLA_EXTRA_INFO) == theirs
    ours = verl_schema(BFCL_EXTRA_INFO)
    assert ours.names == theirs.names
    assert [ours.field(n) for n in ours.names[:-1]] == [theirs.field(n) for n in theirs.names[:-1]]
