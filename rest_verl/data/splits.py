"""Splits by content: each row's place follows from a hash of its key, never from its order."""

import hashlib
from collections.abc import Iterable


def split_position(key: str, seed: int) -> float:
    """A uniform place in [0, 1) for `key`, the same on every machine and in every run."""
    digest = hashlib.sha256(f"{seed}\n{key}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def validation_keys(keys: Iterable[str], fraction: float, seed: int) -> frozenset[str]:
    """The keys whose place lies below `fraction`.

    Rows that share a key stay together, and a key's side does not depend on which others there are,
    with one exception: with two keys or more and a fraction above 0, neither side is left empty.

    Raises:
        ValueError: `fraction` is not in [0, 1).
    """
    if not 0 <= fraction < 1:
        raise ValueError(f"the validation fraction must be in [0, 1), got {fraction}")
    places = sorted((split_position(key, seed), key) for key in set(keys))
    if not places or not fraction:
        return frozenset()
    count = sum(place < fraction for place, _ in places)
    count = min(max(count, 1), len(places) - 1)
    return frozenset(key for _, key in places[:count])
