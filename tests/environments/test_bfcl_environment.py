"""One rollout of a BFCL record: tools, user messages, verdicts, and records that are refused."""

import importlib.util

import pytest

if importlib.util.find_spec("bfcl_eval") is None or importlib.util.find_spec("mpmath") is None:
    pytest.skip("needs the packages bfcl-eval and mpmath", allow_module_level=True)

from bfcl_conversations import play
from bfcl_record import ADD, LS, MKDIR, MV, record, said

from rest_verl.environments.base import Verdict, make_environment
from rest_verl.environments.bfcl import BFCLEnvironment
from rest_verl.environments.bfcl_task import MORE_FUNCTIONS

RIGHT = Verdict(right=True, right_calls=1.0)
UNJUDGED = Verdict(right=True, judged=False, right_calls=1.0)


def wrong(share: float, reason: str) -> Verdict:
    return Verdict(right=False, right_calls=share, reason=reason)


@pytest.mark.parametrize(
    ("talk", "verdicts"),
    [
        ([[MKDIR, MV], [], [ADD]], [RIGHT, UNJUDGED, RIGHT]),
        ([[LS, MKDIR, MV, LS], [LS], [LS, ADD]], [RIGHT, UNJUDGED, RIGHT]),
        # Made early: the state is right at its turn, but the turn itself is empty.
        ([[MKDIR, MV, ADD], [], []], [RIGHT, UNJUDGED, wrong(1.0, "no calls")]),
        ([[MKDIR, MV, ADD], [], [LS]], [RIGHT, UNJUDGED, RIGHT]),
        # Later turns are judged on the state as it is: it stays wrong.
        (
            [[MKDIR], [], [ADD]],
            [
                wrong(0.5, "state of GorillaFileSystem differs"),
                UNJUDGED,
                wrong(1.0, "state of GorillaFileSystem differs"),
            ],
        ),
        # ... until it is mended.
        (
            [[MKDIR], [], [MV, ADD]],
            [wrong(0.5, "state of GorillaFileSystem differs"), UNJUDGED, RIGHT],
        ),
        ([[MKDIR, MV], [], [LS]], [RIGHT, UNJUDGED, wrong(0.0, "missing outputs")]),
        # Equal numbers are the same argument and give another text.
        (
            [[MKDIR, MV], [], [("add", {"b": 3.0, "a": 2})]],
            [RIGHT, UNJUDGED, wrong(1.0, "missing outputs")],
        ),
        ([[MKDIR, MV], []], [RIGHT, UNJUDGED, wrong(0.0, "not reached")]),
        ([], [wrong(0.0, "not reached")] * 3),
    ],
)
def test_verdicts(talk: list, verdicts: list[Verdict]) -> None:
    environment = BFCLEnvironment(record())
    play(environment, talk)
    assert environment.outcome() == verdicts
    assert environment.score() == float(all(v.right for v in verdicts))


def test_each_call_counts_once() -> None:
    environment = BFCLEnvironment(record(ground_truth=[["ls()", "ls(a=False)", "pwd()"], [], []]))
    # Defaults are filled in: the first turn's two listings are the same call.
    play(environment, [[LS, ("pwd", {})]])
    assert environment.outcome()[0] == wrong(2 / 3, "missing outputs")


def test_turn_cut_off_is_wrong_and_keeps_its_share() -> None:
    environment = BFCLEnvironment(record())
    environment.call(*MKDIR)
    first = wrong(0.5, "not ended")
    assert environment.outcome() == [first, *[wrong(0.0, "not reached")] * 2]
    environment.call(*MV)
    assert environment.outcome()[0] == wrong(1.0, "not ended")
    assert environment.score() == 0.0


@pytest.mark.parametrize("call", [LS, ("unheard_of", {})])
def test_empty_turns_can_be_judged(call: tuple) -> None:
    judged = record(judge_empty_turns=True)
    environment = BFCLEnvironment(judged)
    play(environment, [[MKDIR, MV], [call], [ADD]])
    assert environment.outcome() == [RIGHT, wrong(0.0, "calls in a turn that wants none"), RIGHT]
    assert environment.score() == 0.0
    silent = BFCLEnvironment(judged)
    play(silent, [[MKDIR, MV], [], [ADD]])
    assert silent.outcome() == [RIGHT] * 3
    assert silent.score() == 1.0


def test_user_messages_and_the_end() -> None:
    system = {"role": "system", "content": "Be brief."}
    question = [[system, *said("Sort.")], said("Thanks.", "Really."), said("2 + 3?")]
    environment = make_environment("bfcl", record(question=question))
    messages = [environment.user_message(turn) for turn in range(4)]
    assert messages == ["Sort.", "Thanks.\n\nReally.", "2 + 3?", None]
    for _ in range(3):
        environment.end_turn()
    with pytest.raises(RuntimeError, match="every turn has ended"):
        environment.end_turn()


def test_held_out_functions_appear_at_their_turn() -> None:
    environment = BFCLEnvironment(
        record(
            question=[said("Sort my files."), [], said("And 2 + 3?")],
            missed_function={"1": ["mv", "add"]},
        )
    )
    before = [tool["function"]["name"] for tool in environment.tools]
    assert len(before) == 18 + 17 - 2
    assert not {"mv", "add"} & {*before}
    # As in the official executor, a function that is not offered yet runs all the same.
    assert environment.call("add", {"a": 2, "b": 3}) == '{"result": 5}'
    environment.end_turn()
    assert environment.user_message(1) == MORE_FUNCTIONS
    assert [tool["function"]["name"] for tool in environment.tools] == [*before, "mv", "add"]
    mv = environment.tools[-2]
    assert mv["type"] == "function"
    assert mv["function"]["parameters"]["type"] == "object"


def test_functions_of_the_record_come_first() -> None:
    doc = {"name": "add", "parameters": {"type": "dict", "properties": {"a": {"type": "float"}}}}
    (tool,) = BFCLEnvironment(record(functions=[doc])).tools
    parameters = {"type": "object", "properties": {"a": {"type": "number"}}}
    assert tool == {"type": "function", "function": {"name": "add", "parameters": parameters}}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"question": None}, "question is not a list"),
        ({"question": [said("a"), said("b")]}, "2 turns in question, 3 in ground_truth"),
        ({"question": [said("a"), [], said("c")]}, "turn 1 of question"),
        ({"question": [said("a"), "b", said("c")]}, "turn 1 of question"),
        ({"question": [said("a"), [{"role": "user"}], said("c")]}, "turn 1 of question"),
        ({"missed_function": {"1": ["mv"]}}, "turn 1 of question"),
        ({"missed_function": {"9": ["mv"]}}, "missed_function names turn 9"),
        ({"missed_function": {"-1": ["mv"]}}, "missed_function names turn -1"),
        ({"missed_function": {"1": ["fly"]}}, "missed_function is not a dict of known names"),
        ({"missed_function": {"x": ["mv"]}}, "missed_function is not a dict of known names"),
        ({"involved_classes": []}, "involved_classes is empty"),
        ({"involved_classes": ["os"]}, "unknown class 'os'"),
        ({"involved_classes": [["MathAPI"]]}, "unknown class"),
        ({"initial_config": []}, "initial_config is not a dict"),
        ({"initial_config": {"GorillaFileSystem": {"root": {}}}}, "initial_config does not load"),
        ({"functions": [{"name": "f"}]}, "a function needs a name"),
        ({"judge_empty_turns": "yes"}, "judge_empty_turns is not a bool"),
        ({"ground_truth": [["ls("], [], []]}, "turn 0 of ground_truth: 'ls(': not a Python"),
        ({"ground_truth": [["os.remove('x')"], [], []]}, "not a call of a function by its name"),
        ({"ground_truth": [["ls(a=1+f())"], [], []]}, "argument that is not a literal"),
        ({"ground_truth": [["ls(**{'a': 1})"], [], []]}, "not a call of a function by its name"),
        ({"ground_truth": [["ls(1, 2)"], [], []]}, "2 positional arguments for 1 parameters"),
        ({"ground_truth": [["ls(1, a=2)"], [], []]}, "argument a is given twice"),
        ({"ground_truth": [[5], [], []]}, "turn 0 of ground_truth is not a list of texts"),
    ],
)
def test_malformed_records_are_refused(changes: dict, complaint: str) -> None:
    with pytest.raises(ValueError, match="multi_turn_base_9000: ") as error:
        BFCLEnvironment(record(**changes))
    assert complaint in str(error.value)


@pytest.mark.parametrize("key", ["question", "ground_truth", "initial_config", "involved_classes"])
def test_missing_keys_are_named(key: str) -> None:
    task = record()
    del task[key]
    with pytest.raises(ValueError, match=f"multi_turn_base_9000: {key} is missing"):
        BFCLEnvironment(task)


def test_record_without_id_is_refused() -> None:
    with pytest.raises(ValueError, match='without an "id"'):
        BFCLEnvironment(record(id=None))
