"""Messages whose calls stand in their text, read by `rest_verl.syntax`."""

from rest_verl.data.chats.chat import RecordedCall
from rest_verl.data.refusals import Refused, shortened
from rest_verl.syntax import Syntax
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import TEXT, THINK


def split_message(syntax: Syntax, message: str) -> tuple[str, str, list[RecordedCall]]:
    """Its thought, its text without thought and calls, and its calls.

    Raises:
        Refused: calls that cannot be read, or thoughts in several places.
    """
    data = message.encode("utf-8", "surrogatepass")
    reading = syntax.read(data, think_is_open=False)
    if not reading.well_formed:
        raise Refused(
            "unreadable call in text", f"its calls are no {syntax.name} calls: {shortened(message)}"
        )
    outline = Outline()
    syntax.scan(data, 0, len(data), outline, False)
    ends = [*outline.starts[1:], len(data)]
    parts: dict[int, list[str]] = {TEXT: [], THINK: []}
    for start, end, region in zip(outline.starts, ends, outline.regions, strict=True):
        written = data[start:end].decode("utf-8", "surrogatepass").strip()
        if region in parts and written:
            parts[region].append(written)
    if len(parts[THINK]) > 1:
        raise Refused("two thoughts", f"its thought is in {len(parts[THINK])} places; keep one")
    calls = [RecordedCall(name=call.name, arguments=call.arguments) for call in reading.calls]
    return "".join(parts[THINK]), "\n".join(parts[TEXT]), calls
