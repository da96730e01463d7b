"""The labelling rules once more, byte by byte: slow, simple, and written apart from the scanner."""

from __future__ import annotations

from rest_verl.algorithm.regions import Region

FORMAT, NAME, ARGS, THINK, TEXT = Region
TAGS = [b"<think>", b"</think>", b"<tool_call>", b"</tool_call>", b"<response>", b"</response>"]


class Reference:
    """`Reference(text).labels` holds one region per byte; reading goes on where labels end."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.labels: list[Region] = []
        self.saw_call = self.saw_think = False
        while self.rest():
            self.outside()

    def rest(self) -> bytes:
        return self.text[len(self.labels) :]

    def tag(self, at: int | None = None) -> bytes:
        at = len(self.labels) if at is None else at
        return next((tag for tag in TAGS if self.text[at:].startswith(tag)), b"")

    def put(self, region: Region, count: int = 1) -> None:
        self.labels += [region] * count

    def put_while(self, region: Region, characters: bytes) -> None:
        while self.rest() and self.rest()[0] in characters:
            self.put(region)

    def put_before(self, region: Region, tag: bytes) -> None:
        found = self.rest().find(tag)
        self.put(region, len(self.rest()) if found < 0 else found)

    def outside(self) -> None:
        tag = self.tag()
        if tag == b"</think>" and not self.saw_think and not self.saw_call:
            self.labels = [THINK] * len(self.labels)
        self.put(FORMAT if tag else TEXT, max(len(tag), 1))
        if tag == b"<think>":
            self.put_before(THINK, b"</think>")
            self.put(FORMAT, min(len(self.rest()), len(b"</think>")))
        self.saw_think |= tag in (b"<think>", b"</think>")
        if tag == b"<response>" and (end := self.rest().find(b"</response>")) >= 0:
            prompt_thinks = not self.saw_think and not self.saw_call
            if not (prompt_thinks and b"</think>" in self.rest()[:end]):
                self.put(TEXT, end)
        if tag == b"<tool_call>":
            self.block()

    def block(self) -> None:
        while True:
            self.put_while(FORMAT, b" \t\r\n,[]")
            good = False
            if self.rest()[:1] == b"{":
                self.put(FORMAT)
                good = self.call()
            while not good and self.rest() and not self.tag():
                if self.rest()[:1] == b"{" and self.text[len(self.labels) - 1] == ord("\n"):
                    break
                self.put(TEXT)
            if not self.rest() or (self.tag() and not good):
                return

    def call(self) -> bool:
        while True:
            self.put_while(FORMAT, b" \t\r\n,")
            if self.rest()[:1] == b"}":
                self.put(FORMAT)
                return True
            if self.rest()[:1] != b'"':
                return False
            length, closed = self.string(len(self.labels))
            key = self.rest()[:length]
            known = key in (b'"name"', b'"arguments"', b'"parameters"')
            self.put(FORMAT if known else TEXT, length)
            if not closed:
                return False
            self.put_while(FORMAT, b" \t\r\n")
            if self.rest()[:1] != b":":
                return False
            self.put(FORMAT)
            self.put_while(FORMAT, b" \t\r\n")
            if not self.value(key == b'"name"', known):
                return False

    def value(self, is_name: bool, known: bool) -> bool:
        first = self.rest()[:1]
        region = ARGS if known and not is_name else TEXT
        if is_name and first == b'"':
            length, closed = self.string(len(self.labels))
            self.put(FORMAT)
            self.put(NAME, length - 1 - closed)
            self.put(FORMAT, int(closed))
            self.saw_call = True
            return closed
        length, closed = self.extent(first)
        self.put(region, length)
        self.saw_call |= region == ARGS and length > 0
        return closed

    def extent(self, first: bytes) -> tuple[int, bool]:
        """Length of the value that begins here, and whether it is whole."""
        start = at = len(self.labels)
        if first == b'"':
            return self.string(start)
        if first not in (b"{", b"["):
            while at < len(self.text) and self.text[at] not in b' \t\r\n,:[]{}"<':
                at += 1
            return at - start, at > start
        depth = 0
        while at < len(self.text):
            if self.tag(at):
                return at - start, False
            byte = self.text[at : at + 1]
            length, closed = self.string(at) if byte == b'"' else (1, True)
            depth += (byte in (b"{", b"[")) - (byte in (b"}", b"]"))
            at += length
            if not closed:
                return at - start, False
            if depth == 0:
                return at - start, True
        return at - start, False

    def string(self, start: int) -> tuple[int, bool]:
        """Length of the string that begins at `start`, and whether it is closed."""
        at, closed = start + 1, False
        while at < len(self.text) and not closed:
            closed = self.text[at : at + 1] == b'"'
            at += 2 if self.text[at : at + 1] == b"\\" else 1
        at = min(at, len(self.text))
        after = self.text[at:].lstrip(b" \t\r\n")[:1]
        for inner in range(start, at):
            if (tag := self.tag(inner)) and inner + len(tag) <= at:
                return (at - start, True) if closed and after in b",:]}" else (inner - start, False)
        return at - start, closed


def token_region(byte_regions: list[Region]) -> Region:
    """Region of most bytes, the earliest of them on a tie."""
    count, first = byte_regions.count, byte_regions.index
    return max(byte_regions, key=lambda region: (count(region), -first(region)))
