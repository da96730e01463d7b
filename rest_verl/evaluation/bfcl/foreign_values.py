"""Java and JavaScript values written as text, read as BFCL reads them.

In BFCL's Java and JavaScript categories every argument is a string in the target language. It is
converted by its declared type before it is compared; text that does not fit the type stays text.
The reading follows the type converters of bfcl-eval (Apache-2.0), in
`eval_checker/ast_eval/type_convertor`, with their simplifications: elements are parted at every
comma, also inside quotes, and only the first bracket of a kind is seen. What differs is only what
happens on degenerate text:

- An integer of more digits than Python reads stays text; the official converter raises.
- A collection of more than `MAX_LENGTH` characters stays text. On some such texts the official
  patterns take hours. The longest right answer has 160.
"""

import re
from collections.abc import Callable
from typing import Any

MAX_LENGTH = 2_000
"""Characters of a collection that is read."""

_INTEGER = re.compile(r"-?\d+$")
_LONG = re.compile(r"-?\d+[lL]$")
_BIGINT = re.compile(r"-?\d+n$")
_JS_FLOAT = re.compile(r"-?\d+(?:\.\d+)?$")
_DOUBLE = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$")
_FLOAT = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[fF]$")
_BOOLEANS = {"true": True, "false": False}

_JAVA_ARRAY = re.compile(r"new\s+\w+\[\]\s*\{(.*?)\}")
_JAVA_AS_LIST = re.compile(r"new\s+ArrayList<\w*>\(Arrays\.asList\((.+?)\)\)")
_JAVA_ADDING = re.compile(r"new\s+ArrayList<\w*>\(\)\s*\{\{\s*")
_JAVA_ADD = re.compile(r"add\((.+?)\)")
_JAVA_EMPTY_LIST = re.compile(r"new\s+ArrayList<\w*>\(\)")
_JAVA_FILLING = re.compile(r"new\s+HashMap<.*?>\s*\(\)\s*\{", re.DOTALL)
_JAVA_PUT = re.compile(r'put\("(.*?)",\s*(?!\s)(.*?)\)')
_JAVA_EMPTY_MAP = re.compile(r"new\s+HashMap<.*?>\s*\(\)")

_JS_ROWS = re.compile(r"\[\s*\[|new\s+Array\(\s*\[")
_JS_ROW = re.compile(r"\[(.*?)\]")
_JS_LIST = re.compile(r"\[(.*?)\]|new\s+Array\((.*?)\)")
_JS_OBJECT = re.compile(r"\{(.*?)\}")
_JS_PAIR = re.compile(
    r"""([^:]+)                  # key
        :\s*(.*?)                # value, up to
        (?:,\s*(?=[^,]+:)|$)     # a comma with a colon before the next comma, or the end""",
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")


def java_value(text: str, kind: str, items: str | None = None) -> Any:
    """`text` as a value of the Java type `kind`; `items` is the type of a collection's elements.

    Raises:
        ValueError: a type that BFCL has no rule for.
    """
    match kind:
        case "byte" | "short" | "integer":
            return _number(int, text) if _INTEGER.match(text) else text
        case "long":
            return _number(int, text, "lL") if _LONG.match(text) else text
        case "double":
            return float(text) if _DOUBLE.match(text) else text
        case "float":
            return _number(float, text, "fF") if _FLOAT.match(text) else text
        case "boolean":
            return _BOOLEANS.get(text, text)
        case "String" | "char" | "any":
            return text
        case "Array":
            return _java_array(text, items) if len(text) <= MAX_LENGTH else text
        case "ArrayList":
            return _java_list(text, items) if len(text) <= MAX_LENGTH else text
        case "HashMap":
            return _java_map(text) if len(text) <= MAX_LENGTH else text
    raise ValueError(f"BFCL does not read values of the Java type {kind!r}")


def javascript_value(text: str, kind: str, items: str | None = None) -> Any:
    """`text` as a value of the JavaScript type `kind`, as `java_value`."""
    match kind:
        case "String":
            return _unquoted(text)
        case "integer":
            return _number(int, text) if _INTEGER.match(text) else text
        case "float":
            return float(text) if _JS_FLOAT.match(text) else text
        case "Bigint":
            return _number(int, text, "n") if _BIGINT.match(text) else text
        case "Boolean":
            return _BOOLEANS.get(text, text)
        case "any":
            return text
        case "array":
            text = text.strip()
            return _js_array(text, items) if len(text) <= MAX_LENGTH else text
        case "dict":
            text = text.strip()
            return _js_object(text) if len(text) <= MAX_LENGTH else text
    raise ValueError(f"BFCL does not read values of the JavaScript type {kind!r}")


def _number(kind: Callable[[str], Any], text: str, suffix: str = "") -> Any:
    try:
        return kind(text.strip().rstrip(suffix) if suffix else text)
    except ValueError:  # past Python's limit of digits
        return text


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if text.startswith(quote) and text.endswith(quote):
            return text[1:-1]
    return text


def _untyped_number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


# --- Java -----------------------------------------------------------------------------------------


def _java_array(text: str, items: str | None) -> Any:
    if not (array := _JAVA_ARRAY.search(text)):
        return text
    elements = filter(None, map(str.strip, array[1].split(",")))
    return [java_value(e, items) if items else _untyped_java(e) for e in elements]


def _java_list(text: str, items: str | None) -> Any:
    if given := _JAVA_AS_LIST.search(text):
        return [_java_element(element, items) for element in given[1].split(",")]
    for adding in _JAVA_ADDING.finditer(text):
        # At least one character stands between the braces; it may be one of the spaces.
        end = text.find("}}", adding.end() + 1)
        if end < 0 and text[adding.end() - 1].isspace() and text.startswith("}}", adding.end()):
            end = adding.end()
        if end >= 0:
            body = text[adding.end() : end]
            return [_java_element(element, items) for element in _JAVA_ADD.findall(body)]
    return [] if _JAVA_EMPTY_LIST.search(text) else text


def _java_element(text: str, items: str | None) -> Any:
    text = text.strip()
    if items in ("char", "String"):
        return text[1:-1]
    return java_value(text, items) if items else _untyped_java(text)


def _java_map(text: str) -> Any:
    filling = _JAVA_FILLING.search(text)
    if filling and (end := text.find("}", filling.end())) >= 0:
        puts = _JAVA_PUT.findall(text[filling.end() : end])
        return {key: _untyped_java(value.strip()) for key, value in puts}
    return {} if _JAVA_EMPTY_MAP.search(text) else text


def _untyped_java(text: str) -> Any:
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if text.startswith('"') and text.endswith('"'):
        return text[1:-1]
    if _LONG.match(text):
        return _number(int, text, "lL")
    if _FLOAT.match(text):
        return _number(float, text, "fF")
    return _untyped_number(text)


# --- JavaScript -----------------------------------------------------------------------------------


def _js_array(text: str, items: str | None) -> Any:
    if end := _end_of_rows(text):
        rows = [row.strip() for row in _JS_ROW.findall(text[:end])]
        if rows[0].startswith("["):
            rows[0] = rows[0][1:]
        return [[_untyped_js(element) for element in row.split(",")] for row in rows]
    if not (array := _JS_LIST.match(text)):
        return text
    inside = (array[1] if array[1] is not None else array[2]).strip()
    elements = [element.strip() for element in inside.split(",")] if inside else []
    if not items:
        return [_untyped_js(element) for element in elements]
    return [javascript_value(element, items) for element in elements]


def _end_of_rows(text: str) -> int | None:
    """Where an array of arrays that begins the text ends; None if none does.

    The official pattern lets a row run over brackets and commas to whatever makes the whole fit,
    which takes it exponential time; the same end is found here by visiting each bracket once.
    """
    head = _JS_ROWS.match(text)
    if not head:
        return None
    closing = "]" if text[0] == "[" else ")"
    visited: set[int] = set()
    rows = [head.end()]  # the rows begun, with the place from which each may still end
    while rows:
        bracket = text.find("]", rows[-1])
        if bracket < 0 or "\n" in text[rows[-1] : bracket]:
            rows.pop()
            continue
        rows[-1] = bracket + 1
        if bracket in visited:
            continue
        visited.add(bracket)
        after = _skip_space(text, bracket + 1)
        if text.startswith(closing, after):
            return after + 1
        if text.startswith(",", after):
            following = _skip_space(text, after + 1)
            if text.startswith("[", following):
                rows.append(following + 1)
    return None


def _skip_space(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]


def _js_object(text: str) -> Any:
    if text == "{}":
        return {}
    if not (found := _JS_OBJECT.match(text)):
        return text
    members = {}
    for key, value in _JS_PAIR.findall(found[1]):
        value = value.strip()
        is_list = value.startswith("[") and value.endswith("]")
        members[key.strip().strip("'\"")] = (
            _js_array(value, None) if is_list else _untyped_js(value.strip("'\""))
        )
    return members


def _untyped_js(text: str) -> Any:
    text = text.strip()
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    unquoted = _unquoted(text)
    return unquoted if unquoted is not text else _untyped_number(text)
