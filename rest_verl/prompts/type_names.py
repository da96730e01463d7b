"""The names that people give to types, Python's and BFCL's among them, in terms of JSON Schema.

read_types(["str, optional"])             -> {"type": "string"}
read_types(["List[Union[int, float]]"])   -> {"type": "array", "items": {"type": ["integer", ...]}}
read_types(["Callable[[float], float]"])  -> {}, a type that JSON Schema has no name for
"""

import ast
import re
from collections.abc import Sequence
from typing import Any

_JSON_TYPES = {
    "string": ("string", "str", "char"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double"),
    "boolean": ("boolean", "bool"),
    "array": (
        *("array", "list", "tuple", "arraylist", "queue", "stack", "set"),
        *("frozenset", "sequence", "iterable"),
    ),
    "object": ("object", "dict", "hashmap", "hashtable", "mapping"),
    "null": ("null", "none", "nonetype"),
}
_JSON_TYPE = {name: json_type for json_type, names in _JSON_TYPES.items() for name in names}
_ANY = ("", "any", "enum")  # an enum's members say what it is
_ASIDE = re.compile(r"[\s,(]*\b(?:optional|required)\b[\s)]*$", re.IGNORECASE)
_MAX_LENGTH = 200
"""In characters; a longer text is no name, and Python's parser is to stay clear of deep nesting."""


def json_type(name: str) -> str | None:
    """JSON Schema's name of the type, in whatever case it is written; None if it has none."""
    return _JSON_TYPE.get(name.lower())


def says_optional(name: str) -> bool:
    """Whether a type's name says that the argument may be left out, or be None."""
    return "optional" in name.lower()


def read_types(names: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """A schema of all values of any of the types, and whether each of their names was known.

    A name that is not known allows any value where it stands.
    """
    if len({*names} & _JSON_TYPES.keys()) == len(names):
        return {"type": names[0] if len(names) == 1 else list(names)}, True
    reader = _Reader()
    return _union([reader.read(name) for name in names]), not reader.met_unknown


class _Reader:
    def __init__(self) -> None:
        self.met_unknown = False

    def read(self, name: str) -> dict[str, Any]:
        if len(name) > _MAX_LENGTH:
            return self._unknown()
        words = _ASIDE.sub("", name).strip()
        if words.lower() in _ANY:
            return {}
        try:
            return self._schema(ast.parse(words, mode="eval").body)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return self._unknown()

    def _schema(self, node: ast.expr) -> dict[str, Any]:
        match node:
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="typing"), attr=name):
                known = json_type(name)
                if known:
                    return {"type": known}
                return {} if name.lower() in _ANY else self._unknown()
            case ast.Constant(value=None):
                return {"type": "null"}
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return _union([self._schema(left), self._schema(right)])
            case ast.BoolOp(op=ast.Or(), values=values):
                return _union([self._schema(value) for value in values])
            case (
                ast.Subscript(value=ast.Name(id=name), slice=inner)
                | ast.Subscript(
                    value=ast.Attribute(value=ast.Name(id="typing"), attr=name), slice=inner
                )
            ):
                return self._generic(
                    name.lower(), inner.elts if isinstance(inner, ast.Tuple) else [inner]
                )
        return self._unknown()

    def _generic(self, name: str, inner: list[ast.expr]) -> dict[str, Any]:
        """The schema of `name[inner]`."""
        if name == "literal":
            members = [node.value for node in inner if isinstance(node, ast.Constant)]
            is_json = all(isinstance(member, str | int | float | None) for member in members)
            return {"enum": members} if is_json and len(members) == len(inner) else self._unknown()
        is_open_tuple = name == "tuple" and any(map(_is_ellipsis, inner))
        schemas = [self._schema(node) for node in inner if not _is_ellipsis(node)]
        match json_type(name), schemas:
            case "array", [_, *_] if name == "tuple" and not is_open_tuple:
                return {"type": "array", "prefixItems": schemas}
            case "array", [items]:
                return {"type": "array", "items": items} if items else {"type": "array"}
            case "object", [_, values] if values:  # whatever type a key has, in JSON it is a text
                return {"type": "object", "additionalProperties": values}
            case ("array" | "object") as known, _:
                return {"type": known}
        if name == "union":
            return _union(schemas)
        if name == "optional":
            return _union([_union(schemas), {"type": "null"}])
        return self._unknown()

    def _unknown(self) -> dict[str, Any]:
        self.met_unknown = True
        return {}


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def _union(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """What fits one of the schemas; of none, or if one of them is {}, whatever there is."""
    if not schemas or not all(schemas):
        return {}
    distinct = [schema for i, schema in enumerate(schemas) if schema not in schemas[:i]]
    if len(distinct) == 1:
        return distinct[0]
    if any(schema.keys() != {"type"} for schema in distinct):
        return {"anyOf": distinct}
    names = [name for schema in distinct for name in _listed(schema["type"])]
    return {"type": list(dict.fromkeys(names))}


def _listed(type_: str | list[str]) -> list[str]:
    return type_ if isinstance(type_, list) else [type_]
