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
    finder.waiting[name] = function


def _call(name: str, function: Callable[[], None]) -> None:
    try:
        function()
    except Exception as error:  # whatever an import can raise
        FAILURES[name] = error
        logging.getLogger(__name__).warning("rest_verl is not registered in %s: %s", name, error)


class _Finder(MetaPathFinder):
    """Finds as the other finders do, and has the functions called after the import."""

    def __init__(self) -> None:
        self.waiting: dict[str, Callable[[], None]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, name, self.waiting.pop(name))
                return spec
        return None


class _Loader(Loader):
    """Another loader, and one call after it; the module keeps the other one."""

    def __init__(self, loader: Loader, name: str, function: Callable[[], None]) -> None:
        self._loader, self._name, self._function = loader, name, function

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _call(self._name, self._function)
