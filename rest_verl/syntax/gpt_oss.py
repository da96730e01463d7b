"""`gpt-oss`: OpenAI's harmony. The prompt ends with `<|start|>assistant`; the answer goes on with

    <|channel|>analysis<|message|>The user wants Oslo's weather.<|end|><|start|>assistant<|channel|>
    commentary to=functions.get_weather <|constrain|>json<|message|>{"city": "Oslo"}<|call|>

(in one line) or with `<|channel|>final<|message|>It rains.<|return|>`. It is a row of harmony
messages, each a header and what it says:

- Headers are FORMAT. The recipient (`to=`) may also stand before the channel, as the chat template
  writes it.
- A message to a recipient is a call, in whatever channel; the recipient is its name, without
  `functions.`. It has to be a JSON object: code for `python` is a call that cannot be read.
- What `analysis` says is THINK, tags included, up to `<|end|>`; whatever else is said is TEXT.
- A message of another role, which only a model that goes on by itself writes, is TEXT.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rest_verl.syntax.base import Syntax, ToolCall, Tools
from rest_verl.syntax.json_arguments import JsonArguments, Span, decode_call
from rest_verl.syntax.json_values import SPACE, dump_json, skip, tag_pattern
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import FORMAT, NAME, TEXT, THINK
from rest_verl.syntax.registry import register_syntax

_START, _CHANNEL, _MESSAGE, _END = b"<|start|>", b"<|channel|>", b"<|message|>", b"<|end|>"
_EDGES = (_START, _END, b"<|call|>", b"<|return|>")
_edge = re.compile(tag_pattern(_EDGES))
_header_end = re.compile(tag_pattern([*_EDGES, _MESSAGE]))
_tag = re.compile(tag_pattern([*_EDGES, _MESSAGE, _CHANNEL]))
_analysis = re.compile(rb"<\|channel\|>\s*analysis\b")
_recipient = re.compile(rb"\sto=(?:functions\.)?([^\s<]*)")
_no_text = re.compile(rb"(?:to=[^\s<]*)?")


class _Found(NamedTuple):
    name: Span
    arguments: Span


@register_syntax("gpt-oss")
class GptOss(Syntax):
    """Thoughts, calls and text, each a message of its own."""

    think = (b"<|channel|>analysis<|message|>", _END)
    blocks: ClassVar = {}
    opens_call = rb"\sto="
    end_tokens = ("<|call|>", "<|return|>")
    inner_tokens = ("<|end|>",)
    form = "(?:(?:Tt)*Cc)+"
    form_without_calls = "(?:Tt)*"
    reads_all = True

    def __init__(self) -> None:
        super().__init__()
        self._arguments = JsonArguments(_EDGES)

    def scan(
        self,
        text: bytes,
        start: int,
        end: int,
        outline: Outline,
        think_is_open: bool | None = None,
    ) -> None:
        """As the base."""
        outline.mark(start, TEXT)
        if think_is_open is None:
            first = _tag.search(text, start, end)
            think_is_open = first is not None and first[0] == _END
        position = start
        if think_is_open:
            position = self._scan_thought(text, start, end, outline)
        while position < end:
            position = self.scan_calls(text, position, end, outline)

    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """Marks one message of harmony, call or not, with the tag that ends it; returns where the
        next one begins."""
        mark = outline.mark
        starts = text.startswith(_START, position, end)
        header = position + len(_START) if starts else position
        stop = _header_end.search(text, header, end)
        header_end = end if stop is None else stop.start()
        channel = text.find(_CHANNEL, header, header_end)
        role_end = header_end if channel < 0 else channel
        role = text[header:role_end].strip()
        mark(position, FORMAT)
        if starts:
            ours = role.startswith(b"assistant")
        else:  # the role stands in the prompt
            ours = _no_text.fullmatch(role) is not None
            if not ours:
                mark(position, TEXT)
                mark(role_end, FORMAT)
        recipient = _recipient.search(text, header, header_end) if ours else None
        if recipient is not None:
            outline.letters.append("C")
            mark(recipient.start(1), NAME)
            mark(recipient.end(1), FORMAT)
        if stop is None or stop[0] != _MESSAGE:
            outline.well_formed &= recipient is None
            closes = stop is not None
            position = header_end
        elif recipient is not None:
            position, closes = self._scan_call(text, stop.end(), end, outline, recipient.span(1))
        elif ours and _analysis.search(text, header, header_end):
            return self._scan_thought(text, stop.end(), end, outline)
        else:
            mark(stop.end(), TEXT)
            position = _edge_after(text, stop.end(), end)
            closes = False
        if recipient is not None and closes:
            outline.letters.append("c")
        mark(position, FORMAT)
        edge = _edge.match(text, position, end)
        return position if edge is None or edge[0] == _START else edge.end()

    def _scan_thought(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        outline.letters.append("T")
        outline.mark(position, THINK)
        position = text.find(_END, position, end)
        if position < 0:
            return end
        outline.letters.append("t")
        outline.mark(position, FORMAT)
        return position + len(_END)

    def _scan_call(
        self, text: bytes, start: int, end: int, outline: Outline, name: Span
    ) -> tuple[int, bool]:
        """Marks what is said to a recipient; returns where that ends, and whether it did end."""
        arguments_end, closed = self._arguments.scan(text, start, end, outline)
        position = skip(SPACE, text, arguments_end, end)
        edge = _edge_after(text, position, end)
        whole = closed and edge == position and not text.startswith(_START, edge, end)
        if whole:
            outline.found.append(_Found(name, (start, arguments_end)))
        else:
            outline.well_formed = False
            outline.mark(position, TEXT)
        return edge, whole or edge < end

    def decode(
        self, text: bytes, found: _Found, calls: list[ToolCall], tools: Tools | None
    ) -> bool:
        """As the base."""
        return decode_call(text, found.name, found.arguments, calls)

    def may_call(self, text: bytes) -> bool:
        """As the base."""
        return b"to=" in text

    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """As the base; text before calls goes to the user's commentary."""
        messages = []
        if think is not None:
            messages.append(f"<|channel|>analysis<|message|>{think}<|end|>")
        if calls and text:
            messages.append(f"<|channel|>commentary<|message|>{text}<|end|>")
        if calls:
            said = [
                f" to=functions.{call.name}<|channel|>commentary json<|message|>"
                f"{dump_json(call.arguments)}"
                for call in calls
            ]
            messages.append("<|call|><|start|>assistant".join(said))
        elif text:
            messages.append(f"<|channel|>final<|message|>{text}")
        return "<|start|>assistant".join(messages)


def _edge_after(text: bytes, position: int, end: int) -> int:
    """Where the next tag between two messages stands, or the end."""
    edge = _edge.search(text, position, end)
    return end if edge is None else edge.start()
