"""How one family of models writes a message: thought, calls and text.

A syntax is one class. Its byte scan is the only reading of a message there is: the regions that
weights go by, the calls that are scored, run and evaluated, and the form that the reward looks at
all come from it, so that none can see a call where another sees none.

Model text is data: scanning takes time linear in its length, does not recurse and never raises.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import ARGS, FORMAT, NAME, TEXT, THINK


class ToolCall(NamedTuple):
    """One well-formed call."""

    name: str
    arguments: dict[str, Any]
    id: str | None = None
    """The model's own name for the call, in the syntaxes that have one."""


class Reading(NamedTuple):
    """What a message says."""

    structure: str
    """The parts outside thoughts in order: T/t think, C/c calls, R/r response; capitals open,
    small letters close. A thought that the prompt opened counts as opened here."""
    calls: list[ToolCall]
    """The well-formed calls, in order."""
    well_formed: bool
    """All calls are whole: nothing broken off, nothing between them that is no call."""
    foreign: str = ""
    """Where there is no call, begun or whole: the name of another syntax in which the message makes
    one (`rest_verl.syntax.reading`)."""

    @property
    def tries_to_call(self) -> bool:
        """Whether a call is made or begun, in whatever syntax."""
        return "C" in self.structure or bool(self.foreign)

    @property
    def whole_calls(self) -> list[ToolCall] | None:
        """The calls, or None if there are some that cannot be read: then none is to be run."""
        return self.calls if self.well_formed and not self.foreign else None


Tools = Sequence[Mapping[str, Any]]
"""Tools in OpenAI's layout: `{"type": "function", "function": {"name", "parameters"}}` each."""

TOOL_LISTS = ("tools", "later_tools")
"""Where a row's `extra_info` holds them, as JSON: shown by the chat template; shown after it."""


class Syntax(ABC):
    """How messages of one kind are read and written; see `docs/your-syntax.md`.

    A subclass names its tags and says how the calls between them are scanned, decoded and written.
    The scan here knows the rest: thoughts are opaque, calls stand between tags, all else is text.
    A syntax whose messages are not of that shape overrides `scan`.
    """

    name: ClassVar[str]
    """As registered."""
    think: ClassVar[tuple[bytes, bytes]] = (b"<think>", b"</think>")
    """What opens and what closes a thought."""
    blocks: ClassVar[Mapping[bytes, bytes | None]]
    """What opens calls -> what closes them; None where their end needs no tag."""
    opens_call: ClassVar[bytes] = b""
    """Where calls open without one of these tags: what opens one, a regular expression on what of
    a message is FORMAT."""
    opaque: ClassVar[Mapping[bytes, bytes]] = {}
    """Further pairs of tags; what a closed pair encloses is text, whatever tags are in it."""
    end_tokens: ClassVar[tuple[str, ...]] = ()
    """Tokens that end a message, beside those that the model's files name."""
    inner_tokens: ClassVar[tuple[str, ...]] = ()
    """Tokens that end a message elsewhere, but within one of this syntax do not."""
    stop_tokens: ClassVar[tuple[str, ...]] = ()
    """Tokens after which sampling has to stop although the model would go on."""
    form: ClassVar[str] = "(?:Tt)?(?:Cc)+"
    """The order of parts (a regular expression on `Reading.structure`) of a message that calls."""
    form_without_calls: ClassVar[str] = "(?:Tt)?"
    """The same of one that does not."""
    reads_all: ClassVar[bool] = False
    """Calls can begin without a tag, so that every byte has to be looked at."""
    typed_by_schema: ClassVar[bool] = False
    """Arguments are untyped text: what they are, the tool's schema says."""
    in_templates: ClassVar[bool] = True
    """Chat templates write it; else only prompts ask for it."""

    def __init__(self) -> None:
        letters = dict(zip(self.think, "Tt", strict=True))
        for opening, closing in self.blocks.items():
            letters[opening] = "C"
            if closing is not None:
                letters[closing] = "c"
        for opening, closing in self.opaque.items():
            letters |= {opening: "R", closing: "r"}
        self.tags = tuple(letters)
        """All tags that the scan looks for."""
        self._letters = letters
        longest_first = sorted(letters, key=len, reverse=True)
        self._tag = re.compile(b"|".join(map(re.escape, longest_first)))

    # -- reading ---------------------------------------------------------------------------------

    @abstractmethod
    def scan_calls(self, text: bytes, position: int, end: int, outline: Outline) -> int:
        """Marks the calls from behind the tag that opens them.

        Writes segments and, for `decode`, what was found; `outline.well_formed` is set to False
        where that is surely no call.

        Returns:
            Where they end: at the closing tag, at whatever other tag breaks them off, or at `end`.
        """

    @abstractmethod
    def decode(self, text: bytes, found: Any, calls: list[ToolCall], tools: Tools | None) -> bool:
        """Appends the calls of one item of `Outline.found`; False if it is not calls throughout."""

    def scan(
        self,
        text: bytes,
        start: int,
        end: int,
        outline: Outline,
        think_is_open: bool | None = None,
    ) -> None:
        """Writes down the message `text[start:end]`; its segments cover that exactly.

        Args:
            think_is_open: the prompt ended within a thought. None: unknown; then a closing tag that
                nothing opened closes one, if no call and no other thought came before it.
        """
        mark, letters = outline.mark, outline.letters
        think_close = self.think[1]
        before = outline.lengths()
        position = start
        if think_is_open:
            letters.append("T")
            mark(start, THINK)
            position = text.find(think_close, start, end)
            if position < 0:
                return
            letters.append("t")
            mark(position, FORMAT)
            position += len(think_close)
        mark(position, TEXT)
        prompt_may_think = think_is_open is None
        first_think_close = text.find(think_close, start, end) if prompt_may_think else -1
        opaque_close: dict[bytes, int] = {}
        search, letter_of = self._tag.search, self._letters
        while found := search(text, position, end):
            tag = found[0]
            tag_start, position = found.span()
            letter = letter_of[tag]
            if letter == "t" and prompt_may_think:
                outline.rewind(before)
                mark(start, THINK)
                letters.append("T")
                prompt_may_think = False
            mark(tag_start, FORMAT)
            letters.append(letter)
            if letter == "C":
                inside = len(outline.regions)
                position = self.scan_calls(text, position, end, outline)
                if prompt_may_think:
                    regions = outline.regions[inside:]
                    prompt_may_think = NAME not in regions and ARGS not in regions
                closing = self.blocks[tag]
                if closing is None:
                    letters.append("c")
                    mark(position, TEXT)
                elif text.startswith(closing, position, end):
                    mark(position, FORMAT)
                    letters.append("c")
                    position += len(closing)
                    mark(position, TEXT)
                else:
                    outline.well_formed = False
                continue  # at a tag or at the end
            if letter == "T":
                prompt_may_think = False
                mark(position, THINK)
                position = text.find(think_close, position, end)
                if position < 0:
                    return
                letters.append("t")
                mark(position, FORMAT)
                position += len(think_close)
            mark(position, TEXT)
            if letter == "R":
                closing = self.opaque[tag]
                close = opaque_close.get(closing, -1)
                if close < position:
                    close = text.find(closing, position, end)
                    opaque_close[closing] = close = end if close < 0 else close
                quoted = prompt_may_think and -1 < first_think_close < close
                if close < end and not quoted:
                    letters += [self._letters[t] for t in self._tag.findall(text, position, close)]
                    position = close

    def read(
        self,
        text: str | bytes,
        *,
        think_is_open: bool | None = None,
        tools: Tools | None = None,
    ) -> Reading:
        """What one assistant message says.

        Args:
            text: without the token that ends it.
            think_is_open: as for `scan`.
            tools: those offered, for the types of arguments that are written as untyped text.
                Without its schema such a text is what it is as JSON, else a string.
        """
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        outline = Outline()
        self.scan(data, 0, len(data), outline, think_is_open)
        calls: list[ToolCall] = []
        well_formed = outline.well_formed
        for found in outline.found:
            well_formed &= self.decode(data, found, calls, tools)
        return Reading("".join(outline.letters), calls, well_formed)

    def has_form(self, reading: Reading, *, wants_calls: bool) -> bool:
        """Whether the parts stand in the order that a message with, or without, calls has."""
        if not wants_calls:
            plain = re.fullmatch(self.form_without_calls, reading.structure) is not None
            return plain and not reading.foreign
        return reading.well_formed and re.fullmatch(self.form, reading.structure) is not None

    def next_tag(self, text: bytes, position: int, end: int) -> int:
        """Where the next tag begins, or `end`: how far calls that cannot be read go."""
        found = self._tag.search(text, position, end)
        return end if found is None else found.start()

    def types_of(self, extra_info: Mapping[str, Any] | None) -> Tools | None:
        """The tools for `read`, where it goes by their types, from a row's `extra_info`.

        `tools` and `later_tools` are lists in JSON: what the chat template shows, and what comes up
        in the course of the prompt.

        Raises:
            ValueError: one is not JSON, or no list.
        """
        if not self.typed_by_schema:
            return None
        return [tool for key in TOOL_LISTS for tool in _listed(key, (extra_info or {}).get(key))]

    def may_call(self, text: bytes) -> bool:
        """False if a message surely makes no call: a quick look before `scan`."""
        return any(opening in text for opening in self.blocks)

    def leaves_think_open(self, prompt: bytes) -> bool:
        """Whether a prompt that ends so has opened a thought, which the answer goes on with."""
        return prompt.rstrip().endswith(self.think[0])

    # -- writing ---------------------------------------------------------------------------------

    @abstractmethod
    def write(self, calls: Sequence[ToolCall], text: str = "", *, think: str | None = None) -> str:
        """A message as the model's own template writes it, without the token that ends it.

        Args:
            calls: may be empty.
            text: for the user; "" for none.
            think: the thought; None for none.
        """

    def write_think(self, think: str | None) -> str:
        """The thought in its tags and what separates it from the rest; "" for none."""
        if not think:
            return ""
        opening, closing = (tag.decode() for tag in self.think)
        return f"{opening}\n{think}\n{closing}\n\n"


def _listed(key: str, tools: str | None) -> list[Any]:
    """The tools of a row's JSON; none where it is empty."""
    found = json.loads(tools) if tools else []
    if not isinstance(found, list):
        raise ValueError(f"extra_info.{key} must be a list of tools in JSON, not {tools!r:.80}")
    return found
