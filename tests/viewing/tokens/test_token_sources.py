"""Where a token view's rollouts come from: text, JSON lines, TransferQueue dumps; nothing runs."""

import codecs
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rest_verl.syntax import Terms
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.sources import read_rollouts, read_texts

TERMS = Terms(tags_valid=True, calls_parse=False, unclosed=False, cut_off=True)
LINE = {"input": "Q", "output": "A", "gts": {"x": 1}, "score": -2.0, "step": 36, "uid": "u_1_0"}


def write_lines(path: Path, *lines: Any) -> Path:
    path.write_bytes(
        b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    return path


def test_a_line_of_verls(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "36.jsonl", {**LINE, "tags_valid": 1.0, "calls_parse": 0.0, "unclosed": 0}, b"\n"
    )
    assert read_rollouts(path) == [
        Rollout(
            name="u_1_0",
            text="A",
            prompt="Q",
            score=-2.0,
            terms=TERMS._replace(cut_off=None),
            ground_truth='{\n  "x": 1\n}',
            group="u",
            session="u_1",
            step=36,
        )
    ]


def test_without_a_key_the_prompt_is_the_group(tmp_path: Path) -> None:
    (rollout,) = read_rollouts(write_lines(tmp_path / "1.jsonl", {"input": "Q", "output": "A"}))
    assert (rollout.name, rollout.group) == ("line 1", "Q")
    assert (rollout.score, rollout.terms, rollout.step) == (None, None, None)


def test_the_last_step_of_a_folder(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        write_lines(tmp_path / f"{step}.jsonl", {"output": f"step {step}"})
    assert read_rollouts(tmp_path)[0].text == "step 10"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"output": "A", "score": NaN}', "A"),
        (b'{"output": "A", "score": 1e999}', "A"),
        (b'{"output": "A", "score": true}', "A"),
        (b'{"output": "a\\ud800b"}', "a\ud800b"),
        (b'{"output": "a\xffb"}', "a\ufffdb"),
        ('{"output": "a\u2028b"}'.encode(), "a\u2028b"),  # ends no line
    ],
)
def test_odd_but_readable(line: bytes, text: str, tmp_path: Path) -> None:
    (rollout,) = read_rollouts(write_lines(tmp_path / "1.jsonl", line))
    assert (rollout.text, rollout.score) == (text, None)


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "1.jsonl", LINE, b"\n", b'{"output": "cut o')
    assert [rollout.text for rollout in read_rollouts(path)] == ["A"]


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["plain", "mark"])
def test_dumps_as_people_have_them(tmp_path: Path, mark: bytes) -> None:
    path = write_lines(tmp_path / "1.jsonl", mark, LINE, b"\r\n\r\n", LINE, b'\r\n{"output": "cu')
    assert [rollout.text for rollout in read_rollouts(path)] == ["A", "A"]
    write_lines(path, mark, b"\r\n", LINE, b"\r\n", b"{}\r\n")
    with pytest.raises(ValueError, match=r"1\.jsonl:3: no response of verl's"):
        read_rollouts(path)


def test_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text(json.dumps(LINE), encoding="utf-16")
    for read in (read_rollouts, lambda path: read_texts([path])):
        with pytest.raises(ValueError, match=r"1\.jsonl: is UTF-16, .*iconv -f UTF-16"):
            read(path)


def test_no_more_than_the_limit(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "1.jsonl", LINE, b"\n", LINE, b"\nbroken\n\n")
    assert len(read_rollouts(path, limit=2)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"broken\n{}", r"1\.jsonl:1: not a line of JSON"),
        (b"[" * 100_000 + b"\n", r"1\.jsonl:1: not a line of JSON"),
        (
            b'{"text": "A"}\n',
            r'1\.jsonl:1: no response of verl\'s \(an object with the text "output"',
        ),
        (b"[]\n", r"1\.jsonl:1: no response"),
        (b'{"output": 3}\n', r"1\.jsonl:1: no response"),
        (b"\n", "holds no rollouts"),
    ],
)
def test_damaged_lines_are_named(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read_rollouts(write_lines(tmp_path / "1.jsonl", content))


def test_text_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\xffb")
    assert read_texts([tmp_path / "a.txt"]) == [Rollout(name="a.txt", text="a\ufffdb")]
    (tmp_path / "a.txt").write_bytes(codecs.BOM_UTF8 + b"a\r\n")
    assert read_texts([tmp_path / "a.txt"]) == [Rollout(name="a.txt", text="a\r\n")]
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty\.txt: is empty"):
        read_texts([tmp_path / "empty.txt"])
    for path in (tmp_path / "absent.txt", tmp_path):
        with pytest.raises(ValueError, match="no such file"):
            read_texts([path])


@pytest.mark.parametrize("name", ["absent", "folder", "file.bin"])
def test_what_is_no_dump_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.bin").touch()
    with pytest.raises(ValueError, match=f"{name}: no"):
        read_rollouts(tmp_path / name)


def fields(num_tokens: int, score: float) -> dict[str, Any]:
    """A row as verl's agent loop puts it into the queue."""
    reward = torch.zeros(num_tokens)
    reward[-1] = score
    return {
        "prompts": torch.tensor([1, 2]),
        "responses": torch.arange(3, 3 + num_tokens),
        "response_mask": torch.ones(num_tokens, dtype=torch.int64),
        "rm_scores": reward,
        "entropy": torch.full((num_tokens,), 0.5, dtype=torch.bfloat16),
        "uid": "u",
        "session_id": 1,
        "global_steps": 4,
        "reward_model": {"ground_truth": "truth"},
        "extra_fields": {
            "reward_extra_info": {**TERMS.as_dict(), "cut_off": np.float64(1)},
            "turns": [np.ones(2)],
        },
    }


def assert_read(rollouts: list[Rollout]) -> None:
    assert [rollout.name for rollout in rollouts] == ["u_1_0", "u_1_1"]
    first = rollouts[0]
    assert first.token_ids is not None
    assert first.prompt_ids is not None
    assert first.entropy is not None
    assert first.response_mask is not None
    assert first.token_ids.tolist() == [3, 4, 5]
    assert first.prompt_ids.tolist() == [1, 2]
    assert first.response_mask.tolist() == [1, 1, 1]
    assert first.entropy.tolist() == [0.5, 0.5, 0.5]
    assert first.advantage is None
    assert (first.score, first.terms, first.step) == (2.0, TERMS, 4)
    assert (first.ground_truth, first.group, first.session) == ("truth", "u", "u_1")


def batch_of(*rows: dict[str, Any]) -> Any:
    """The rows as the queue gives them back: jagged tensors, other columns as non-tensor stacks."""
    tensordict = pytest.importorskip("tensordict", reason="verl brings tensordict")
    columns: dict[str, Any] = {}
    for name in rows[0]:
        column = [row[name] for row in rows]
        if isinstance(column[0], torch.Tensor):
            columns[name] = torch.nested.as_nested_tensor(column, layout=torch.jagged)
        else:
            columns[name] = tensordict.NonTensorStack(*map(tensordict.NonTensorData, column))
    return tensordict.TensorDict(columns, batch_size=len(rows))


def test_a_saved_batch(tmp_path: Path) -> None:
    batch = batch_of(fields(3, 2.0), fields(2, -1.0))
    payload = {
        "tensordict": batch,
        "tags": [{}, {}],
        "keys": ["u_1_0", "u_1_1"],
        "global_steps": 4,
    }
    torch.save(payload, tmp_path / "tq_batch.pt")
    assert_read(read_rollouts(tmp_path / "tq_batch.pt"))
    assert_read(read_rollouts(tmp_path))


def test_padding_rows_of_a_batch_are_left_out(tmp_path: Path) -> None:
    batch = batch_of(fields(3, 2.0), fields(1, 0.0))
    payload = {"tensordict": batch, "tags": [{}, {"is_padding": True}], "keys": ["u_1_0", "p"]}
    torch.save(payload, tmp_path / "tq_batch.pt")
    assert [rollout.name for rollout in read_rollouts(tmp_path)] == ["u_1_0"]


@pytest.mark.parametrize("inside", ["", "transfer_queue"])
def test_a_queues_checkpoint(inside: str, tmp_path: Path) -> None:
    storage = pytest.importorskip("transfer_queue.storage.simple_storage", reason="needs verl")
    unit = storage.StorageUnitData()
    rows = [fields(3, 2.0), fields(2, -1.0)]
    unit.put_data({name: [row[name] for row in rows] for name in rows[0]}, [0, 1])
    unit.put_data({"status": ["pending"]}, [2])  # a prompt that has no response yet
    folder = tmp_path / inside / "simple_storage"
    folder.mkdir(parents=True)
    unit.save_checkpoint(folder / "su_0_x.pkl", "x")
    assert_read(read_rollouts(tmp_path))


class Payload:
    """Runs a command where a pickle is trusted."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("form", ["batch", "storage"])
def test_a_hostile_pickle_runs_nothing(form: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    if form == "batch":
        torch.save({"tensordict": Payload(mark)}, tmp_path / "tq_batch.pt")
    else:
        (tmp_path / "simple_storage").mkdir()
        (tmp_path / "simple_storage" / "su.pkl").write_bytes(pickle.dumps(Payload(mark)))
    with pytest.raises(ValueError, match=r"read safely \(it asks for (posix|nt)\.system\)"):
        read_rollouts(tmp_path)
    assert not mark.exists()


def nested_pickle(mark: Path) -> bytes:
    """A plain pickle whose tensor storage is itself a hostile pickle."""
    inner = pickle.dumps(Payload(mark), protocol=2)

    class Storage:
        def __reduce__(self) -> tuple[Any, tuple[bytes]]:
            return torch.storage._load_from_bytes, (inner,)

    return pickle.dumps({"field_data": {"responses": {0: Storage()}}})


def test_a_hostile_tensor_inside_a_pickle_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "simple_storage").mkdir()
    (tmp_path / "simple_storage" / "su.pkl").write_bytes(nested_pickle(mark))
    with pytest.raises(ValueError, match="not a TransferQueue dump that can be read safely"):
        read_rollouts(tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", pickle.dumps([]), pickle.dumps({"field_data": {"responses": {0: 1}}})],
)
def test_a_damaged_dump_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "simple_storage").mkdir()
    (tmp_path / "simple_storage" / "su.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"su\.pkl: not a TransferQueue dump"):
        read_rollouts(tmp_path)
    (tmp_path / "tq_batch.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"tq_batch\.pt: not a TransferQueue dump"):
        read_rollouts(tmp_path / "tq_batch.pt")
