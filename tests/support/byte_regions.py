"""Regions the plain way: of every byte by the scan of the whole text, of a token by a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from rest_verl.syntax import Outline, Syntax


def regions_of_bytes(syntax: Syntax, data: bytes, think_is_open: bool | None) -> list[int]:
    """The region of each byte."""
    outline = Outline()
    syntax.scan(data, 0, len(data), outline, think_is_open)
    regions: list[int] = []
    for region, (start, end) in zip(
        outline.regions, pairwise([*outline.starts, len(data)]), strict=True
    ):
        regions += [region] * (end - start)
    return regions


def regions_of_tokens(
    syntax: Syntax, tokens: Sequence[bytes], think_is_open: bool | None
) -> list[int]:
    """The region of each token, none of which is empty: that of most of its bytes, of several the
    earliest."""
    bytes_ = iter(regions_of_bytes(syntax, b"".join(tokens), think_is_open))
    return [Counter(next(bytes_) for _ in token).most_common(1)[0][0] for token in tokens]
