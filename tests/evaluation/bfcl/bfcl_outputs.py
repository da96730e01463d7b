"""Outputs for BFCL's single-turn rows: right ones, and ones with one thing changed.

Every change is a function of a random generator, the row and a right output, which it may change in
place; it returns the output. A change need not make the output wrong: what matters is that both
scorers say the same of it.
"""

import copy
import random
from collections.abc import Callable
from typing import Any

from rest_verl.data.bfcl import BfclRow

Calls = list[dict[str, Any]]
Change = Callable[[random.Random, BfclRow, Calls], Calls | None]


def right_calls(rng: random.Random, row: BfclRow) -> Calls:
    """Out of the allowed values; where no answer is given, a call without arguments or none."""
    if row.expect == "no_call":
        return []
    if row.expect == "any_call":
        return [{"name": row.functions[0]["name"], "arguments": {}}]
    docs = {doc["name"]: doc for doc in row.functions}
    calls: Calls = []
    for call in row.calls:
        # Some answers of v3's "simple" have another name than the one function on offer.
        doc = docs.get(call["name"], row.functions[0])
        parameters = doc["parameters"]
        arguments = {
            name: _written(rng, value, parameters["properties"].get(name, {}), row)
            for name, allowed in call["parameters"].items()
            if (value := _choose(rng, allowed, name in parameters["required"])) is not _LEFT_OUT
        }
        calls.append({"name": doc["name"], "arguments": arguments})
    return calls


_LEFT_OUT: Any = object()


def _choose(rng: random.Random, allowed: list[Any], is_required: bool) -> Any:
    stated = [value for value in allowed if value != ""]
    if (not stated or "" in allowed) and not is_required and rng.random() < 0.5:
        return _LEFT_OUT
    return _filled(rng, rng.choice(stated)) if stated else ""


def _filled(rng: random.Random, value: Any) -> Any:
    """An object's keys have lists of allowed values of their own."""
    if isinstance(value, list):
        return [_filled(rng, item) if isinstance(item, dict) else item for item in value]
    if not isinstance(value, dict):
        return value
    chosen = {}
    for key, allowed in value.items():
        if not isinstance(allowed, list):
            chosen[key] = allowed
        elif "" not in allowed or rng.random() < 0.5:
            chosen[key] = rng.choice([v for v in allowed if v != ""] or [""])
    return chosen


# --- Java and JavaScript: values as text ----------------------------------------------------------


def _written(rng: random.Random, value: Any, spec: dict[str, Any], row: BfclRow) -> Any:
    if "javascript" in row.category:
        return _in_javascript(value, spec)
    return _in_java(rng, value, spec) if "java" in row.category else value


def _in_javascript(value: Any, spec: dict[str, Any]) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value}"' if spec.get("type") == "String" else value
        case list():
            return f"[{', '.join(_literal(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f'"{k}": {_literal(v)}' for k, v in value.items()) + "}"
    return f"{value}n" if spec.get("type") == "Bigint" else str(value)


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _in_java(rng: random.Random, value: Any, spec: dict[str, Any]) -> str:
    kind = spec.get("type")
    items = (spec.get("items") or {}).get("type")
    suffix = "L" if "long" in (kind, items) else "f" if "float" in (kind, items) else ""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case list() if kind == "Array":
            texts = [item if items == "String" else _literal(item) + suffix for item in value]
            return f"new {items}[]{{{', '.join(texts)}}}"
        case list():
            texts = [_literal(item) + suffix for item in value]
            if rng.random() < 0.5:
                return f"new ArrayList<>(Arrays.asList({', '.join(texts)}))"
            return f"new ArrayList<>() {{{{ {' '.join(f'add({text});' for text in texts)} }}}}"
        case dict():
            puts = " ".join(f'put("{key}", {_literal(item)});' for key, item in value.items())
            return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    return f"{value}{suffix}"


# --- changes --------------------------------------------------------------------------------------


def _any_call(rng: random.Random, calls: Calls) -> dict[str, Any]:
    return rng.choice(calls) if calls else {"name": "", "arguments": {}}


def unchanged(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    return calls


def another_name(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    call = _any_call(rng, calls)
    name = call["name"]
    others = [doc["name"] for doc in row.functions if doc["name"] != name]
    variants = [name.replace(".", "_"), name.upper(), f"{name} ", name[:-1], ""]
    call["name"] = rng.choice([*others, *others, *variants])
    return calls


def without_a_parameter(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    if arguments := _any_call(rng, calls)["arguments"]:
        del arguments[rng.choice(list(arguments))]
    return calls


def with_a_parameter_more(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    arguments = _any_call(rng, calls)["arguments"]
    properties = rng.choice(row.functions)["parameters"]["properties"] if row.functions else {}
    names = [name for name in properties if name not in arguments]
    name = rng.choice([*names, "surplus"])
    arguments[name] = rng.choice(["", 1, None, [], "value", True, {}, 0.5])
    return calls


def another_value(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    return _replace(rng, calls, _altered)


def another_type(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    return _replace(rng, calls, _retyped)


def another_spelling(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    """Of strings, wherever they are in the value: case, punctuation, spaces, quotes."""
    for call in calls:
        call["arguments"] = {name: _respelt(rng, v) for name, v in call["arguments"].items()}
    return calls


def another_nesting(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    def renest(rng: random.Random, value: Any) -> Any:
        options = [[value], {"value": value}, [[value]], [value, value], {"": [value]}]
        if isinstance(value, list) and value:
            options += [value[0], value[1:], value[::-1], value + value[:1], [*value, ""], []]
        if isinstance(value, dict) and value:
            first, *others = value
            options += [{}, value[first], {**value, "x": 1}, {key: value[key] for key in others}]
            options += [{key: [item] for key, item in value.items()}, list(value.values())]
        return rng.choice(options)

    return _replace(rng, calls, renest)


def int_for_float_and_reverse(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    def swap(value: Any) -> Any:
        match value:
            case bool():
                return int(value)
            case int():
                return float(value)
            case float() if value == int(value):
                return int(value)
            case [*items]:
                return [swap(item) for item in items]
            case {**members}:
                return {key: swap(item) for key, item in members.items()}
        return value

    for call in calls:
        call["arguments"] = {name: swap(value) for name, value in call["arguments"].items()}
    return calls


def a_call_fewer_or_twice(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    if calls:
        place = rng.randrange(len(calls))
        calls[place : place + 1] = [calls[place]] * rng.choice([0, 2])
    return calls


def another_order(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    rng.shuffle(calls)
    return calls


def no_call(rng: random.Random, row: BfclRow, calls: Calls) -> Calls | None:
    return rng.choice([None, []])


def a_call_of_any_function(rng: random.Random, row: BfclRow, calls: Calls) -> Calls:
    name = rng.choice(row.functions)["name"] if row.functions else "f"
    return [*calls, {"name": name, "arguments": {}}]


CHANGES: tuple[Change, ...] = (
    unchanged,
    another_name,
    without_a_parameter,
    with_a_parameter_more,
    another_value,
    another_type,
    another_spelling,
    another_nesting,
    int_for_float_and_reverse,
    a_call_fewer_or_twice,
    another_order,
    no_call,
    a_call_of_any_function,
)


def output(row: BfclRow, change: Change, seed: int) -> Calls | None:
    """The same for the same row, change and seed."""
    rng = random.Random(f"{row.id} {change.__name__} {seed}")
    return change(rng, row, copy.deepcopy(right_calls(rng, row)))


def _replace(rng: random.Random, calls: Calls, how: Callable[[random.Random, Any], Any]) -> Calls:
    if arguments := _any_call(rng, calls)["arguments"]:
        name = rng.choice(list(arguments))
        arguments[name] = how(rng, arguments[name])
    return calls


def _altered(rng: random.Random, value: Any) -> Any:
    """A value of the same type, mostly."""
    match value:
        case bool():
            return not value
        case int():
            return rng.choice([value + 1, -value, value * 10])
        case float():
            return rng.choice([value + 1, -value, value / 10])
        case str():
            cut = rng.randrange(len(value) + 1)
            return rng.choice([value + "x", value[:cut], value[cut:], "", "x", value[::-1]])
        case [*items] if items:
            place = rng.randrange(len(items))
            return [*items[:place], _altered(rng, items[place]), *items[place + 1 :]]
        case {**members} if members:
            key = rng.choice(list(members))
            return {**members, key: _altered(rng, members[key])}
    return rng.choice([value, "", [], {}, 0])


def _retyped(rng: random.Random, value: Any) -> Any:
    match value:
        case bool():
            return rng.choice([str(value), int(value), str(value).lower(), None])
        case int():
            return rng.choice([str(value), [value], value == 1, None, float(value)])
        case float():
            return rng.choice([str(value), [value], int(value), None])
        case str():
            return rng.choice([[value], 0, None, True, {"value": value}, list(value), 1.5])
        case [*items] if items and rng.random() < 0.5:
            return [_retyped(rng, item) for item in items]
        case {**members} if members and rng.random() < 0.5:
            return {key: _retyped(rng, item) for key, item in members.items()}
    return rng.choice([str(value), "", None, 0, [], {}])


def _respelt(rng: random.Random, value: Any) -> Any:
    match value:
        case str():
            spelt = rng.choice(
                [
                    value.upper(),
                    value.lower(),
                    value.replace(" ", rng.choice(["", "_", "-", "  "])),
                    value.replace(",", ""),
                    f" {value}.",
                    value.replace("'", '"'),
                    value.replace('"', "'"),
                    value.replace(" ", "\n"),
                    value.replace("-", "/"),
                    f"{value}!",
                ]
            )
            return spelt
        case [*items]:
            return [_respelt(rng, item) for item in items]
        case {**members}:
            return {key: _respelt(rng, item) for key, item in members.items()}
    return value
