"""What a scan writes down: regions of bytes, the order of the parts, the places of the calls."""

from __future__ import annotations

from typing import Any


class Outline:
    """Filled by `Syntax.scan`; labels read the segments of it, readings the rest."""

    __slots__ = ("found", "letters", "regions", "starts", "well_formed")

    def __init__(self) -> None:
        self.starts: list[int] = []
        """Where each segment begins; it lasts until the next one does."""
        self.regions: list[int] = []
        """The `Region` of each segment."""
        self.letters: list[str] = []
        """The parts in order, a letter or more each: T/t think, C/c calls, R/r response; capitals
        open, small letters close."""
        self.found: list[Any] = []
        """Where calls stand, in order, each as the syntax's own `decode` wants it."""
        self.well_formed = True
        """No calls are broken off or broken, as far as the scan can tell."""

    def mark(self, start: int, region: int) -> None:
        """A segment begins."""
        self.starts.append(start)
        self.regions.append(region)

    def lengths(self) -> tuple[int, int, int]:
        """How much is written down, for `rewind`."""
        return len(self.starts), len(self.letters), len(self.found)

    def rewind(self, lengths: tuple[int, int, int]) -> None:
        """Forgets what came after."""
        segments, letters, found = lengths
        del self.starts[segments:], self.regions[segments:]
        del self.letters[letters:], self.found[found:]
        self.well_formed = True
