"""A folder of results: nothing whole is lost, nothing torn is kept, nothing is mixed."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rest_verl.evaluation.store import (
    ROWS_FILE,
    RUN_FILE,
    Store,
    read_records,
    read_run,
    write_atomically,
    write_records,
)

RUN = {
    "benchmark": "bfcl",
    "model": {"path": "/models/a", "files": {"model.safetensors": "ab"}},
    "options": {"temperature": 0.0, "samples": 1},
    "data": {"folder": None, "files": {"q.json": "cd"}},
}


def record(number: int, sample: int = 0, text: str = "é\u2028\n") -> dict:
    return {"id": f"row_{number}", "sample": sample, "text": text, "valid": True}


def changed(**changes: dict) -> dict:
    return {
        key: {**value, **changes[key]} if key in changes else value for key, value in RUN.items()
    }


def test_goes_on_where_it_stopped(tmp_path):
    folder = tmp_path / "new" / "results"
    with Store(folder, RUN) as store:
        store.append(record(0))
        store.append(record(1))
    with Store(folder, RUN) as store:
        assert list(store.records.values()) == [record(0), record(1)]
        store.append(record(2, sample=1))
    assert read_run(folder) == RUN
    assert read_records(folder) == [record(0), record(1), record(2, sample=1)]


def test_a_record_is_on_file_before_the_next(tmp_path):
    with Store(tmp_path, RUN) as store:
        store.append(record(0))
        assert read_records(tmp_path) == [record(0)]  # while the store is open, as after kill -9


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_off_anywhere(tmp_path, data):
    """Whatever byte the file ends at, exactly the whole lines count, and writing goes on there."""
    lines = [json.dumps(record(n), ensure_ascii=False).encode() + b"\n" for n in range(3)]
    end = data.draw(st.integers(0, sum(map(len, lines))))
    whole = sum(sum(map(len, lines[: n + 1])) <= end for n in range(3))
    path = tmp_path / ROWS_FILE
    path.unlink(missing_ok=True)
    with Store(tmp_path, RUN):
        pass
    path.write_bytes(b"".join(lines)[:end])
    assert read_records(tmp_path) == [record(n) for n in range(whole)]
    with Store(tmp_path, RUN) as store:
        assert list(store.records) == [(f"row_{n}", 0) for n in range(whole)]
        for number in range(whole, 3):
            store.append(record(number))
    assert path.read_bytes() == b"".join(lines)


@pytest.mark.parametrize(
    ("run", "differs"),
    [
        (changed(options={"temperature": 1.0}), "options.temperature was 0.0 and is now 1.0"),
        (changed(model={"files": {"model.safetensors": "ba"}}), 'was "ab" and is now "ba"'),
        (changed(model={"files": {}}), 'model.files.model.safetensors was "ab" and is now null'),
        (changed(data={"files": {"q.json": "cd", "r.json": "ef"}}), "data.files.r.json was null"),
        ({**RUN, "benchmark": "api_bank"}, 'benchmark was "bfcl" and is now "api_bank"'),
    ],
)
def test_another_run_is_refused(tmp_path, run, differs):
    with Store(tmp_path, RUN) as store:
        store.append(record(0))
    before = (tmp_path / RUN_FILE).read_bytes()
    with pytest.raises(ValueError, match="holds the results of another run") as error:
        Store(tmp_path, run)
    assert differs in str(error.value)
    assert (tmp_path / RUN_FILE).read_bytes() == before
    assert read_records(tmp_path) == [record(0)]


def test_the_same_files_elsewhere_are_the_same_run(tmp_path):
    with Store(tmp_path, RUN):
        pass
    with Store(tmp_path, changed(model={"path": "/moved"}, data={"folder": "/moved"})):
        pass


def test_a_run_that_came_to_no_row_can_be_changed(tmp_path):
    # as when the engine did not start, and said which option to change
    with Store(tmp_path, RUN):
        pass
    (tmp_path / ROWS_FILE).write_bytes(b'{"id": "row_0", "sam')  # nor is half a row one
    other = changed(options={"temperature": 1.0})
    with Store(tmp_path, other) as store:
        store.append(record(0))
    assert read_run(tmp_path) == other
    assert read_records(tmp_path) == [record(0)]


def test_folders_that_are_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match=r"holds mine\.txt but no run\.json"):
        Store(tmp_path, RUN)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(ValueError, match="is a file"):
        Store(tmp_path / "mine.txt", RUN)
    for read in (read_run, read_records):
        with pytest.raises(ValueError, match="holds no results"):
            read(tmp_path)


def test_one_process_at_a_time(tmp_path):
    with Store(tmp_path, RUN), pytest.raises(ValueError, match="another process is writing"):
        Store(tmp_path, RUN)
    with Store(tmp_path, RUN):  # free again
        pass


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{torn", r"rows\.jsonl:2: not a result record"),
        ('{"id": ["row_1"], "sample": 0}', r"rows\.jsonl:2: not a result record"),
        ('{"id": "row_1", "sample": 0, "x": NaN}', r"rows\.jsonl:2: not a result record"),
        ('{"id": "row_1", "sample": 0, "x": "\\ud800"}', r"rows\.jsonl:2: not a result record"),
        ("[" * 100_000, r"rows\.jsonl:2: not a result record"),
        ("[1]", r"rows\.jsonl:2: not a result record"),
        ('{"id": "row_1"}', r"rows\.jsonl:2: not a result record"),
        ("\0\0", r"rows\.jsonl:2: not a result record"),
        (json.dumps(record(0)), r"rows\.jsonl:2: row_0 sample 0 is there twice"),
    ],
)
def test_a_bad_line_is_named_and_the_folder_left_free(tmp_path, line, message):
    with Store(tmp_path, RUN) as store:
        store.append(record(0))
    with (tmp_path / ROWS_FILE).open("a") as file:
        file.write(f"{line}\n")
    for _ in range(2):  # the second time: not locked by the first
        with pytest.raises(ValueError, match=message):
            Store(tmp_path, RUN)


def test_a_line_that_is_not_utf_8_is_named(tmp_path):
    with Store(tmp_path, RUN) as store:
        store.append(record(0))
    with (tmp_path / ROWS_FILE).open("ab") as file:
        file.write(b'{"id": "row_1", "sample": 0, "text": "\xe9"}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl:2: not a result record"):
        read_records(tmp_path)


def test_replacing_is_all_or_nothing(tmp_path):
    path = tmp_path / "summary.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    with Store(tmp_path / "run", RUN) as store:
        store.append(record(1))
        write_records(store.folder, [record(0), record(1)])
    assert read_records(tmp_path / "run") == [record(0), record(1)]
