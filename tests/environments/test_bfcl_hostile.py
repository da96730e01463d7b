"""Calls that a model should never make: refused with a text, nothing executed, no exception."""

import copy
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if importlib.util.find_spec("bfcl_eval") is None or importlib.util.find_spec("mpmath") is None:
    pytest.skip("needs the packages bfcl-eval and mpmath", allow_module_level=True)

from bfcl_conversations import play
from bfcl_record import ADD, MKDIR, MV, everything, record

from rest_verl.environments import bfcl_limits
from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.bfcl_backend import CLASSES, method_table

ALL_METHODS = method_table(tuple(CLASSES))
DEEP: Any = "x"
for _ in range(100_000):
    DEEP = [DEEP]

ERROR = "Error during execution: "


NESTED_PATH = (
    '{"error": "cd: ../../etc: Unsupported path. Only one folder level at a time is supported."}'
)
TOO_LONG = f"{ERROR}the arguments are longer than 100000"
TOO_LARGE = f"{ERROR}the result has more than 1000000 bits"


def limited(name: str) -> str:
    return f"{ERROR}{name} is limited to 10000 digits"


def ls_error(problem: str) -> str:
    return f"{ERROR}GorillaFileSystem.ls() got {problem}"


def failed(problem: str) -> str:
    return json.dumps({"error": problem})


def unknown(name: str) -> str:
    return f"{ERROR}name '{name}' is not defined"


@pytest.mark.parametrize(
    ("name", "arguments", "observation"),
    [
        ("__init__", {}, unknown("__init__")),
        ("__class__", {}, unknown("__class__")),
        ("__reduce__", {}, unknown("__reduce__")),
        ("_load_scenario", {"scenario": {}}, unknown("_load_scenario")),
        ("_current_dir", {}, unknown("_current_dir")),
        ("root", {}, unknown("root")),
        ("long_context", {}, unknown("long_context")),
        ("mkdir.__globals__", {}, unknown("mkdir")),
        ("GorillaFileSystem.ls", {}, unknown("GorillaFileSystem")),
        ("self.ls", {}, unknown("self")),
        ("__import__('os').system('touch CANARY')", {}, unknown("__import__('os')")),
        ("os.system", {"command": "touch CANARY"}, unknown("os")),
        ("open", {"file": "CANARY", "mode": "w"}, unknown("open")),
        ("eval", {"source": "open('CANARY', 'w')"}, unknown("eval")),
        ("exec", {"source": "open('CANARY', 'w')"}, unknown("exec")),
        ("breakpoint", {}, unknown("breakpoint")),
        ("exit", {}, f"{ERROR}Function call exit is not allowed."),
        ("quit", {"code": 1}, f"{ERROR}Function call quit is not allowed."),
        ("os.kill", {"pid": 1}, f"{ERROR}Function call kill is not allowed."),
        ("subprocess.Popen", {"args": "ls"}, f"{ERROR}Function call Popen is not allowed."),
        ("(exit)", {}, unknown("(exit)")),
        ("", {}, unknown("")),
        ("lambda: 0", {}, unknown("lambda: 0")),
        ("f" * 500, {}, unknown("f" * 80 + "…")),
        ("ls(), open('CANARY', 'w'), ls", {}, unknown("ls(), open('CANARY', 'w'), ls")),
        ("place_order", {}, unknown("place_order")),  # of a class that is not involved
        ("ls", {"self": 1}, ls_error("multiple values for argument 'self'")),
        ("ls", {"b": 1}, ls_error("an unexpected keyword argument 'b'")),
        ("cat", {"file_name": "/etc/passwd"}, failed("cat: '/etc/passwd': Invalid character")),
        ("cat", {"file_name": ".."}, failed("cat: '..': No such file or directory")),
        ("cd", {"folder": "../../etc"}, NESTED_PATH),
        ("find", {"path": "/etc"}, failed("find: '/etc': No such file or directory")),
        ("cat", {"file_name": "a" * 200_000}, TOO_LONG),
        ("echo", {"content": ["x"] * 100_000}, TOO_LONG),
        ("echo", {"content": DEEP}, f"{ERROR}the arguments are nested too deeply"),
        ("add", {"a": float("inf"), "b": 1}, unknown("inf")),
        ("add", {"a": "x", "b": 1}, failed("Both inputs must be numbers")),
        ("mean", {"numbers": {"a": {}}}, failed("All elements in the list must be numbers")),
        ("power", {"base": 10**4000, "exponent": 10**4000}, TOO_LARGE),
        ("power", {"base": 2, "exponent": 10**9}, TOO_LARGE),
        ("round_number", {"number": 5, "decimal_places": -(10**9)}, limited("decimal_places")),
        ("square_root", {"number": 2, "precision": 10**17}, limited("precision")),
        ("logarithm", {"value": 2, "base": 3, "precision": 10**400}, limited("precision")),
        ("logarithm", {"value": 2, "base": 3, "precision": "1000000000"}, limited("precision")),
        ("logarithm", {"value": "1e99999999", "base": 3, "precision": 5}, limited("value")),
        ("logarithm", {"value": 2, "base": "1E-99_999_999J", "precision": 5}, limited("base")),
    ],
)  # fmt: skip
def test_hostile_calls(
    name: str,
    arguments: dict,
    observation: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = BFCLEnvironment(record())
    assert environment.call(name, arguments) == observation
    assert not list(tmp_path.iterdir())
    # The rollout goes on, and can still be right.
    play(environment, [[MKDIR, MV], [], [ADD]])
    assert environment.score() == 1.0


@pytest.mark.parametrize(
    ("name", "arguments", "observation"),
    [
        ("power", {"base": 2, "exponent": 100}, f'{{"result": {2**100}}}'),
        ("power", {"base": -1, "exponent": 10**12}, '{"result": 1}'),
        ("power", {"base": 0.5, "exponent": 10**9}, '{"result": 0.0}'),
        ("power", {"base": 10**100, "exponent": -(10**9)}, '{"result": 0.0}'),
        ("square_root", {"number": 4, "precision": 10_000}, "{'result': Decimal('2')}"),
        ("logarithm", {"value": "1e2", "base": 10, "precision": 9}, "{'result': mpf('2.0')}"),
        ("round_number", {"number": 2.345, "decimal_places": 2}, '{"result": 2.35}'),
    ],
)
def test_what_the_limits_leave_alone(name: str, arguments: dict, observation: str) -> None:
    environment = BFCLEnvironment(record())
    assert environment.call(name, arguments) == observation


def test_directory_that_holds_itself() -> None:
    environment = BFCLEnvironment(record(ground_truth=[["cp('new', 'new')"], [], []]))
    environment.call(*MKDIR)
    environment.call("cp", {"source": "new", "destination": "new"})
    refusal = f"{ERROR}the directory tree has more than {bfcl_limits.MAX_TREE} entries"
    assert environment.call("find", {}) == refusal
    assert environment.call("du", {}) == refusal
    assert environment.call("find", {"path": "nowhere"}).startswith('{"error"')
    environment.end_turn()
    assert environment.outcome()[0].reason == "state of GorillaFileSystem differs"


def test_tree_that_doubles_with_every_copy() -> None:
    environment = BFCLEnvironment(record())
    for level in range(40):
        environment.call("mkdir", {"dir_name": f"d{level}"})
        for name in "xy":
            if level:
                environment.call("cp", {"source": f"d{level - 1}", "destination": name})
                environment.call("mv", {"source": name, "destination": f"d{level}"})
    refusal = f"{ERROR}the directory tree has more than {bfcl_limits.MAX_TREE} entries"
    assert environment.call("find", {"path": "d39"}) == refusal
    assert environment.call("find", {"path": "d3"}).count("d3/") == 2 + 4 + 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(sorted(ALL_METHODS)) | st.text(max_size=30)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(NAMES, st.dictionaries(st.text(max_size=8), JSON, max_size=3)), max_size=3)
)
def test_no_call_raises(calls: list) -> None:
    environment = BFCLEnvironment(everything())
    for name, arguments in calls:
        assert isinstance(environment.call(name, arguments), str)
    environment.end_turn()
    assert len(environment.outcome()) == 1


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_method_raises_or_changes_its_arguments(data: st.DataObject) -> None:
    environment = BFCLEnvironment(everything())
    for _ in range(4):
        name = data.draw(st.sampled_from(sorted(ALL_METHODS)))
        arguments = {p: data.draw(JSON) for p in ALL_METHODS[name].parameters}
        given_arguments = copy.deepcopy(arguments)
        assert isinstance(environment.call(name, arguments), str)
        assert repr(arguments) == repr(given_arguments)
