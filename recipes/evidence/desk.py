"""The study's small task: requests at a front desk, made at random, each with one right call.

A prompt shows three tools and gives every value. The thought that the starting policy learns
restates the request in words drawn at random: it is the longest region and that of the highest
entropy, as in the paper.

Lessons slip, as collected data does: a wrong tool, a wrong value, a thought that misreads the
request and a call that follows it, a second call, a tag left out. A policy that has learned from
them answers right about half of the time, and every region has something to unlearn.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rest_verl.data.answers import write_answer
from rest_verl.data.prompts import dump_ground_truth
from rest_verl.prompts.system import system_message
from rest_verl.syntax import ToolCall

STYLE = "compact"
NUM_TOOLS = 3
"""Shown in a prompt, out of KINDS."""
SLIPS = {
    "none": 0.4,
    "wrong tool": 0.12,
    "wrong value": 0.12,
    "misread": 0.12,
    "second call": 0.12,
    "open": 0.12,
}
"""What happens in a lesson -> how often."""

Values = tuple[Any, Any]

CITIES = (
    "Oslo", "Rome", "Paris", "Lima", "Cairo", "Tokyo", "Delhi", "Berlin", "Madrid", "Vienna",
    "Athens", "Dublin", "Lisbon", "Prague", "Boston", "Havana", "Seoul", "Milan", "Turin", "Kyoto",
    "Geneva", "Zagreb", "Riga", "Quito",
)  # fmt: skip
PEOPLE = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Ida", "Jonas", "Karl",
    "Lena", "Maria", "Nina", "Oscar", "Paula", "Rosa", "Simon", "Tara", "Victor",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FOODS = (
    "pizza", "soup", "salad", "pasta", "rice", "curry", "bread", "cake", "fish", "tacos", "noodles",
    "sushi",
)  # fmt: skip
THINGS = (
    "lamp", "chair", "desk", "vase", "clock", "sofa", "rug", "mirror", "shelf", "bench", "kettle",
    "towel",
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of request."""

    topic: str
    """What it is about, in the words of a thought."""
    name: str
    """Of its tool."""
    parameters: tuple[str, str]
    values: tuple[Sequence[Any], Sequence[Any]]
    """What each parameter is drawn from."""
    requests: tuple[str, ...]
    """Ways to ask; {0}, {1}: the values."""


KINDS = (
    Kind("a table", "book_table",
         ("city", "people"), (CITIES, range(2, 10)),
         ("A table for {1} in {0}, please.", "We are {1} and want to eat out in {0}.",
          "Can you get us a table in {0}? We are {1}.")),
    Kind("food", "order_food",
         ("dish", "count"), (FOODS, range(2, 10)),
         ("Please bring {1} portions of {0}.", "We would like {0}, {1} of them.",
          "{1} times {0} for us, please.")),
    Kind("the weather", "get_weather",
         ("city", "day"), (CITIES, DAYS),
         ("Will it rain in {0} on {1}?", "How is the weather in {0} on {1}?",
          "I travel to {0} on {1}. Do I need a coat?")),
    Kind("a call", "call_person",
         ("person", "hour"), (PEOPLE, range(7, 23)),
         ("Call {0} at {1}.", "At {1} I want to talk to {0} on the phone.",
          "Ring {0} up when it is {1}.")),
    Kind("a purchase", "buy_item",
         ("item", "count"), (THINGS, range(2, 20)),
         ("I want to buy {0}, {1} of them.", "Get me {0}. No, make it {1} times {0}.",
          "We need {1} more of {0} for the house.")),
    Kind("a train", "find_train",
         ("start", "end"), (CITIES, CITIES),
         ("I must go by rail from {0} to {1}.", "Which trains leave {0} for {1}?",
          "A train to {1} from {0}, please.")),
)  # fmt: skip

OPENINGS = ("The user", "This guest", "Someone", "The person here", "They", "Our guest")
WISHES = ("wants", "asks for", "would like", "hopes for", "is after", "needs", "talks about")
LINKS = ("So", "Then", "Hence", "Now", "Well,", "Good:", "Fine,", "Right,")
SIGHTS = ("I see", "there is", "I read", "I note", "I find", "they give", "they say", "we have")
JOINTS = ("and", "and also", "with", "together with", "besides", "plus")
CLOSINGS = (
    "That is all I need.", "One call will do.", "I can call it now.", "Nothing is missing.",
    "Let me do it.", "The rest is easy.", "No question is left.", "I am ready.",
)  # fmt: skip


@dataclass(frozen=True)
class Request:
    """A task with one right answer."""

    messages: list[dict[str, str]]
    ground_truth: str
    answer: str
    """The right one, with a thought."""
    lesson: str
    """The answer that a warm start shows; one of SLIPS is in it, or it is `answer`."""


def make_request(rng: random.Random) -> Request:
    """A request of a kind drawn at random, among tools of NUM_TOOLS kinds."""
    kinds = rng.sample(KINDS, NUM_TOOLS)
    kind, other = rng.sample(kinds, 2)
    values = _two_values(kind, rng)
    question = rng.choice(kind.requests).format(*map(_quoted, values))
    call = _call(kind.name, kind, values)
    truth = {"name": call.name, "parameters": {key: [v] for key, v in call.arguments.items()}}
    thought = _thought(kind, values, rng)
    return Request(
        messages=[
            {"role": "system", "content": system_message(list(map(_tool, kinds)), STYLE)},
            {"role": "user", "content": question},
        ],
        ground_truth=dump_ground_truth("calls", [truth], STYLE),
        answer=write_answer([call], "", STYLE, think=thought),
        lesson=_lesson(kind, values, thought, other.name, rng),
    )


def _lesson(kind: Kind, values: Values, thought: str, other: str, rng: random.Random) -> str:
    """The right answer, or one with a slip; `other`: a tool that the request is not for."""
    (slip,) = rng.choices(list(SLIPS), SLIPS.values())
    changed = _one_changed(kind, values, rng)
    calls = [_call(kind.name, kind, values)]
    match slip:
        case "wrong tool":
            calls = [_call(other, kind, values)]
        case "wrong value":
            calls = [_call(kind.name, kind, changed)]
        case "misread":
            thought = _thought(kind, changed, rng)
            calls = [_call(kind.name, kind, changed)]
        case "second call":
            calls = calls * 2
    answer = write_answer(calls, "", STYLE, think=thought)
    return answer.removesuffix("\n</tool_call>") if slip == "open" else answer


def _call(name: str, kind: Kind, values: Values) -> ToolCall:
    return ToolCall(name, dict(zip(kind.parameters, values, strict=True)))


def _two_values(kind: Kind, rng: random.Random) -> Values:
    first = rng.choice(kind.values[0])
    return first, rng.choice([value for value in kind.values[1] if value != first])


def _one_changed(kind: Kind, values: Values, rng: random.Random) -> Values:
    """The values, one of them replaced by another."""
    place = rng.randrange(2)
    changed = list(values)
    changed[place] = rng.choice([value for value in kind.values[place] if value not in values])
    return changed[0], changed[1]


def _tool(kind: Kind) -> dict[str, Any]:
    types = ["integer" if isinstance(values, range) else "string" for values in kind.values]
    properties = {key: {"type": type_} for key, type_ in zip(kind.parameters, types, strict=True)}
    schema = {"type": "object", "properties": properties, "required": list(kind.parameters)}
    return {"type": "function", "function": {"name": kind.name, "parameters": schema}}


def _thought(kind: Kind, values: Values, rng: random.Random) -> str:
    """Three sentences of words drawn at random around what was asked."""
    seen = [_quoted(value) for value in values]
    rng.shuffle(seen)
    return (
        f"{rng.choice(OPENINGS)} {rng.choice(WISHES)} {kind.topic}. "
        f"{rng.choice(LINKS)} {rng.choice(SIGHTS)} {seen[0]} {rng.choice(JOINTS)} {seen[1]}. "
        f"{rng.choice(CLOSINGS)}"
    )


def _quoted(value: Any) -> str:
    """A value as it stands in a call: the same tokens, which a small model can copy."""
    return json.dumps(value)


def make_requests(count: int, seed: str) -> list[Request]:
    """`count` requests, the same for the same seed."""
    rng = random.Random(seed)
    return [make_request(rng) for _ in range(count)]


if __name__ == "__main__":  # a look at it
    for request in make_requests(3, "look"):
        print(json.dumps(request.messages, indent=1), request.lesson, sep="\n")
