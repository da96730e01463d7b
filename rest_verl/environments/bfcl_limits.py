"""Calls of BFCL's methods that would keep a worker busy for minutes or fill its memory.

Of the 128 methods six can, each inside one C call or recursion that no time limit interrupts. Only
sizes beyond any sensible use are refused; below them the official method runs and answers. All
other methods take time and memory linear in their arguments, which are limited as a whole.
"""

from collections.abc import Callable
from typing import Any

MAX_ARGUMENTS = 100_000
"""Characters of a call's arguments as JSON."""

MAX_POWER_BITS = 1_000_000
"""Bits of an integer power; Python writes out no integer above some 14,000 bits anyway."""

MAX_DIGITS = 10_000
"""Digits of precision, decimal places, and the decimal exponent of a number given as text."""

MAX_TREE = 100_000
"""Entries that a walk through a directory may meet. `cp` copies directories by reference, so a
few calls can make a tree of any size, or one that holds itself."""

Limit = Callable[[Any, dict[str, Any]], str | None]
"""(instance, arguments) -> why the call is refused, or None."""


def _exceeds(value: Any, limit: int) -> bool:
    """True for a number, or text that reads as one, beyond the limit."""
    try:
        return abs(float(value)) > limit
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False


def _power(_: Any, arguments: dict[str, Any]) -> str | None:
    base, exponent = arguments.get("base"), arguments.get("exponent")
    if not isinstance(base, int) or not isinstance(exponent, int) or abs(base) <= 1:
        return None
    if base.bit_length() * exponent > MAX_POWER_BITS:  # negative exponents make a float
        return f"the result has more than {MAX_POWER_BITS} bits"
    return None


def _precision(_: Any, arguments: dict[str, Any]) -> str | None:
    if _exceeds(arguments.get("precision"), MAX_DIGITS):
        return f"precision is limited to {MAX_DIGITS} digits"
    return None


def _logarithm(_: Any, arguments: dict[str, Any]) -> str | None:
    for name in ("value", "base"):
        number = arguments.get(name)
        if isinstance(number, str):  # mpmath reads text, in exact arithmetic
            exponents = number.lower().rstrip("lj ").split("e")[1:]
            if len(number) > MAX_DIGITS or any(_exceeds(e, MAX_DIGITS) for e in exponents):
                return f"{name} is limited to {MAX_DIGITS} digits"
    return _precision(_, arguments)


def _decimal_places(_: Any, arguments: dict[str, Any]) -> str | None:
    if _exceeds(arguments.get("decimal_places"), MAX_DIGITS):
        return f"decimal_places is limited to {MAX_DIGITS} digits"
    return None


def _walk(instance: Any, arguments: dict[str, Any]) -> str | None:
    path = arguments.get("path")
    if path is not None and not isinstance(path, str):
        return None  # the method says what is wrong
    start = instance._navigate_to_directory(path)
    if isinstance(start, dict):  # an error
        return None
    num_entries, unseen = 0, [start]
    while unseen:
        contents = getattr(unseen.pop(), "contents", ())  # a file has none
        num_entries += len(contents)
        if num_entries > MAX_TREE:
            return f"the directory tree has more than {MAX_TREE} entries"
        if contents:
            unseen.extend(contents.values())
    return None


LIMITS: dict[tuple[str, str], Limit] = {
    ("MathAPI", "power"): _power,
    ("MathAPI", "logarithm"): _logarithm,
    ("MathAPI", "square_root"): _precision,
    ("MathAPI", "round_number"): _decimal_places,
    ("GorillaFileSystem", "find"): _walk,
    ("GorillaFileSystem", "du"): _walk,
}
"""By class and method."""
