"""Finds BFCL's data, versions 3 and 4, and reads its single-turn categories.

A category is a file of questions, `BFCL_v4_<category>.json`, and one of answers with the same name
under `possible_answer/`, both JSON lines. The files come from the installed package `bfcl-eval` or
from a folder of the user's. The package is located but never imported: its modules pull in model
clients and create folders where they lie. Anything incomplete is refused. The multi-turn categories
are read by `rest_verl.data.bfcl_multi_turn`.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rest_verl.files.json_lines import read_by_id
from rest_verl.options.names import did_you_mean

Expect = Literal["calls", "no_call", "any_call"]
"""What a right answer holds: given calls, no call at all, or at least one call of any kind."""

_SHARED = ("multiple", "parallel", "parallel_multiple", "irrelevance")
_LIVE = (
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
CATEGORIES: dict[str, tuple[str, ...]] = {
    "v3": ("simple", "java", "javascript", *_SHARED, *_LIVE),
    "v4": ("simple_python", "simple_java", "simple_javascript", *_SHARED, *_LIVE),
}
"""Single-turn categories by data version, in the order in which they are written."""

MULTI_TURN = "multi_turn"
"""Asks for all multi-turn categories."""
MULTI_TURN_CATEGORIES = tuple(
    f"{MULTI_TURN}_{kind}" for kind in ("base", "miss_func", "miss_param", "long_context")
)
"""The same in both versions; 200 variants of the same conversations each."""

_PACKAGE = "bfcl-eval"
_FILE_NAME = re.compile(r"BFCL_(?P<version>v\d+)_.+\.json")
_WITHOUT_ANSWERS: dict[str, Expect] = {
    "irrelevance": "no_call",
    "live_irrelevance": "no_call",
    "live_relevance": "any_call",
}
_ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, kw_only=True)
class BfclRow:
    """One question with its functions and its right calls."""

    id: str
    category: str
    version: str
    """Version of the data, "v3" or "v4"."""
    messages: list[dict[str, str]]
    """The conversation so far, `{"role", "content"}` each; the last one asks."""
    functions: list[dict[str, Any]]
    """Function docs in BFCL's own notation (types such as "dict" and "float")."""
    expect: Expect
    calls: list[dict[str, Any]] = field(default_factory=list)
    """`{"name", "parameters": {parameter: [allowed value, ...]}}` each; "" allows leaving out."""

    def __post_init__(self) -> None:
        if (self.expect == "calls") != bool(self.calls):
            raise ValueError(f"{self.id}: expects {self.expect} but holds {len(self.calls)} calls")

    @property
    def question_key(self) -> str:
        """What is asked, system messages apart: a split by it holds no question on both sides.

        BFCL v4 asks 188 questions more than once; 96 of them are in `simple_python` and again in
        `multiple`, about half with identical answers.
        """
        dialogue = [message for message in self.messages if message["role"] != "system"]
        return json.dumps(dialogue, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class BfclSource:
    """A folder of BFCL files of one version."""

    folder: Path
    name: str
    """The package's or the folder's name, for the record."""
    release: str | None
    """The package's version; None for a folder."""
    version: str
    """Version of the data, read from the file names."""

    @classmethod
    def open(cls, folder: Path | None = None) -> "BfclSource":
        """Opens `folder`, or the data of the installed package when it is None.

        Raises:
            ValueError: no such folder or package, or not exactly one known version in it.
        """
        if folder is None:
            folder, name, release = _package_data(), _PACKAGE, package_release()
        else:
            name, release = folder.resolve().name, None
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder of BFCL data")
        names = (_FILE_NAME.fullmatch(path.name) for path in folder.iterdir())
        found = {name["version"] for name in names if name}
        if len(found) != 1 or not found <= CATEGORIES.keys():
            raise ValueError(
                f"{folder}: need BFCL_<version>_<category>.json files of one version out of "
                f"{', '.join(CATEGORIES)}, found {', '.join(sorted(found)) or 'none'}"
            )
        return cls(folder=folder, name=name, release=release, version=found.pop())

    def select(self, categories: list[str]) -> list[str]:
        """The categories to read, single-turn ones first, in the order of their tables.

        An empty list asks for all single-turn ones that are present, `MULTI_TURN` for all
        multi-turn ones that are.

        Raises:
            ValueError: a category that is unknown, or none present.
        """
        single_turn = CATEGORIES[self.version]
        known = (*single_turn, *MULTI_TURN_CATEGORIES)
        for category in categories:
            if category not in (*known, MULTI_TURN):
                hint = did_you_mean(category, (*known, MULTI_TURN))
                raise ValueError(
                    f"unknown category {category!r}; {hint}BFCL {self.version} has "
                    f"{', '.join(known)}, and {MULTI_TURN} stands for the last four"
                )
        asked = set(categories)
        if not categories:
            asked |= set(filter(self._is_present, single_turn))
        if MULTI_TURN in categories:
            asked |= set(filter(self._is_present, MULTI_TURN_CATEGORIES))
        chosen = [category for category in known if category in asked]
        if not chosen:
            missing = MULTI_TURN_CATEGORIES if categories else single_turn
            raise ValueError(f"{self.folder}: holds none of {', '.join(missing)}")
        return chosen

    def read(self, category: str) -> list[BfclRow]:
        """All rows of a single-turn category, in file order.

        Raises:
            ValueError: a missing file, or bad content, with file, line and id.
        """
        questions = read_by_id(self.file(category))
        expect = _WITHOUT_ANSWERS.get(category, "calls")
        answers = {} if category in _WITHOUT_ANSWERS else read_by_id(self.answer_file(category))
        for row_id, (where, _) in answers.items():
            if row_id not in questions:
                raise ValueError(f"{where}: answer without a question in {self.file(category)}")
        rows = []
        for row_id, (where, question) in questions.items():
            if expect == "calls" and row_id not in answers:
                raise ValueError(
                    f"{where}: question without an answer in {self.answer_file(category)}"
                )
            rows.append(
                BfclRow(
                    id=row_id,
                    category=category,
                    version=self.version,
                    messages=_messages(question, where),
                    functions=_functions(question, where),
                    expect=expect,
                    calls=_calls(*answers[row_id]) if expect == "calls" else [],
                )
            )
        return rows

    def checksums(self, categories: list[str]) -> dict[str, str]:
        """sha256 of every file that is read for these categories, by name in the folder."""
        paths = [self.file(c) for c in categories]
        paths += [self.answer_file(c) for c in categories if c not in _WITHOUT_ANSWERS]
        if self.own_docs and any(c in MULTI_TURN_CATEGORIES for c in categories):
            paths += sorted(self.own_docs.glob("*.json"))
        return {
            path.relative_to(self.folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }

    @property
    def own_docs(self) -> Path | None:
        """The user's own docs of the multi-turn functions, where the folder has them."""
        docs = self.folder / "multi_turn_func_doc"
        return docs if self.name != _PACKAGE and docs.is_dir() else None

    def file(self, category: str) -> Path:
        """The questions."""
        return self.folder / f"BFCL_{self.version}_{category}.json"

    def answer_file(self, category: str) -> Path:
        """The answers."""
        return self.folder / "possible_answer" / self.file(category).name

    def _is_present(self, category: str) -> bool:
        # Answers alone count: reading then reports the missing questions instead of passing by.
        return self.file(category).exists() or self.answer_file(category).exists()


def _package_data() -> Path:
    spec = importlib.util.find_spec("bfcl_eval")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"the package {_PACKAGE} is not installed: `pip install --no-deps {_PACKAGE}`, "
            "or name a folder of BFCL files with --data-dir"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def package_release() -> str | None:
    """The release of bfcl-eval; None where it is not installed as a distribution."""
    try:
        return importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:  # a checkout on the path, not an installation
        return None


def _messages(record: dict[str, Any], where: str) -> list[dict[str, str]]:
    turns = record.get("question")
    if not isinstance(turns, list) or len(turns) != 1 or not isinstance(turns[0], list):
        raise ValueError(f'{where}: "question" is not a list of one turn')
    messages = [m for m in turns[0] if isinstance(m, dict)]
    if not messages or len(messages) != len(turns[0]):
        raise ValueError(f"{where}: a turn must be a list of messages, at least one")
    for message in messages:
        if message.get("role") not in _ROLES or not isinstance(message.get("content"), str):
            raise ValueError(f"{where}: a message needs a text and a role out of {_ROLES}")
    return [{"role": m["role"], "content": m["content"]} for m in messages]


def _functions(record: dict[str, Any], where: str) -> list[dict[str, Any]]:
    functions = record.get("function")
    if not isinstance(functions, list):
        raise ValueError(f'{where}: "function" is not a list')
    for function in functions:
        match function:
            case {"name": str(), "parameters": {"properties": dict() as properties}} if all(
                isinstance(spec, dict) for spec in properties.values()
            ):
                continue
        raise ValueError(f"{where}: a function needs a name and parameters with properties")
    return functions


def _calls(where: str, record: dict[str, Any]) -> list[dict[str, Any]]:
    truth = record.get("ground_truth")
    if not isinstance(truth, list) or not truth:
        raise ValueError(f'{where}: "ground_truth" is not a list of calls')
    calls = []
    for call in truth:
        if not isinstance(call, dict) or len(call) != 1:
            raise ValueError(f"{where}: a call must be an object with the function's name as key")
        ((name, parameters),) = call.items()
        if not isinstance(parameters, dict) or not all(
            isinstance(allowed, list) for allowed in parameters.values()
        ):
            raise ValueError(
                f"{where}: each parameter of {name} needs a list of allowed values, such as "
                '{"city": ["Oslo", "Oslo, Norway"]}'
            )
        calls.append({"name": name, "parameters": parameters})
    return calls
