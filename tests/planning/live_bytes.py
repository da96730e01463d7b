"""Bytes of all tensor storages that torch operations made and that are still alive."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While entered, follows each new storage from its making to its release."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._followed: set[int] = set()

    def _follow(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._followed:
            return
        self._followed.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)

        def released() -> None:
            self._followed.discard(key)
            self.now -= size

        weakref.finalize(storage, released)

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._follow(leaf)
        return result
