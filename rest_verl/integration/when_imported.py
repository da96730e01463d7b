"""Runs a function when a module has been imported: registration that costs nothing until then.

verl loads its plugins whenever anybody imports it, and its registries live in modules that take
seconds to import, vLLM among what they bring. A process that never uses a registry need not pay for
it. Python's import system has a place for this, finders in `sys.meta_path`; no module is changed.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

FAILURES: dict[str, Exception] = {}
"""Module -> what its function raised. Neither the import nor the user's run ends with it: the
doctor and the trainers say what is not registered."""


def when_imported(name: str, function: Callable[[], None]) -> None:
    """Calls the function once the module of that name has been imported; at once if it has been."""
    if name in sys.modules:
        _call(name, function)
        return
    finder = next((found for found in sys.meta_path if isinstance(found, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.waiting.setdefault(name, []).append(function)


def _call(name: str, function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:  # whatever an import can raise
        FAILURES[name] = error
        logging.getLogger(__name__).warning("rest_verl is not registered in %s: %s", name, error)


class _Finder(MetaPathFinder):
    """Finds as the other finders do, and has the functions called after the import."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[], None]]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, name, self.waiting)
                return spec
        return None


class _Loader(Loader):
    """Another loader, and the calls after it; the module keeps the other one.

    The functions wait until the module is there: somebody may only look for it, or the import fail.
    """

    def __init__(
        self, loader: Loader, name: str, waiting: dict[str, list[Callable[[], None]]]
    ) -> None:
        self._loader, self._name, self._waiting = loader, name, waiting

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for function in self._waiting.pop(self._name, []):
            _call(self._name, function)
