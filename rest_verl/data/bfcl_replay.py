"""Plays a BFCL multi-turn row's own right calls: the dialogue they make, if they earn the maximum.

BFCL lists the calls of a turn without saying which ones one message may hold. By default each is a
message of its own with its observation after it, since later calls often use what earlier ones
returned (an order's id, a directory's listing). `all` puts a turn's calls into one message; some of
their arguments can then not be known yet.
"""

from typing import Literal, NamedTuple

from rest_verl.data.bfcl import BfclSource
from rest_verl.data.bfcl_multi_turn import ENVIRONMENT, MultiTurnRow, read_multi_turn
from rest_verl.data.dialogues import Dialogue, Message
from rest_verl.environments.base import make_environment
from rest_verl.environments.bfcl_task import BfclTask
from rest_verl.syntax import ToolCall

CallsPerStep = Literal["one", "all"]

TURN_DONE = "Done."
"""What ends a turn with calls."""
TURN_REFUSED = "I cannot do this yet: a tool or a detail is missing."
"""What ends a turn that wants no call, as in miss_func and miss_param."""


class Replayed(NamedTuple):
    """A category's rows whose own calls earn the maximum."""

    rows: list[MultiTurnRow]
    dialogues: list[Dialogue]
    """Of the same rows."""
    left_out: dict[str, str]
    """id -> why the row is not among them."""


def replay_category(
    source: BfclSource, category: str, calls_per_step: CallsPerStep = "one"
) -> Replayed:
    """Reads a multi-turn category and plays each row's own right calls.

    Raises:
        ValueError: as `read_multi_turn`, or not one row can be played.
    """
    played = Replayed([], [], {})
    for row in read_multi_turn(source, category):
        try:
            dialogue = replay(row, calls_per_step)
        except ValueError as error:
            played.left_out[row.id] = str(error)
        else:
            played.rows.append(row)
            played.dialogues.append(dialogue)
    if not played.rows:
        reason = next(iter(played.left_out.values()), "the file is empty")
        raise ValueError(f"{source.file(category)}: no row can be used: {reason}")
    return played


def replay(row: MultiTurnRow, calls_per_step: CallsPerStep = "one") -> Dialogue:
    """The dialogue of the right calls, each turn ended by a message without calls.

    Raises:
        ValueError: the environment refuses the task, or the calls do not earn 1.0; names the id.
    """
    task = BfclTask.from_record(row.task)
    environment = make_environment(ENVIRONMENT, row.task)
    tools = environment.tools
    offered = {tool["function"]["name"] for tool in tools}
    messages = []
    for turn, calls in enumerate(task.calls):
        question = environment.user_message(turn)
        new_tools = [t for t in environment.tools if t["function"]["name"] not in offered]
        offered |= {tool["function"]["name"] for tool in new_tools}
        messages.append(Message(role="user", content=question or "", new_tools=tuple(new_tools)))
        size = 1 if calls_per_step == "one" else len(calls) or 1
        for start in range(0, len(calls), size):
            step = tuple(ToolCall(*call) for call in calls[start : start + size])
            messages.append(Message(role="assistant", calls=step))
            messages += [
                Message(role="tool", content=environment.call(call.name, dict(call.arguments)))
                for call in step
            ]
        messages.append(Message(role="assistant", content=TURN_DONE if calls else TURN_REFUSED))
        environment.end_turn()
    if environment.score() != 1.0:
        wrong = next(n for n, verdict in enumerate(environment.outcome()) if not verdict.right)
        reason = environment.outcome()[wrong].reason
        raise ValueError(f"{row.id}: its own answer is wrong at turn {wrong}: {reason}")
    return Dialogue(
        id=row.id,
        category=row.category,
        data_source=f"bfcl_{row.version}_steps/{row.category}",
        version=row.version,
        split_key=row.question_key,
        tools=tools,
        messages=messages,
    )
