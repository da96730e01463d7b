"""The keywords of JSON Schema: those of Draft 2020-12, and what others write in their place.

Others are Python's and BFCL's names of types, OpenAPI's `nullable`, a list of `items` and a
`required` within a property, from older drafts, and null, which parquet puts for each key that only
other rows have.
"""

import re
from collections.abc import Callable
from typing import Any

from rest_verl.prompts.references import merged, refuse, shown
from rest_verl.prompts.type_names import read_types

Schema = dict[str, Any]

_MAPS = ("properties", "patternProperties", "dependentSchemas")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "contains", "propertyNames", "additionalProperties", "contentSchema"),
    *("unevaluatedItems", "unevaluatedProperties", "not", "if", "then", "else"),
)
_OF_THE_SAME_VALUE = ("anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
_TODAYS_WORD = {
    "dependencies": "dependentRequired or dependentSchemas",
    "$dynamicRef": "$ref",
    "$recursiveRef": "$ref",
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


_WANTED: list[tuple[str, str, Callable[[Any], bool]]] = [
    ("title description format pattern", "a text", lambda v: isinstance(v, str)),
    ("contentEncoding contentMediaType $ref", "a text", lambda v: isinstance(v, str)),
    ("uniqueItems deprecated readOnly writeOnly", "true or false", lambda v: isinstance(v, bool)),
    ("minimum maximum exclusiveMinimum exclusiveMaximum", "a number", _is_number),
    ("multipleOf", "a number above 0", lambda v: _is_number(v) and v > 0),
    (
        "minLength maxLength minItems maxItems minContains maxContains minProperties maxProperties",
        "a whole number from 0",
        lambda v: _is_number(v) and v >= 0 and v == int(v),
    ),
    ("enum", "a list of one value or more", lambda v: isinstance(v, list) and bool(v)),
    ("examples", "a list", lambda v: isinstance(v, list)),
    ("required", "a list of names", _are_names),
    (
        "dependentRequired",
        "an object, a list of names by name",
        lambda v: isinstance(v, dict) and all(map(_are_names, v.values())),
    ),
]
_RULES = {key: (what, is_right) for keys, what, is_right in _WANTED for key in keys.split()}
KEYWORDS = {*_RULES, *_MAPS, *_LISTS, *_SINGLE, "type", "const", "default"}
"""To all other keys JSON Schema pays no heed."""


def clean_schema(schema: Any, where: str, names: frozenset[str] = frozenset()) -> Schema:
    """The schema in the keywords of Draft 2020-12, at every depth, without `allOf` and nulls.

    Args:
        schema: after `rest_verl.prompts.references.Inlining`: no `$ref`, and not too deep.
        where: its place, for messages.
        names: the properties that schemas of the same value have.

    Raises:
        ValueError: begins with the place and says what must be there.
    """
    if schema is True:
        return {}
    if not isinstance(schema, dict):
        refuse(where, 'must be a schema such as {"type": "string"}', schema)
    schema = _in_todays_words(_without_all_of(schema, where), where)
    names |= _names(schema)
    cleaned = {}
    for key, value in schema.items():
        if key in _TODAYS_WORD:
            refuse(f"{where}.{key}", f"must be written as {_TODAYS_WORD[key]}")
        if key in KEYWORDS or not (key.startswith("$") or key == "definitions"):
            known = names if key in _OF_THE_SAME_VALUE else frozenset()
            cleaned[key] = _keyword(key, value, f"{where}.{key}", known)
    missing = [name for name in cleaned.get("required", ()) if name not in names]
    if missing and "patternProperties" not in cleaned:
        refuse(f"{where}.required", f"names {shown(missing[0])}: add it to properties or drop it")
    cases = [*cleaned.get("anyOf", ()), *cleaned.get("oneOf", ())]
    if "properties" in cleaned and any("properties" in case for case in cases):
        refuse(f"{where}.properties", "must stand either there or in each case of anyOf or oneOf")
    return cleaned


def _names(schema: Schema) -> set[str]:
    properties = schema.get("properties")
    return set(properties) if isinstance(properties, dict) else set()


def _keyword(key: str, value: Any, where: str, names: frozenset[str]) -> Any:
    if key in _SINGLE:
        return value if isinstance(value, bool) else clean_schema(value, where, names)
    if key in _LISTS:
        if not isinstance(value, list) or not value:
            refuse(where, "must be a list of schemas", value)
        return [clean_schema(inner, f"{where}.{i}", names) for i, inner in enumerate(value)]
    if key in _MAPS:
        if not isinstance(value, dict):
            refuse(where, "must be an object, a schema by name", value)
        if key == "patternProperties" and not all(map(_is_pattern, value)):
            refuse(where, "must have regular expressions as Python has them as names", value)
        return {
            name: clean_schema(inner, f"{where}.{name}", names) for name, inner in value.items()
        }
    if key in _RULES:
        what, is_right = _RULES[key]
        if not is_right(value):
            refuse(where, f"must be {what}", value)
    return list(dict.fromkeys(value)) if key == "required" else value


def _without_all_of(schema: Schema, where: str) -> Schema:
    """The schema merged with the members of its `allOf`; what is null is left out."""
    schema = {key: _without_nulls(key, value) for key, value in schema.items() if value is not None}
    if "allOf" not in schema:
        return schema
    members = schema.pop("allOf")
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        refuse(f"{where}.allOf", "must be a list of schemas, objects", members)
    return merged([*(_without_all_of(member, where) for member in members), schema], where)


def _without_nulls(key: str, value: Any) -> Any:
    if key in (*_MAPS, "dependentRequired") and isinstance(value, dict):
        return {name: inner for name, inner in value.items() if inner is not None}
    if key in (*_LISTS, "allOf") and isinstance(value, list):
        return [inner for inner in value if inner is not None]
    return value


def _in_todays_words(schema: Schema, where: str) -> Schema:
    """What older drafts and other notations say on this level, as Draft 2020-12 says it."""
    if isinstance(schema.get("items"), list):
        today = {"items": "prefixItems", "additionalItems": "items"}
        schema = {today.get(key, key): value for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        schema = _with_required_listed(schema)
    if isinstance(is_nullable := schema.get("nullable"), bool):
        schema = {key: value for key, value in schema.items() if key != "nullable"}
        schema = _with_null(schema) if is_nullable else schema
    if "type" in schema:
        schema = _in_json_types(schema, where)
    if isinstance(pattern := schema.get("pattern"), str) and not _is_pattern(pattern):
        schema = {key: value for key, value in schema.items() if key != "pattern"}
        schema = _in_words(schema, f"pattern: {pattern}")  # another language's, such as \p{L}
    return schema


def _with_required_listed(schema: Schema) -> Schema:
    """A property may say of itself whether it is required; the list beside them does so here."""
    properties, marked = {}, []
    for name, inner in schema["properties"].items():
        if isinstance(inner, dict) and isinstance(inner.get("required"), bool):
            marked += [name] if inner["required"] else []
            inner = {key: value for key, value in inner.items() if key != "required"}
        properties[name] = inner
    listed = schema.get("required", [])
    required = {"required": [*listed, *marked]} if marked and isinstance(listed, list) else {}
    return {**schema, "properties": properties, **required}


def _with_null(schema: Schema) -> Schema:
    """The schema with null allowed, as OpenAPI's `nullable` does."""
    wider = dict(schema)
    if isinstance(members := schema.get("enum"), list) and None not in members:
        wider["enum"] = [*members, None]
    if "type" in schema:
        return {**wider, "type": [*_listed(schema["type"]), "null"]}
    for key in ("anyOf", "oneOf"):
        if isinstance(cases := schema.get(key), list):
            wider[key] = [*cases, {"type": "null"}]
    return wider


def _in_json_types(schema: Schema, where: str) -> Schema:
    names = _listed(schema["type"])
    if not names or not _are_names(names):
        refuse(f"{where}.type", "must be a type's name or a list of names", schema["type"])
    said, is_whole = read_types(names)
    if "items" in schema or "prefixItems" in schema:
        said = {key: value for key, value in said.items() if key not in ("items", "prefixItems")}
    typed = {
        key: said["type"] if key == "type" else value
        for key, value in schema.items()
        if key != "type" or "type" in said
    }
    typed |= {key: value for key, value in said.items() if key not in typed}
    return typed if is_whole else _in_words(typed, f"type: {', '.join(names)}")


def _in_words(schema: Schema, words: str) -> Schema:
    """The schema with what no keyword can say in its description."""
    description = schema.get("description", "")
    if not isinstance(description, str):
        return schema  # refused with the other keywords
    return {**schema, "description": f"{description} ({words})" if description else words}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True
