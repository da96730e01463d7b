"""Thoughts for the warm start: varied reasoning about the request, the tool and its arguments.

One fixed sentence would teach the model to think nothing at near-zero entropy. Here three choices
are free (how the request is read, how the tool is found, what is said of the arguments), so that
the thought is the longest region of an answer and the one of the highest entropy, as in the runs
that ResT is for.
"""

import json
import random
from typing import Any

from recipes.tiny_cpu.data import STYLE
from rest_verl.data import BfclRow, reference_answer
from rest_verl.data.answers import write_answer
from rest_verl.syntax import ToolCall, get_syntax

MOST_WORDS = 7  # of the request, quoted
MOST_LETTERS = 24  # of a value

OPENINGS = (
    "The user asks: {request}.",
    "I read the request: {request}.",
    "So the question is {request}.",
    "First, what is wanted? {request}.",
    "They want this: {request}.",
    "",
)
CHOICES = (
    "{name} does that.",
    "The right tool is {name}.",
    "I can use {name} for it.",
    "Of the {count} tools here, {name} fits.",
    "This is a job for {name}.",
    "Let me call {name}.",
)
ON_VALUES = (
    "{parameter} is {value}.",
    "For {parameter} I take {value}.",
    "The request gives {value} as {parameter}.",
    "{value} goes into {parameter}.",
)
ON_NAMES = (
    "It needs {parameters}.",
    "I have to fill in {parameters}.",
)
NO_ARGUMENTS = ("It needs nothing else.", "Its defaults will do.")


def reasoned_answer(row: BfclRow, rng: random.Random) -> str:
    """The row's right answer, with a thought of its own at each call."""
    calls = get_syntax("toolrl").read(reference_answer(row, STYLE, "")).calls
    return write_answer(calls, "", STYLE, think=varied_thought(row, calls[0], rng))


def varied_thought(row: BfclRow, call: ToolCall, rng: random.Random) -> str:
    """Two or three sentences on `row` that lead to `call`, its right answer."""
    words = row.messages[-1]["content"].split()
    request = " ".join(words[: rng.randint(3, MOST_WORDS)]).rstrip(".,;:?!")
    opening = rng.choice(OPENINGS).format(request=request)
    choice = rng.choice(CHOICES).format(name=call.name, count=len(row.functions))
    return " ".join(filter(None, (opening, choice, _on_arguments(call.arguments, rng))))


def _on_arguments(arguments: dict[str, Any], rng: random.Random) -> str:
    if not arguments:
        return rng.choice(NO_ARGUMENTS)
    parameter, value = rng.choice(list(arguments.items()))
    shown = json.dumps(value, ensure_ascii=False)
    patterns = (*ON_VALUES, *ON_NAMES) if len(shown) <= MOST_LETTERS else ON_NAMES
    return rng.choice(patterns).format(
        parameter=parameter, value=shown, parameters=" and ".join(arguments)
    )
