"""The syntaxes by name."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from rest_verl.syntax.base import Syntax

_SYNTAXES: dict[str, Syntax] = {}


def register_syntax(name: str) -> Callable[[type[Syntax]], type[Syntax]]:
    """Class decorator that makes a syntax known under `name`, to everything that reads messages.

    Raises:
        ValueError: another class has that name.
    """

    def register(cls: type[Syntax]) -> type[Syntax]:
        known = _SYNTAXES.get(name)
        # The same class again is a module that was imported twice.
        if known is not None and type(known).__qualname__ != cls.__qualname__:
            raise ValueError(f"a syntax named {name!r} exists: {type(known).__qualname__}")
        cls.name = name
        _SYNTAXES[name] = cls()
        return cls

    return register


def syntax_names() -> list[str]:
    """All names that `get_syntax` takes, in the order of registration."""
    return list(_SYNTAXES)


def get_syntax(name: str) -> Syntax:
    """The syntax of that name.

    Raises:
        ValueError: there is none; with the nearest and all known names.
    """
    try:
        return _SYNTAXES[name]
    except KeyError:
        near = get_close_matches(str(name), _SYNTAXES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown syntax {name!r}; {hint}known: {', '.join(_SYNTAXES)}") from None
