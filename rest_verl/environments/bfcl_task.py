"""One BFCL multi-turn record, checked: its user turns, tools, initial state and right calls.

The right calls are Python call strings. They are parsed, never evaluated.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from rest_verl.environments.bfcl_backend import (
    CLASSES,
    Commons,
    Instances,
    function_docs,
    method_table,
    plain_copy,
)

MORE_FUNCTIONS = "I have updated some more functions you can choose from. What about now?"
"""BFCL's user message at the turn at which held-out functions appear."""


class Call(NamedTuple):
    """A call with its arguments by name."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class BfclTask:
    """What one rollout needs of its record; made by `from_record`, shared by nobody."""

    id: str
    user_messages: list[str]
    """One a turn."""
    calls: list[list[Call]]
    """The right calls of each turn."""
    classes: tuple[str, ...]
    config: dict[str, Any]
    """Initial state by class; never changed."""
    long_context: bool
    functions: list[dict[str, Any]]
    """Docs of the functions offered from the start, in BFCL's notation."""
    later_functions: dict[int, list[dict[str, Any]]]
    """Docs of the functions that appear at a later turn."""
    judge_empty_turns: bool

    def __post_init__(self) -> None:
        if len(self.user_messages) != len(self.calls):
            raise ValueError(
                f"{self.id}: {len(self.user_messages)} turns in question, "
                f"{len(self.calls)} in ground_truth"
            )
        unknown = [turn for turn in self.later_functions if turn not in range(len(self.calls))]
        if unknown:
            raise ValueError(f"{self.id}: missed_function names turn {unknown[0]}, which is absent")

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "BfclTask":
        """Reads a record of version 3 or 4 with its answer under `ground_truth`.

        Args:
            record: `id`, `question`, `initial_config`, `involved_classes`, `ground_truth`; in
                miss_func `missed_function`. `functions` (docs of all functions, held-out ones
                included) is read from the package where absent; `judge_empty_turns` is False.

        Raises:
            ValueError: anything missing or malformed, naming the id; bfcl-eval is not installed.
        """
        row_id = record.get("id")
        if not isinstance(row_id, str) or not row_id:
            raise ValueError('BFCL record without an "id"')
        read = _Reader(record, row_id)
        classes = read.classes()
        functions, later = read.functions(classes)
        return cls(
            id=row_id,
            user_messages=read.user_messages(later),
            calls=read.calls(classes),
            classes=classes,
            config=read.get("initial_config", dict),
            # As the official checker reads it: from the id up to its number.
            long_context="long_context" in row_id.rsplit("_", 1)[0],
            functions=functions,
            later_functions=later,
            judge_empty_turns=read.get("judge_empty_turns", bool, False),
        )

    def instances(self, commons: Commons) -> Instances:
        """Fresh instances in the initial state.

        Raises:
            ValueError: the official classes cannot load this configuration.
        """
        try:
            return Instances(
                self.classes, self.config, long_context=self.long_context, commons=commons
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.id}: initial_config does not load: {error!r}") from error


class _Reader:
    """Takes a record apart; every complaint names its id."""

    def __init__(self, record: Mapping[str, Any], row_id: str) -> None:
        self.record = record
        self.id = row_id

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        value = self.record.get(key, default)
        if not isinstance(value, kind):
            problem = f"is not a {kind.__name__}" if key in self.record else "is missing"
            raise ValueError(f"{self.id}: {key} {problem}")
        return value

    def classes(self) -> tuple[str, ...]:
        classes = self.get("involved_classes", list)
        for name in classes:
            if not isinstance(name, str) or name not in CLASSES:
                raise ValueError(
                    f"{self.id}: unknown class {name!r} in involved_classes; "
                    f"there are {', '.join(CLASSES)}"
                )
        if not classes:
            raise ValueError(f"{self.id}: involved_classes is empty")
        return tuple(classes)

    def functions(
        self, classes: tuple[str, ...]
    ) -> tuple[list[dict[str, Any]], dict[int, list[dict[str, Any]]]]:
        """(offered from the start, by the turn at which they appear)."""
        if "functions" in self.record:
            by_name = {self._function_name(doc): doc for doc in self.get("functions", list)}
        else:
            by_name = {doc["name"]: doc for name in classes for doc in function_docs(name)}
        later: dict[int, list[dict[str, Any]]] = {}
        for turn, names in self.get("missed_function", dict, {}).items():
            try:
                later[int(turn)] = [by_name.pop(name) for name in names]
            except (ValueError, TypeError, KeyError):
                raise ValueError(
                    f"{self.id}: missed_function is not a dict of known names by turn: "
                    f"{turn!r}: {names!r}"
                ) from None
        return list(by_name.values()), later

    def _function_name(self, doc: Any) -> str:
        match doc:
            case {"name": str() as name, "parameters": {"properties": dict()}}:
                return name
        raise ValueError(f"{self.id}: a function needs a name and parameters with properties")

    def user_messages(self, later: Mapping[int, Any]) -> list[str]:
        texts = []
        for number, turn in enumerate(self.get("question", list)):
            if number in later and turn == []:
                texts.append(MORE_FUNCTIONS)
                continue
            match turn:
                # A system message can only open the conversation; the prompt holds it.
                case [{"role": "system"}, *said] if number == 0:
                    pass
                case [*said]:
                    pass
                case _:
                    said = []
            if not said or number in later or not all(map(_is_users, said)):
                raise ValueError(
                    f"{self.id}: turn {number} of question is not a list of user messages, "
                    "or empty exactly where missed_function names the turn"
                )
            texts.append("\n\n".join(message["content"] for message in said))
        return texts

    def calls(self, classes: tuple[str, ...]) -> list[list[Call]]:
        turns = self.get("ground_truth", list)
        methods = method_table(classes)
        parsed = []
        for number, turn in enumerate(turns):
            if not isinstance(turn, list) or not all(isinstance(text, str) for text in turn):
                raise ValueError(f"{self.id}: turn {number} of ground_truth is not a list of texts")
            calls = []
            for text in turn:
                try:
                    name, values, named = parse_call(text)
                    parameters = methods[name].parameters if name in methods else ()
                    calls.append(Call(name, _by_name(parameters, values, named)))
                except ValueError as error:
                    raise ValueError(
                        f"{self.id}: turn {number} of ground_truth: {text!r}: {error}"
                    ) from None
            parsed.append(calls)
        return parsed


@lru_cache(maxsize=20_000)
def parse_call(text: str) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """(name, positional arguments, keyword arguments) of a Python call with literal arguments.

    Not to be changed: the answer is shared between all askers.

    Raises:
        ValueError: not such a call.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not a Python expression: {error}") from None
    match tree:
        case ast.Call(func=ast.Name(id=name)) if all(k.arg for k in tree.keywords):
            try:
                values = tuple(ast.literal_eval(node) for node in tree.args)
                named = {str(k.arg): ast.literal_eval(k.value) for k in tree.keywords}
            except (ValueError, TypeError, RecursionError, MemoryError):
                raise ValueError("an argument that is not a literal") from None
            return name, values, named
    raise ValueError("not a call of a function by its name")


def _is_users(message: Any) -> bool:
    match message:
        case {"role": "user", "content": str()}:
            return True
    return False


def _by_name(
    parameters: tuple[str, ...], values: tuple[Any, ...], named: Mapping[str, Any]
) -> dict[str, Any]:
    if len(values) > len(parameters):
        raise ValueError(f"{len(values)} positional arguments for {len(parameters)} parameters")
    placed = dict(zip(parameters, values, strict=False))
    if twice := placed.keys() & named.keys():
        raise ValueError(f"argument {min(twice)} is given twice")
    return plain_copy({**placed, **named})
