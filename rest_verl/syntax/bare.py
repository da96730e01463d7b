"""Calls without tags: a message that is calls from its first character, or text.

Before them only a thought and whitespace may stand; whatever else is said first makes the whole
message text, calls that it mentions included. After them only whitespace may stand.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from rest_verl.syntax.base import Syntax
from rest_verl.syntax.json_values import SPACE, skip
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import FORMAT


class BareSyntax(Syntax):
    """A subclass tells how calls begin; its `scan_calls` starts there, and writes down the `c` if
    they end as they should."""

    blocks: ClassVar = {}
    end_tokens = ("<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>")
    form = "(?:Tt)?Cc"
    reads_all = True

    @abstractmethod
    def begins_calls(self, text: bytes, position: int, end: int) -> bool:
        """Whether what stands there is meant as calls, even if it breaks off."""

    def scan(
        self,
        text: bytes,
        start: int,
        end: int,
        outline: Outline,
        think_is_open: bool | None = None,
    ) -> None:
        """As the base."""
        calls = self._calls_start(text, start, end, think_is_open)
        if calls is None:
            super().scan(text, start, end, outline, think_is_open)
            return
        super().scan(text, start, calls, outline, think_is_open)
        outline.mark(calls, FORMAT)
        outline.letters.append("C")
        calls_end = self.scan_calls(text, calls, end, outline)
        outline.well_formed &= skip(SPACE, text, calls_end, end) == end
        super().scan(text, calls_end, end, outline, think_is_open=False)

    def _calls_start(
        self, text: bytes, start: int, end: int, think_is_open: bool | None
    ) -> int | None:
        """Where the message begins to be calls; None if it is text."""
        position = skip(SPACE, text, start, end)
        if not think_is_open and self.begins_calls(text, position, end):
            return position
        opening, closing = self.think
        opens = text.startswith(opening, position, end)
        if think_is_open is False and not opens:
            return None
        close = text.find(closing, position, end)
        if close < 0:
            return None
        if not opens and not think_is_open and text.find(opening, position, close) >= 0:
            return None  # text first, then a thought
        position = skip(SPACE, text, close + len(closing), end)
        return position if self.begins_calls(text, position, end) else None
