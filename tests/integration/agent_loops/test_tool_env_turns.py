"""What a rollout says of its turns: what each earned, and which tokens are whose."""

import importlib.util
import json
from itertools import pairwise
from typing import Any

import pytest

pytest.importorskip("verl", reason="the agent loop extends verl's")
from bfcl_record import ADD, MKDIR, MV
from bfcl_record import record as bfcl_task
from loop_harness import Notebook, call, info, make_row, run
from templates import MODELS, get_model

import recipes.own_tools.shop  # noqa: F401 (registers the environment `shop`)
from rest_verl.environments.base import Verdict, register_environment

QWEN = get_model("qwen3")
WRITE = call("write", text="a")


@register_environment("rewarded notebook")
class RewardedNotebook(Notebook):
    """A notebook whose task says what its turns earn."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(task)
        self.rewards = task["rewards"]

    def turn_rewards(self) -> Any:
        if self.rewards == "broken":
            raise LookupError("broken turn_rewards")
        special = {"nan": float("nan"), "none": None, "half right": Verdict(False, right_calls=0.5)}
        return [special[r] if isinstance(r, str) and r in special else r for r in self.rewards]


def rewarded(users: list[str], rewards: Any) -> dict[str, Any]:
    row = make_row(users, rewards=rewards)
    row["extra_info"]["environment"] = "rewarded notebook"
    return row


def task_row(environment: str, user: str, task: dict[str, Any]) -> dict[str, Any]:
    info = {"id": "row-1", "environment": environment, "task": json.dumps(task)}
    prompt = [{"role": "user", "content": user}]
    return {"raw_prompt": prompt, "extra_info": {**info, "prompt_style": "compact"}}


def turns_of(output: Any) -> tuple[list[float], list[list[int]]]:
    return output.extra_fields["turn_scores"], output.extra_fields["turn_spans"]


def sampled(output: Any, span: list[int]) -> list[int]:
    pairs = zip(output.response_ids[slice(*span)], output.response_mask[slice(*span)], strict=True)
    return [id_ for id_, mask in pairs if mask]


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_spans_hold_the_sampled_tokens_of_their_turns(name: str, bytewise: bool) -> None:
    messages = [WRITE + call("read"), WRITE, "<think>x</think>ab", "so", WRITE, "done"]
    row = make_row(["u", "v ☃", "w"])
    output, server = run(get_model(name), messages, row, bytewise=bytewise)
    scores, spans = turns_of(output)
    assert scores == []  # a notebook does not say what its turns earn
    of_turns = [server.sampled[:3], server.sampled[3:4], server.sampled[4:]]
    ids = [[id_ for message in turn for id_ in message] for turn in of_turns]
    assert [sampled(output, span) for span in spans] == ids
    for start, end in spans:
        assert output.response_mask[start] == output.response_mask[end - 1] == 1
    for (_, end), (start, _) in pairwise(spans):
        assert not any(output.response_mask[end:start])


@pytest.mark.parametrize(
    ("rewards", "call_share", "scores"),
    [
        ([0.25, -2], 0.5, [0.25, -2.0]),
        ([True, 0, 7], 0.5, [1.0, 0.0]),  # of a turn that nobody came to
        (["half right", 1], 0.5, [0.25, 1.0]),
        (["half right", 1], 0.2, [0.1, 1.0]),
    ],
)
def test_scores_are_numbers_or_verdicts(rewards: list, call_share: float, scores: list) -> None:
    row = rewarded(["u", "v"], rewards)
    output, _ = run(QWEN, [WRITE, "a", "b"], row, {"call_share": call_share})
    assert turns_of(output)[0] == scores


@pytest.mark.parametrize(
    ("rewards", "fault"),
    [
        ("broken", "LookupError: broken turn_rewards"),
        ([1.0], "ValueError: 1 rewards for the 2 turns that were reached"),
        ([1.0, "nan"], "ValueError: the reward of turn 1 is nan, no finite number"),
        (["none", 1.0], "ValueError: the reward of turn 0 is None, no finite number"),
        (["1", 1.0], "ValueError: the reward of turn 0 is '1', no finite number"),
        ([[1.0], 1.0], r"ValueError: the reward of turn 0 is \[1.0\], no finite number"),
    ],
)
def test_faults_of_the_rewards_name_the_row(rewards: Any, fault: str) -> None:
    place = r"row page-7: turn_rewards\(\) in environment 'rewarded notebook' failed: "
    with pytest.raises(RuntimeError, match=place + fault):
        run(QWEN, ["a", "b"], rewarded(["u", "v"], rewards))


COUNT = call("count", item="tea")
ORDER = call("order", item="tea", quantity=2)
SHOP_TASK = {
    "stock": {"tea": 3},
    "turns": [
        {"user": "How much tea?", "counted": ["tea"], "orders": {}},
        {"user": "Two, please.", "counted": [], "orders": {"tea": 2}},
    ],
}
SHOP = task_row("shop", "How much tea?", SHOP_TASK)


@pytest.mark.parametrize(
    ("messages", "options", "scores", "limit"),
    [
        ([COUNT, "3.", ORDER, "Done."], {}, [1.0, 1.0], None),
        ([COUNT + COUNT, "3.", "Done."], {}, [0.5, 0.0], None),
        ([COUNT, "3."], {"max_turns": 1}, [1.0], "turns"),
        # The last step's turn is judged; the next is never reached.
        ([COUNT, COUNT], {"max_steps_per_turn": 2}, [0.5], "steps"),
    ],
)
def test_the_shop(messages: list[str], options: dict, scores: list, limit: str | None) -> None:
    output, _ = run(QWEN, messages, SHOP, options)
    assert turns_of(output)[0] == scores
    assert len(turns_of(output)[1]) == len(scores) == info(output)["turns"]
    if limit:
        assert info(output)[f"limit/{limit}"] == 1


def test_a_conversation_of_any_length_has_the_turns_that_were_begun() -> None:
    messages = [COUNT, "3.", ORDER, "Done."]
    whole, server = run(QWEN, messages, SHOP)
    whole_spans = turns_of(whole)[1]
    assert len(whole_spans) == 2
    ends_of_first = sum(map(len, server.sampled[:2]))
    for length in range(1, len(whole.response_ids)):
        output, _ = run(QWEN, messages, SHOP, response_length=length)
        scores, spans = turns_of(output)
        assert len(scores) == len(spans) == info(output)["turns"]
        kept = len(output.response_ids)
        reached = [span for span in whole_spans if span[0] < kept]
        assert [span[0] for span in spans] == [span[0] for span in reached]
        assert [span[1] for span in spans] == [min(kept, span[1]) for span in reached]
        # A turn that was cut off has not ended, and earns nothing in the shop.
        is_ended = sum(output.response_mask) >= ends_of_first
        assert scores == ([1.0, 0.0][: len(spans)] if is_ended else [0.0])


def test_an_answer_without_a_token_leaves_an_empty_turn() -> None:
    output, _ = run(QWEN, [[]], SHOP)
    assert turns_of(output) == ([0.0], [[0, 0]])
    assert output.response_mask == [0]
    later, _ = run(QWEN, [COUNT, "3.", []], SHOP)
    scores, (first, second) = turns_of(later)
    assert scores == [1.0, 0.0]
    assert first[0] == 0 < first[1] < second[0] == second[1] == len(later.response_ids)


def test_a_prompt_without_room_has_no_turns() -> None:
    output, _ = run(QWEN, [], SHOP, prompt_length=3)
    assert turns_of(output) == ([], [])


RIGHT = [call(MKDIR[0], **MKDIR[1]) + call(MV[0], **MV[1]), "Done.", "Welcome."]
LAST = call(ADD[0], **ADD[1])


@pytest.mark.parametrize(
    ("messages", "options", "scores"),
    [
        ([*RIGHT, LAST, "5."], {}, [1.0, 1.0, 1.0]),
        ([*RIGHT, "5."], {}, [1.0, 1.0, 0.0]),
        ([call(MKDIR[0], **MKDIR[1]), "Done.", "Welcome.", "5."], {}, [0.25, 1.0, 0.0]),
        ([call(MKDIR[0], **MKDIR[1]), "Done.", "Welcome.", "5."], {"call_share": 1}, [0.5, 1, 0]),
        (RIGHT, {"max_turns": 2}, [1.0, 1.0]),
    ],
)
def test_bfcl(messages: list, options: dict, scores: list[float]) -> None:
    for package in ("bfcl_eval", "mpmath"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    row = task_row("bfcl", "Sort my files.", bfcl_task())
    output, _ = run(QWEN, messages, row, {"reward": "dense", **options})
    found, spans = turns_of(output)
    assert found == scores
    assert len(spans) == len(scores)
    if len(scores) == 3:  # what they are worth together is the dense reward
        assert sum(found) / 3 == pytest.approx(info(output)["dense"])
