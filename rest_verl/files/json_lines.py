"""Reads JSON lines as people have them, naming file and line of whatever is wrong."""

import codecs
import io
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MARK = codecs.BOM_UTF8
_OTHER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def read_utf8(path: Path) -> bytes:
    """The bytes of a file, without UTF-8's byte-order mark.

    Raises:
        OSError: the file is absent, or cannot be read.
        ValueError: it has the byte-order mark of UTF-16 or UTF-32.
    """
    content = path.read_bytes()
    for mark, encoding in _OTHER_MARKS.items():
        if content.startswith(mark):
            raise ValueError(
                f"{path}: is {encoding}, and UTF-8 is read here; write it anew: "
                f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > NEW_FILE"
            )
    return content.removeprefix(_MARK)


def read_lines(path: Path) -> list[bytes]:
    r"""All lines of a file, with their ends; a line's place in the list is its number less 1.

    Only "\n" ends a line: some texts hold U+2028. A "\r" before it is white space to JSON. UTF-8's
    byte-order mark is taken off every line: where files were joined, it stands within.

    Raises:
        OSError or ValueError: as `read_utf8`.
    """
    return [line.removeprefix(_MARK) for line in io.BytesIO(read_utf8(path))]


def load_json(text: str | bytes) -> Any:
    """The value in `text`, if it can be written again as UTF-8 JSON.

    Raises:
        ValueError or RecursionError: no JSON, or NaN, 1e999, half of a surrogate pair in it.
    """
    value = json.loads(text)
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return value


def read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (file and line, object) of each line that is not blank.

    Raises:
        ValueError: no such file, one that is not UTF-8, or a line that is not an object in JSON.
    """
    try:
        lines = read_lines(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            record = load_json(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: not a line of JSON: {error}") from None
        if not isinstance(record, dict):
            raise ValueError(f"{where}: not a JSON object")
        yield where, record


def read_by_id(path: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """id -> (file, line and id as text, record), in file order.

    Raises:
        ValueError: as above, and an id that is missing or given twice.
    """
    records: dict[str, tuple[str, dict[str, Any]]] = {}
    for where, record in read_json_lines(path):
        row_id = record.get("id")
        if not isinstance(row_id, str) or not row_id:
            raise ValueError(f'{where}: no "id"')
        if row_id in records:
            first = records[row_id][0].removesuffix(f" ({row_id})")
            raise ValueError(f"{where} ({row_id}): duplicate id, first at {first}")
        records[row_id] = (f"{where} ({row_id})", record)
    return records
