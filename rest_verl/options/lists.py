"""Lists on a command line: their items stand apart by spaces or by commas, in every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from rest_verl.options.names import is_unknown


def split_commas(text: str) -> list[str]:
    """The items of a word; a comma in brackets or quotes belongs to its item."""
    items, depth, in_quotes = [""], 0, False
    for character in text:
        if character == '"':
            in_quotes = not in_quotes
        elif not in_quotes:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not in_quotes and depth <= 0:
            items.append("")
        else:
            items[-1] += character
    return [item.strip() for item in items if item.strip()]


def split_paths(text: str) -> list[str]:
    """The same of `PATH` and `NAME=PATH`; a path that exists is one item, whatever its commas."""
    is_whole = any(Path(path).exists() for path in (text, text.partition("=")[2]) if path)
    return [text] if is_whole else split_commas(text)


class Listed(argparse.Action):
    """An option, or the arguments of a command, that takes a list.

    `type` and `choices` are of one item. As with any option, the last one given counts.
    """

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        *,
        type: Callable[[str], Any] = str,
        choices: Collection[str] | None = None,
        split: Callable[[str], list[str]] = split_commas,
        **keywords: Any,
    ) -> None:
        super().__init__(option_strings, dest, **{"nargs": "+", **keywords})
        self._read, self._known, self._split = type, choices, split

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        items = []
        for item in (item for word in values for item in self._split(word)):
            if self._known is not None and item not in self._known:
                raise argparse.ArgumentError(self, is_unknown(item, self._known))
            try:
                items.append(self._read(item))
            except (ValueError, argparse.ArgumentTypeError) as error:
                raise argparse.ArgumentError(self, str(error)) from None
        setattr(namespace, self.dest, items)


def with_commas(words: Iterable[str], *options: str) -> list[str]:
    """`--option a b` as `--option a,b`, for a parser whose options take one word."""
    joined: list[str] = []
    is_list = has_item = False
    for word in words:
        if word.startswith("-"):
            is_list, has_item = word in options, False
            joined.append(word)
        elif is_list and has_item:
            joined[-1] += f",{word}"
        else:
            joined.append(word)
            has_item = True
    return joined
