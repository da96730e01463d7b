"""What scoring says of one output."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """Right or not, and if not, why."""

    valid: bool
    error: str = ""
    """A short kind, "" if valid."""


RIGHT = Verdict(valid=True)


def wrong(kind: str) -> Verdict:
    return Verdict(valid=False, error=kind)
