"""The layouts by name, and which of them a record has."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from rest_verl.data.chats.chat import Chat
from rest_verl.data.chats.hermes import is_hermes, read_hermes
from rest_verl.data.chats.openai import is_openai, read_openai
from rest_verl.data.chats.sharegpt import is_sharegpt, read_sharegpt
from rest_verl.data.chats.toolace import is_toolace, read_toolace
from rest_verl.data.chats.xlam import is_xlam, read_xlam
from rest_verl.data.refusals import Refused, shortened

Record = Mapping[str, Any]


class Layout(NamedTuple):
    """How records of one kind are found and read."""

    found_in: Callable[[Record], bool]
    """Whether a record that none of the layouts before it was found in has this one."""
    read: Callable[[Record], Chat]
    """Raises Refused for a record that is not of the layout after all."""


LAYOUTS: Mapping[str, Layout] = {
    "openai": Layout(is_openai, read_openai),
    "xlam": Layout(is_xlam, read_xlam),
    "hermes": Layout(is_hermes, read_hermes),
    "toolace": Layout(is_toolace, read_toolace),
    "sharegpt": Layout(is_sharegpt, read_sharegpt),
}
"""By name, in the order of looking."""


def find_layout(record: Record) -> str:
    """The name of the record's layout.

    Raises:
        Refused: it has none of them.
    """
    stated = {key: value for key, value in record.items() if value is not None}
    for name, layout in LAYOUTS.items():
        if layout.found_in(stated):
            return name
    raise Refused(
        "unknown layout",
        f"the keys {shortened(list(stated))} are of none of the layouts {', '.join(LAYOUTS)}; "
        "docs/data.md has a sample of each",
    )
