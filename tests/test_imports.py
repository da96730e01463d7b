"""Which room of the package may import which: the table, and the code held to it.

CONTRIBUTING.md shows this table as a picture. Imports inside functions count as well: they save
time at start-up, not a dependency.
"""

import ast
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "rest_verl"

ROOMS: dict[str, set[str]] = {
    "syntax": set(),
    "files": set(),
    "options": set(),
    "algorithm": {"syntax", "options"},
    "rewards": {"syntax", "options"},
    "prompts": set(),
    "environments": {"syntax", "prompts", "files"},
    "planning": set(),
    "data": {"syntax", "files", "options", "prompts", "rewards", "environments"},
    "integration": {
        "syntax", "files", "options", "prompts", "algorithm", "rewards", "environments",
        "planning",
    },
    "evaluation": {"syntax", "files", "prompts", "environments", "integration"},
    "evaluation.bfcl": {
        "syntax", "files", "options", "prompts", "data", "environments", "integration",
        "evaluation",
    },
    "evaluation.api_bank": {"syntax", "data", "evaluation"},
    "evaluation.environments": {"environments", "evaluation", "integration"},
    "viewing": set(),
    "viewing.tokens": {
        "syntax", "rewards", "files", "options", "algorithm", "integration", "viewing",
    },
    "viewing.report": {"syntax", "evaluation", "files", "options", "algorithm", "viewing"},
    "study": {
        "syntax", "files", "options", "prompts", "algorithm", "rewards", "environments",
        "integration", "viewing", "viewing.tokens", "viewing.report",
    },
    "plugin": {"integration"},
    "cli": {
        "options", "integration", "evaluation.commands", "study", "viewing.tokens",
        "viewing.report",
    },
    # OLD_PLACES: named by earlier documentation, re-exported; nobody here imports them.
    "algorithm.trainer": {"integration"},
    "evaluation.validation": {"evaluation.bfcl"},
    "evaluation.commands": {
        "files", "options", "data", "integration", "evaluation", "evaluation.bfcl",
        "evaluation.api_bank", "evaluation.environments",
    },
}  # fmt: skip
"""Room -> the rooms that it may import, besides itself. A module's room is the longest name here
that its own begins with."""

OLD_PLACES = {"algorithm.trainer", "evaluation.validation"}
VERL = {"verl", "ray", "transfer_queue"}
MAY_IMPORT_VERL = {"integration"}
ROOT_MODULES = {"__init__.py", "plugin.py", "cli.py", "py.typed"}


def module_name(path: Path) -> str:
    """Within the package: `algorithm.loss`; a package's own name for its `__init__`."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """All modules imported anywhere in the file; `from a import b` is a.b if that is a module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = inner.removeprefix("rest_verl.") in MODULES
                found.add(inner if is_module else node.module)
    return found


def own_imports(path: Path) -> set[str]:
    """The modules of this package among them, named within it."""
    return {
        name.removeprefix("rest_verl.") for name in imports(path) if name.startswith("rest_verl.")
    }


def room_of(module: str) -> str | None:
    """The room that a module lies in; None for the package's own `__init__` and `config`."""
    inside = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return max(inside, key=len, default=None)


def test_every_module_has_a_room() -> None:
    roomless = {name for name in MODULES if room_of(name) is None}
    assert roomless == {"", "config"}
    assert not {room for room in ROOMS if room not in map(room_of, MODULES)}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_the_table_says(room: str) -> None:
    wrong = {
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if room_of(name) == room
        for other in own_imports(path)
        if room_of(other) not in {room, *ROOMS[room]}
    }
    assert not wrong


def test_the_table_allows_nothing_that_nobody_needs() -> None:
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for name, path in MODULES.items():
        room = room_of(name)
        if room is not None:
            used[room] |= {other for other in map(room_of, own_imports(path)) if other} - {room}
    unused = {room: allowed - used[room] for room, allowed in ROOMS.items()}
    assert {room: rooms for room, rooms in unused.items() if rooms} == {}


def test_the_picture_in_contributing_is_the_table() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_/]+)` \| [^|]+ \| ([^|]*)\|$", page, re.MULTILINE)
    shown = {
        room.replace("/", "."): set(re.findall(r"`([a-z_.]+)`", allowed.replace("/", ".")))
        for room, allowed in rows
    }
    assert shown == {room: rooms for room, rooms in ROOMS.items() if room not in OLD_PLACES}


def test_no_circle_among_rooms() -> None:
    try:
        tuple(TopologicalSorter(ROOMS).static_order())
    except CycleError as error:
        pytest.fail(f"rooms import each other: {' → '.join(error.args[1])}")


def test_no_circle_among_modules() -> None:
    graph = {name: own_imports(path) & MODULES.keys() for name, path in MODULES.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"modules import each other: {' → '.join(error.args[1])}")


def test_only_the_integration_asks_verl() -> None:
    wrong = {
        f"{name} imports {other}"
        for name, path in MODULES.items()
        if room_of(name) not in MAY_IMPORT_VERL
        for other in imports(path)
        if other.partition(".")[0] in VERL
    }
    assert not wrong


def test_the_root_holds_the_entry_points_only() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == ROOT_MODULES
