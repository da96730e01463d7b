"""BFCL's multi-turn rows: reading, playing their own answers, and what is left out."""

import json
from pathlib import Path
from typing import Any

import pytest
from multi_turn_samples import answer, needs_package, question, write_docs, write_rows

from rest_verl.data import MULTI_TURN_CATEGORIES, BfclSource, Message, split_steps
from rest_verl.data.bfcl_multi_turn import MultiTurnRow, multi_turn_row, read_multi_turn
from rest_verl.data.bfcl_replay import replay, replay_category
from rest_verl.syntax import ToolCall

BFCL_V3 = Path(__file__).resolve().parents[3] / "shared" / "data" / "bfcl_v3"
CATEGORY = "multi_turn_miss_func"


def only_row(folder: Path) -> MultiTurnRow:
    (row,) = read_multi_turn(BfclSource.open(folder), CATEGORY)
    return row


def test_a_task_is_the_record_with_its_answer(tmp_path: Path) -> None:
    row = only_row(write_rows(tmp_path, [question()], [answer()]))
    assert (row.id, row.category, row.version) == ("multi_turn_miss_func_0", CATEGORY, "v4")
    assert row.task == {
        **question(),
        "ground_truth": [["pwd()", "ls(a=True)"], [], ["sort('a.txt')"]],
        "version": "v4",
    }


def test_own_docs_travel_with_the_task(tmp_path: Path) -> None:
    write_docs(write_rows(tmp_path, [question()], [answer()]))
    assert [doc["name"] for doc in only_row(tmp_path).task["functions"]] == ["pwd", "ls", "sort"]
    sums = BfclSource.open(tmp_path).checksums([CATEGORY])
    assert len(sums) == 2 + 8
    assert "multi_turn_func_doc/gorilla_file_system.json" in sums


@needs_package
@pytest.mark.parametrize("classes", [3, [[]], ["X"]], ids=["a number", "a list in it", "unknown"])
def test_bad_classes_beside_own_docs(tmp_path: Path, classes: Any) -> None:
    bad = question(involved_classes=classes)
    write_docs(write_rows(tmp_path, [bad, question(1)], [answer(), answer(1)]))
    played = replay_category(BfclSource.open(tmp_path), CATEGORY)
    assert list(played.left_out) == ["multi_turn_miss_func_0"]
    assert "involved_classes" in played.left_out["multi_turn_miss_func_0"]
    described = [tool["function"]["description"] for tool in played.dialogues[0].tools]
    assert described == ["Own.", "Own."]


@pytest.mark.parametrize(
    ("row_id", "key"),
    [
        ("multi_turn_base_17", "multi_turn 17"),
        ("multi_turn_long_context_17", "multi_turn 17"),
        ("mine", "mine"),
    ],
)
def test_variants_share_a_side_of_the_split(row_id: str, key: str) -> None:
    row = MultiTurnRow(id=row_id, category="multi_turn_base", version="v4", task={})
    assert row.question_key == key


@pytest.mark.parametrize(
    ("questions", "answers", "message"),
    [
        ([question()], [], r"miss_func\.json:1 \(multi_turn_miss_func_0\): question without an"),
        ([], [answer()], r"miss_func\.json:1 \(multi_turn_miss_func_0\): answer without a"),
        (["{"], [answer()], r"miss_func\.json:1: not a line of JSON"),
    ],
    ids=["no answer", "no question", "broken line"],
)
def test_reading_refused(tmp_path: Path, questions: list, answers: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        only_row(write_rows(tmp_path, questions, answers))


@needs_package
def test_played_dialogue(tmp_path: Path) -> None:
    row = only_row(write_rows(tmp_path, [question()], [answer()]))
    dialogue = replay(row)
    (sort,) = dialogue.messages[8].new_tools
    assert sort["function"]["name"] == "sort"
    assert "sort" not in [tool["function"]["name"] for tool in dialogue.tools]
    asked = "I have updated some more functions you can choose from. What about now?"
    assert dialogue.messages == [
        Message(role="user", content="List all, 0."),
        Message(role="assistant", calls=(ToolCall("pwd", {}),)),
        Message(role="tool", content='{"current_working_directory": "/w"}'),
        Message(role="assistant", calls=(ToolCall("ls", {"a": True}),)),
        Message(role="tool", content='{"current_directory_content": ["a.txt"]}'),
        Message(role="assistant", content="Done."),
        Message(role="user", content="Sort a.txt."),
        Message(role="assistant", content="I cannot do this yet: a tool or a detail is missing."),
        Message(role="user", content=asked, new_tools=(sort,)),
        # Its argument has no name in the answer.
        Message(role="assistant", calls=(ToolCall("sort", {"file_name": "a.txt"}),)),
        Message(role="tool", content='{"sorted_content": "a\\nb"}'),
        Message(role="assistant", content="Done."),
    ]
    assert (dialogue.data_source, dialogue.split_key) == (
        f"bfcl_v4_steps/{CATEGORY}",
        "multi_turn 0",
    )


@needs_package
def test_all_calls_of_a_turn_in_one_message(tmp_path: Path) -> None:
    row = only_row(write_rows(tmp_path, [question()], [answer()]))
    messages = replay(row, "all").messages
    assert [len(m.calls) for m in messages if m.role == "assistant"] == [2, 0, 0, 1, 0]


@needs_package
def test_the_first_step_shows_what_a_rollout_shows(tmp_path: Path) -> None:
    row = only_row(write_rows(tmp_path, [question()], [answer()]))
    live = multi_turn_row(row, "compact", index=0, split="train")
    assert live["data_source"] == f"bfcl_v4/{CATEGORY}"
    assert live["agent_name"] == "rest_tool_env"
    assert live["extra_info"]["environment"] == "bfcl"
    assert json.loads(live["extra_info"]["task"]) == row.task
    assert next(split_steps(replay(row), "compact")).messages == live["prompt"]


UNUSABLE: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    # reason, question, answer, expected words
    ("a turn too many", question(), answer(truth=[[]] * 4), "3 turns in question, 4 in ground_"),
    ("no literal", question(), answer(truth=[["ls(a=x)"], [], []]), "turn 0 of ground_truth"),
    ("code", question(), answer(truth=[["__import__('os').getcwd()"], [], []]), "not a call of"),
    ("not a list", question(), {**answer(), "ground_truth": {}}, "ground_truth is not a list"),
    ("unknown class", question(involved_classes=["X"]), answer(), "unknown class 'X'"),
    ("no state", question(initial_config=3), answer(), "initial_config"),
]


@needs_package
@pytest.mark.parametrize(
    ("bad", "its_answer", "words"),
    [case[1:] for case in UNUSABLE],
    ids=[case[0] for case in UNUSABLE],
)
def test_unusable_rows_are_left_out_with_the_reason(
    tmp_path: Path, bad: dict, its_answer: dict, words: str
) -> None:
    write_rows(tmp_path, [bad, question(1)], [its_answer, answer(1)])
    played = replay_category(BfclSource.open(tmp_path), CATEGORY)
    assert [row.id for row in played.rows] == ["multi_turn_miss_func_1"]
    assert [dialogue.id for dialogue in played.dialogues] == ["multi_turn_miss_func_1"]
    assert list(played.left_out) == ["multi_turn_miss_func_0"]
    assert words in played.left_out["multi_turn_miss_func_0"]


@needs_package
def test_not_one_row_left(tmp_path: Path) -> None:
    write_rows(tmp_path, [question(involved_classes=["X"])], [answer()])
    with pytest.raises(ValueError, match=r"miss_func\.json: no row can be used: .*'X'"):
        replay_category(BfclSource.open(tmp_path), CATEGORY)


@needs_package
def test_answers_that_do_not_earn_the_maximum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rest_verl.environments.bfcl import BFCLEnvironment

    row = only_row(write_rows(tmp_path, [question()], [answer()]))
    call = BFCLEnvironment.call

    def forgetful(self: BFCLEnvironment, name: str, arguments: dict[str, Any]) -> str:
        return "" if name == "ls" else call(self, name, arguments)

    monkeypatch.setattr(BFCLEnvironment, "call", forgetful)
    with pytest.raises(ValueError, match="miss_func_0: its own answer is wrong at turn 0: missing"):
        replay(row)


@needs_package
@pytest.mark.parametrize("category", MULTI_TURN_CATEGORIES)
def test_every_row_of_the_package_plays(category: str) -> None:
    played = replay_category(BfclSource.open(), category)
    assert (len(played.rows), played.left_out) == (200, {})
    unknown = {d.id: names for d in played.dialogues if (names := d.calls_not_offered())}
    # Its answer uses `tail` two turns before the function appears.
    expected = {"multi_turn_miss_func_49": ["tail"]} if category == CATEGORY else {}
    assert unknown == expected


@needs_package
@pytest.mark.skipif(not BFCL_V3.is_dir(), reason="shared/data/bfcl_v3 is not there")
def test_version_3() -> None:
    played = replay_category(BfclSource.open(BFCL_V3), "multi_turn_base")
    assert {row.version for row in played.rows} == {"v3"}
    assert len(played.rows) == 199
    assert list(played.left_out) == ["multi_turn_base_154"]
    # Twelve answers call functions that version 4, whose classes run them, has dropped.
    unknown = [names for d in played.dialogues if (names := d.calls_not_offered())]
    assert len(unknown) == 12
    assert {name for names in unknown for name in names} == {
        "update_market_status",
        "make_transaction",
    }
