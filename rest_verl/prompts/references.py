"""Writes out each `$ref` of a tool's parameters, and merges schemas that one value has to meet."""

import math
import reprlib
from collections.abc import Iterable
from typing import Any, NoReturn
from urllib.parse import unquote

MAX_DEPTH = 64
"""Levels of JSON in a tool's parameters: 32 objects within each other."""
MAX_OBJECTS = 10_000
"""JSON objects in a tool's parameters, each `$ref` written out."""

_ANNOTATIONS = ("title", "description", "default", "examples")
_MAX_PLACE = 120
_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = 80


def shown(value: Any) -> str:
    """The value for a message, shortened."""
    return _shortened.repr(value)


def refuse(where: str, wanted: str, *got: Any) -> NoReturn:
    """Raises ValueError: what is wanted at a place, and what is there instead."""
    place = where if len(where) <= _MAX_PLACE else f"{where[: _MAX_PLACE - 40]}…{where[-40:]}"
    raise ValueError(f"{place} {wanted}" + "".join(f", not {shown(value)}" for value in got))


def merged(schemas: Iterable[dict[str, Any]], where: str) -> dict[str, Any]:
    """One schema that says what all of them say; titles, descriptions and defaults are the last.

    Raises:
        ValueError: two of them give another keyword, or a property, differently.
    """
    whole: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            before = whole.get(key)
            if value is None:
                continue
            if before is None or before == value or key in _ANNOTATIONS:
                whole[key] = value
                continue
            match key, before, value:
                case (("required" | "allOf"), list(), list()):
                    whole[key] = [*before, *(item for item in value if item not in before)]
                case "properties", dict(), dict():
                    common = before.keys() & value.keys()
                    for name in sorted(name for name in common if before[name] != value[name]):
                        _refuse_two(f"{where}.properties.{name}", before[name], value[name])
                    whole[key] = {**before, **value}
                case _:
                    _refuse_two(f"{where}.{key}", before, value)
    return whole


def _refuse_two(where: str, first: Any, second: Any) -> NoReturn:
    refuse(where, f"must be given once: $ref or allOf adds {shown(second)} to {shown(first)}")


class Inlining:
    """Copies a tool's parameters with, in place of each `$ref`, the schema that it names."""

    def __init__(self, root: dict[str, Any], where: str) -> None:
        self._root = root
        self._where = where
        self._num_objects = 0

    def inlined(self) -> dict[str, Any]:
        """The copy, without definitions; what stands beside a `$ref` is merged with what it names.

        Raises:
            ValueError: a `$ref` that names no schema or leads back to itself, schemas that cannot
                be merged, values that JSON cannot hold, or more than the limits above.
        """
        root = {key: value for key, value in self._root.items() if key != "definitions"}
        return self._object(root, self._where, 0, ())

    def _value(self, value: Any, where: str, depth: int, refs: tuple[str, ...]) -> Any:
        """The copy of a value; `refs` are those that are being written out around it."""
        if depth > MAX_DEPTH:
            refuse(where, f"must be flattened: it lies more than {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            return self._object(value, where, depth, refs)
        if isinstance(value, list):
            return [self._value(v, f"{where}.{i}", depth + 1, refs) for i, v in enumerate(value)]
        if not isinstance(value, str | int | float | None):
            refuse(where, "must be a value of JSON", value)
        if isinstance(value, float) and not math.isfinite(value):
            refuse(where, "must be a number of JSON", value)
        return value

    def _object(
        self, value: dict[str, Any], where: str, depth: int, refs: tuple[str, ...]
    ) -> dict[str, Any]:
        self._num_objects += 1
        if self._num_objects > MAX_OBJECTS:
            refuse(self._where, f"must be simpler: {MAX_OBJECTS} objects, each $ref written out")
        copied = {}
        for key, inner in value.items():
            if not isinstance(key, str):
                refuse(where, "must have texts as keys", key)
            if key != "$defs":
                copied[key] = self._value(inner, f"{where}.{key}", depth + 1, refs)
        if not isinstance(copied.get("$ref"), str):
            return copied
        ref = copied.pop("$ref")
        if ref in refs:
            refuse(f"{where}.$ref", "must not lead back to itself, write its levels out", ref)
        named = self._value(self._named(ref, where), where, depth + 1, (*refs, ref))
        return merged([named, copied], where)

    def _named(self, ref: str, where: str) -> dict[str, Any]:
        """What a JSON pointer such as "#/$defs/City" names."""
        target: Any = self._root if ref[:1] == "#" and ref[1:2] in ("", "/") else None
        for part in ref[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                target = target.get(key) if isinstance(target, dict) else None
        if target is True:
            return {}
        if not isinstance(target, dict):
            refuse(f"{where}.$ref", "must name a schema in $defs of the same parameters", ref)
        return target
