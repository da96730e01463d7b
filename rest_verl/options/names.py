"""A name that nobody knows is answered with the nearest one and with all that there are."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any


def did_you_mean(word: object, known: Iterable[str], prefix: str = "") -> str:
    """`did you mean <name>? `, with the prefix before the name; empty where no name is near."""
    known, word = list(known), str(word)
    begun = [name for name in known if word and name.startswith(word)]
    near = begun or get_close_matches(word, known, n=1)
    return f"did you mean {prefix}{near[0]}? " if near else ""


def is_unknown(word: object, known: Iterable[str]) -> str:
    """`'papr' is unknown; did you mean paper? known: paper, …`."""
    known = list(known)
    return f"{word!r} is unknown; {did_you_mean(word, known)}known: {', '.join(known)}"


class Parser(argparse.ArgumentParser):
    """An argument parser that says so of commands and choices; its sub-commands do as well."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, is_unknown(value, map(str, action.choices)))
