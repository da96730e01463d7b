"""What the model is told of a call: the tool's answer or a one-line error, of limited length."""

from typing import Any, Literal, NamedTuple, get_args

ErrorKind = Literal["malformed", "arguments", "exception", "timeout"]
ERROR_KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)

CUT_MARK = " …[cut]… "
"""Stands where the middle of a long observation was."""

_MAX_ERROR_CHARACTERS = 200
_CHARACTERS_PER_TOKEN = 64
"""More than tokens of real text have; only so much of a text is tokenised."""


class Observation(NamedTuple):
    """The text for the model, and what went wrong if it is an error."""

    text: str
    error: ErrorKind | None = None


def malformed_call() -> Observation:
    """A message with a block that cannot be read: none of its calls ran."""
    return Observation(
        "Error: malformed tool call, nothing was run. Each block must be closed and hold nothing "
        'but JSON objects with a "name" and an object of arguments.',
        "malformed",
    )


def bad_arguments(name: str) -> Observation:
    """A call whose arguments are not a JSON object."""
    return _error("arguments", f"the arguments of {name} are not a JSON object")


def timed_out(name: str, seconds: float) -> Observation:
    """A call that did not answer in time."""
    return _error("timeout", f"{name} did not answer within {seconds:g} s")


def raised(error: BaseException) -> Observation:
    """A call that raised."""
    try:
        text = str(error)
    except Exception:  # the text of an exception is the tool's code too
        text = ""
    return _error("exception", f"{type(error).__name__}: {text}" if text else type(error).__name__)


def encodable(text: str) -> str:
    """`text` without lone surrogates, which JSON can spell and no tokenizer can encode."""
    return text.encode("utf-8", "replace").decode("utf-8")


def shorten(text: str, limit: int, tokenizer: Any) -> tuple[str, bool]:
    """`text` in at most `limit` tokens, and whether that meant cutting it.

    A text that is too long keeps as many tokens of its start as of its end, with `CUT_MARK`
    between them; no character is split. A `limit` below the mark's own length keeps the mark alone.
    """
    if len(text.encode()) < limit:  # no tokenizer makes more tokens than bytes and a prefix
        return text, False
    side = limit * _CHARACTERS_PER_TOKEN
    is_huge = len(text) > 2 * side
    head_ids = _encode(tokenizer, text[:side] if is_huge else text)
    if not is_huge and len(head_ids) <= limit:
        return text, False
    tail_ids = _encode(tokenizer, text[-side:]) if is_huge else head_ids
    kept = max(0, limit - len(_encode(tokenizer, CUT_MARK)))
    while True:
        # A token can hold part of a character: what is left of it decodes to U+FFFD.
        head = tokenizer.decode(head_ids[: (kept + 1) // 2]).rstrip("\ufffd")
        tail = tokenizer.decode(tail_ids[-(kept // 2) :]).lstrip("\ufffd") if kept > 1 else ""
        short = head + CUT_MARK + tail
        excess = len(_encode(tokenizer, short)) - limit
        if excess <= 0 or kept == 0:
            return short, True
        kept = max(0, kept - excess)  # the joints tokenise differently


def _encode(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _error(kind: ErrorKind, text: str) -> Observation:
    line = " ".join(text.split())
    if len(line) > _MAX_ERROR_CHARACTERS:
        line = line[:_MAX_ERROR_CHARACTERS] + "…"
    return Observation(f"Error: {line}", kind)
