"""A file is replaced whole, in a folder that is made if need be."""

import json
from pathlib import Path

import pytest

from rest_verl.files.atomic import write_atomically, write_json


def test_folders_are_made_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "x.json"
    for value in (1, {"ü": [2]}):
        write_json(path, value)
        assert json.loads(path.read_text(encoding="utf-8")) == value
    write_atomically(path.with_suffix(".md"), "text")
    assert sorted(child.name for child in path.parent.iterdir()) == ["x.json", "x.md"]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    write_atomically(path, b"old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert [(child.name, child.read_text()) for child in tmp_path.iterdir()] == [("x.md", "old")]
