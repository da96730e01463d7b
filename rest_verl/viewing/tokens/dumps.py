"""TransferQueue dumps of a run, read without running what a pickle asks for.

verl writes two, both pickles: `skip.rollout_tq` saves a batch (`tq_batch.pt`), and the checkpoints
of the asynchronous trainers hold the queue's storage (`transfer_queue/simple_storage/*.pkl`). A
pickle names the functions that rebuild its objects. Here a name means something only if it is in
`_KNOWN`: torch's and numpy's makers of arrays, and stand-ins for tensordict's classes that keep
their state and do nothing. Any other name is refused before it is looked up.
"""

from __future__ import annotations

import functools
import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from rest_verl.integration.run_syntax import asked_syntax
from rest_verl.syntax.terms import logged_terms
from rest_verl.viewing.tokens.rollout import Rollout, as_text, finite, rollout_key

Made = TypeVar("Made")

BATCH_FILE, STORAGE_FOLDER = "tq_batch.pt", "simple_storage"

_numpy = np._core if hasattr(np, "_core") else np.core


class _Record:
    """Stands in for an object of tensordict: holds the state it was saved with."""

    state: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, Mapping) else {}


class _Fields(_Record):
    """A TensorDict."""


class _Value(_Record):
    """A NonTensorData."""


class _Stack(_Record):
    """A NonTensorStack, or another lazy stack."""


def _make_record(kind: Any, state: Any) -> _Record:
    record = kind() if isinstance(kind, type) and issubclass(kind, _Record) else _Record()
    record.__setstate__(state)
    return record


def _load_storage(content: bytes) -> Any:
    """A tensor's storage in a plain pickle, where torch's own function would trust it."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


_DTYPES = [getattr(np.dtypes, name) for name in np.dtypes.__all__]
_KNOWN: dict[str, Any] = {
    "tensordict._reductions._make_td": _make_record,
    "tensordict._td.TensorDict": _Fields,
    "tensordict._lazy.LazyStackedTensorDict": _Stack,
    "tensordict.tensorclass.NonTensorData": _Value,
    "tensordict.tensorclass.NonTensorStack": _Stack,
    "torch.storage._load_from_bytes": _load_storage,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch.Size": torch.Size,
    "torch.device": torch.device,
    "collections.OrderedDict": OrderedDict,
    "numpy.dtype": np.dtype,
    "numpy.ndarray": np.ndarray,
    **{f"numpy.dtypes.{dtype.__name__}": dtype for dtype in _DTYPES},
    **{
        f"{package}.{name}": function
        for package in ("numpy._core", "numpy.core")  # numpy 2's name and numpy 1's
        for name, function in (
            ("multiarray.scalar", _numpy.multiarray.scalar),
            ("multiarray._reconstruct", _numpy.multiarray._reconstruct),
            ("numeric._frombuffer", _numpy.numeric._frombuffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    """Knows `_KNOWN` and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[f"{module}.{name}"]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def read_dump(path: Path) -> list[Rollout]:
    """The rollouts in a TransferQueue dump; rows without a response are left out.

    Raises:
        ValueError: no such dump, or one that cannot be read safely.
    """
    if path.is_file() and path.name == BATCH_FILE:
        return _read_rollouts(path)
    for folder in (path, path / STORAGE_FOLDER, path / "transfer_queue" / STORAGE_FOLDER):
        if folder.name == STORAGE_FOLDER and folder.is_dir():
            return _read_storage(sorted(folder.glob("*.pkl")))
    if path.is_dir() and (path / BATCH_FILE).is_file():
        return _read_rollouts(path / BATCH_FILE)
    raise ValueError(
        f"{path}: no dump of verl's; --rollouts takes <step>.jsonl, a folder of them, "
        f"{BATCH_FILE}, or a checkpoint folder that holds transfer_queue"
    )


def read_batch(path: Path, make: Callable[[str, Mapping, Mapping, Mapping], Made]) -> list[Made]:
    """What `make` makes of each row of a batch that `skip.rollout_tq` saved, padding left out.

    Args:
        path: `tq_batch.pt`.
        make: takes a row's key, its tag, its columns by name, and all that was saved.

    Raises:
        ValueError: the file is no such batch, or cannot be read safely.
    """
    import torch._dynamo
    import torch.nested  # torch wants both before it rebuilds jagged tensors

    known: list[Any] = [(maker, name) for name, maker in _KNOWN.items()]
    try:
        with torch.serialization.safe_globals(known):
            saved = torch.load(path, map_location="cpu", weights_only=True)
        columns = saved["tensordict"].state["_tensordict"]
        table = zip(*(_unbound(column) for column in columns.values()), strict=True)
        return [
            make(str(key), tag, dict(zip(columns, row, strict=True)), saved)
            for key, tag, row in zip(saved["keys"], saved["tags"], table, strict=True)
            if not tag.get("is_padding")
        ]
    except _UNREADABLE as error:
        raise _refusal(path, error) from None


def _read_rollouts(path: Path) -> list[Rollout]:
    made = read_batch(
        path, lambda key, tag, row, saved: _rollout(key, row) if "responses" in row else None
    )
    return [rollout for rollout in made if rollout is not None]


def _read_storage(paths: Iterable[Path]) -> list[Rollout]:
    """What the queue's storage units held when a checkpoint was saved."""
    rollouts = []
    for path in paths:
        try:
            with path.open("rb") as file:
                fields = _Unpickler(file).load()["field_data"]
            for index in sorted(fields.get("responses", ())):
                row = {name: _plain(rows[index]) for name, rows in fields.items() if index in rows}
                group, session = row.get("uid", f"row {index}"), row.get("session_id", 0)
                rollouts.append(_rollout(f"{group}_{session}_{index}", row))
        except _UNREADABLE as error:
            raise _refusal(path, error) from None
    return sorted(rollouts, key=lambda rollout: rollout.name)


_UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, RuntimeError, RecursionError),
    *(AttributeError, IndexError, KeyError, TypeError, ValueError),
)
"""What a damaged or hostile file can end in."""
_REFUSED_BY_TORCH = re.compile(r"GLOBAL (\S+)")


def _refusal(path: Path, error: BaseException) -> ValueError:
    if refused := _REFUSED_BY_TORCH.search(str(error)):
        reason = f"it asks for {refused[1]}"
    else:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
    return ValueError(f"{path}: not a TransferQueue dump that can be read safely ({reason})")


def _unbound(column: Any) -> list[Any]:
    """The rows of a batch's column."""
    if isinstance(column, torch.Tensor):
        return list(column.unbind())
    if isinstance(column, _Stack):
        return [_plain(row) for row in column.state["tensordicts"]]
    if isinstance(column, _Value):  # the same for every row
        shared = _plain(column)
        return [shared] * column.state["tensordict"].state["_batch_size"][0]
    raise TypeError(f"a column is a {type(column).__name__}")


def _plain(value: Any) -> Any:
    if isinstance(value, _Value):
        return value.state["non_tensordict"]["data"]
    return value


def _rollout(key: str, row: Mapping[str, Any]) -> Rollout:
    group, session = rollout_key(key)
    extra = row.get("extra_fields") or {}
    parts = extra.get("reward_extra_info") or {}
    rewards, reward_model = row.get("rm_scores"), row.get("reward_model") or {}
    step = row.get("global_steps")
    column = functools.partial(_column, row, len(row["responses"]))
    return Rollout(
        name=key,
        token_ids=_array(row["responses"]),
        prompt_ids=_array(row["prompts"]) if "prompts" in row else None,
        response_mask=column("response_mask"),
        entropy=column("entropy"),
        advantage=column("advantages"),
        score=None if rewards is None else finite(float(rewards.sum())),
        terms=logged_terms(parts),
        ground_truth=as_text(reward_model.get("ground_truth")),
        syntax=asked_syntax(row.get("extra_info"), reward_model.get("ground_truth")),
        group=group,
        session=session,
        step=step if type(step) is int else None,
    )


def _column(row: Mapping[str, Any], num_tokens: int, name: str) -> np.ndarray | None:
    """A per-token column, if the dump has it for every token of the response."""
    if not isinstance(row.get(name), torch.Tensor) or row[name].shape != (num_tokens,):
        return None
    return _array(row[name])


def _array(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
