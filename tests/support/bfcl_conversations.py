"""BFCL's multi-turn rows, their right conversations, and conversations with one thing wrong."""

import importlib.util
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.bfcl_backend import method_table, plain_copy
from rest_verl.environments.bfcl_task import BfclTask
from rest_verl.files.json_lines import read_json_lines

Conversation = list[list[tuple[str, dict[str, Any]]]]
"""Calls, name and arguments, by turn; fewer turns than the row has: the model stopped early."""

CATEGORIES = ("base", "miss_func", "miss_param", "long_context")
BFCL_V3 = Path(__file__).resolve().parents[3] / "shared" / "data" / "bfcl_v3"


def read_rows(category: str, folder: Path | None = None, version: str = "v4") -> list[dict]:
    """The category's records with their answers, from the package where no folder is given."""
    if folder is None:
        spec = importlib.util.find_spec("bfcl_eval")
        assert spec is not None
        assert spec.submodule_search_locations
        folder = Path(spec.submodule_search_locations[0]) / "data"
    name = f"BFCL_{version}_multi_turn_{category}.json"
    answers = {row["id"]: row for _, row in read_json_lines(folder / "possible_answer" / name)}
    rows = [{**row, **answers[row["id"]]} for _, row in read_json_lines(folder / name)]
    # multi_turn_base_154 of version 3 has six answers to five questions: nobody can pass it.
    return [row for row in rows if len(row["question"]) == len(row["ground_truth"])]


def right_conversation(row: dict[str, Any]) -> Conversation:
    return [[tuple(call) for call in turn] for turn in BfclTask.from_record(row).calls]


def play(environment: BFCLEnvironment, conversation: Conversation) -> list[str]:
    """The observations, in order."""
    observations = []
    for turn in conversation:
        for name, arguments in turn:
            observations.append(environment.call(name, arguments))
        environment.end_turn()
    return observations


def call_strings(conversation: Conversation) -> list[list[str]]:
    """As BFCL's handlers write a model's calls."""
    return [
        [f"{name}({','.join(f'{k}={v!r}' for k, v in a.items())})" for name, a in turn]
        for turn in conversation
    ]


def _pick(rng: random.Random, talk: Conversation) -> tuple[int, int]:
    return rng.choice([(t, c) for t, turn in enumerate(talk) for c in range(len(turn))])


def dropped(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    turn, call = _pick(rng, talk)
    del talk[turn][call]


def doubled(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    turn, call = _pick(rng, talk)
    talk[turn].insert(rng.randrange(len(talk[turn]) + 1), plain_copy(talk[turn][call]))


def reordered(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    """Within its turn, or into another one."""
    turn, call = _pick(rng, talk)
    moved = talk[turn].pop(call)
    target = talk[turn] if rng.random() < 0.6 else rng.choice(talk)
    target.insert(rng.randrange(len(target) + 1), moved)


def renamed(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    turn, call = _pick(rng, talk)
    name, arguments = talk[turn][call]
    others = [*method_table(tuple(row["involved_classes"])), name + "s", "unheard_of"]
    talk[turn][call] = (rng.choice(others), arguments)


def changed(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    turn, call = _pick(rng, talk)
    _, arguments = talk[turn][call]
    how = rng.random()
    if not arguments or how < 0.05:
        arguments["surplus"] = 1
    elif how < 0.15:
        del arguments[rng.choice(list(arguments))]
    else:
        key = rng.choice(list(arguments))
        arguments[key] = _another_value(rng, arguments[key])


def _another_value(rng: random.Random, value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return rng.choice([value + 1, -value, float(value), str(value)])
        case float():
            return rng.choice([value * 2, value + 0.01, int(value), None])
        case str():
            return rng.choice([value + "x", value[:-1], value.upper(), "", 7, [value]])
        case [*items]:
            return rng.choice([items[1:], items[::-1], [*items, "x"], "x"])
    return "x"


def extra(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    """A call from elsewhere in the conversation, or one that needs no arguments."""
    methods = method_table(tuple(row["involved_classes"])).items()
    bare = [(n, {}) for n, m in methods if len(m.parameters) == len(m.defaults)]
    source, call = _pick(rng, talk)
    added = talk[source][call] if rng.random() < 0.3 or not bare else rng.choice(bare)
    turn = rng.choice(talk)
    turn.insert(rng.randrange(len(turn) + 1), plain_copy(added))


def stopped(rng: random.Random, talk: Conversation, row: dict[str, Any]) -> None:
    """Cut off, or silent from some turn on."""
    turn = rng.randrange(len(talk))
    if rng.random() < 0.5:
        del talk[turn:]
    else:
        talk[turn:] = [[] for _ in talk[turn:]]


CORRUPTIONS: list[Callable[[random.Random, Conversation, dict[str, Any]], None]] = [
    dropped,
    doubled,
    reordered,
    renamed,
    changed,
    extra,
    stopped,
]


def corrupted(row: dict[str, Any], corruption: Callable, seed: int) -> Conversation:
    """The right conversation after one corruption; the same for the same row and seed."""
    rng = random.Random(f"{row['id']} {corruption.__name__} {seed}")
    talk = [[(n, plain_copy(a)) for n, a in turn] for turn in right_conversation(row)]
    corruption(rng, talk, row)
    return talk
