"""One message, read by its own syntax, with an eye on calls in another one.

A model that was trained on one syntax may write another: to everybody who reads by its own, such a
call is text. It is a call all the same where none is wanted, and worth a word where one is.
"""

from __future__ import annotations

from collections.abc import Container

from rest_verl.syntax.base import Reading, Syntax, Tools
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT, NAME, TEXT
from rest_verl.syntax.registry import get_syntax, syntax_names

_SAID = {FORMAT, NAME, ARGS, TEXT}


def read_message(
    syntax: Syntax,
    text: str | bytes,
    *,
    think_is_open: bool | None = None,
    tools: Tools | None = None,
) -> Reading:
    """What one assistant message says, `foreign` included; arguments as for `Syntax.read`."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    reading = syntax.read(data, think_is_open=think_is_open, tools=tools)
    if "C" in reading.structure:
        return reading
    return reading._replace(foreign=foreign_syntax(syntax, data, think_is_open=think_is_open))


def foreign_syntax(syntax: Syntax, data: bytes, *, think_is_open: bool | None = None) -> str:
    """The first other syntax that reads a whole call outside the thoughts of the message, or ""."""
    others = [other for name in syntax_names() if (other := get_syntax(name)) is not syntax]
    others = [other for other in others if other.may_call(data)]
    if not others:
        return ""
    said = _parts(syntax, data, think_is_open, _SAID)
    return next((o.name for o in others if o.read(said, think_is_open=False).calls), "")


def words_of(syntax: Syntax, text: str, *, think_is_open: bool | None = None) -> str:
    """What the message says in words, without the space around it: no thoughts, calls or tags."""
    data = text.encode("utf-8", "surrogatepass")
    said = _parts(syntax, data, think_is_open, {TEXT})
    return said.decode("utf-8", "replace").strip()


def _parts(
    syntax: Syntax, data: bytes, think_is_open: bool | None, regions: Container[int]
) -> bytes:
    """The bytes of the message that lie in one of these regions."""
    outline = Outline()
    syntax.scan(data, 0, len(data), outline, think_is_open)
    ends = [*outline.starts[1:], len(data)]
    parts = zip(outline.starts, ends, outline.regions, strict=True)
    return b"".join(data[start:end] for start, end, region in parts if region in regions)
