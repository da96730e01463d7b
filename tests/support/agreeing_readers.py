"""All who read an answer, asked for the same one: labels, reward, loop, evaluation, data."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from answers import Plan, ground_truth
from argument_values import JSON_ARGUMENTS, TOOLS, XML_LIKE
from byte_regions import regions_of_bytes
from toy_tokenizers import BytesTokenizer

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.evaluation.calls import record_calls
from rest_verl.integration.agent_loops.readers import Call, SyntaxReader
from rest_verl.integration.message_reader import MessageReader
from rest_verl.rewards import tool_call_reward
from rest_verl.rewards.values import standardise
from rest_verl.syntax import Reading, ToolCall, get_syntax, read_message
from rest_verl.syntax.gemma4_values import write_gemma_value
from rest_verl.syntax.xml_calls import write_value

_OPENED = 256  # the id of the tag that opens a thought


class Readers:
    """The readers of one syntax. An id is a byte, one more the tag with which a prompt can end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.syntax = get_syntax(name)
        tokenizer = BytesTokenizer([*(bytes([byte]) for byte in range(256)), self.syntax.think[0]])
        self.labeler = RegionLabeler(tokenizer, self.syntax)
        self.messages = MessageReader(tokenizer, self.syntax)
        self.loop = SyntaxReader(self.messages)

    def check(
        self, message: bytes, think_is_open: bool | None, intended: Sequence[ToolCall]
    ) -> Reading:
        """What the message says, in which all agree.

        Args:
            think_is_open: as the prompt has it; None: nobody is told.
            intended: the calls of the ground truth.
        """
        ids = np.frombuffer(message, dtype=np.uint8)
        text = self.messages.text(ids)
        reading = read_message(self.syntax, text, think_is_open=think_is_open, tools=TOOLS)
        self.check_labels(message, think_is_open, reading)
        self.check_reward(text, think_is_open, reading, intended)
        if think_is_open is not None:
            prompt = _prompt(think_is_open)
            assert self.messages.read(ids, prompt, TOOLS) == reading
            asked = _finished(self.loop.read(ids.tolist(), prompt, lambda: TOOLS))
            assert asked.is_malformed == (reading.whole_calls is None)
            assert asked.calls == [Call(*call) for call in reading.whole_calls or []]
        recorded = record_calls(reading)
        assert (recorded is None) == (reading.whole_calls is None)
        if recorded is not None and _is_storable(reading.calls):
            assert recorded == [{"name": c.name, "arguments": c.arguments} for c in reading.calls]
        return reading

    def check_labels(self, message: bytes, think_is_open: bool | None, reading: Reading) -> None:
        """The regions are those of the bytes, the names those of the calls."""
        prompt = None if think_is_open is None else _prompt(think_is_open)
        regions = self.labeler.label(np.frombuffer(message, dtype=np.uint8), prompt=prompt).tolist()
        assert regions == regions_of_bytes(self.syntax, message, think_is_open)
        if "C" not in reading.structure:
            assert not {Region.NAME, Region.ARGS} & set(regions)
        if not reading.well_formed:
            return
        names = _texts(message, regions, Region.NAME)
        called = [call.name for call in reading.calls if call.name]
        if self.name not in JSON_ARGUMENTS:
            assert names == called
            return
        # Of a key given twice both values are labelled, and the last one stands.
        assert _is_within(called, names) or _is_within(called, map(_unescaped, names))
        written = map(json.loads, _texts(message, regions, Region.ARGS))
        assert _is_within([call.arguments for call in reading.calls], written)

    def check_whole(self, plan: Plan, message: bytes, reading: Reading) -> None:
        """What was written is read: the calls, and their arguments as labelled."""
        assert [(c.name, c.arguments) for c in reading.calls] == [
            (c.name, c.arguments) for c in plan.calls
        ]
        assert repr([c.arguments for c in reading.calls]) == repr(
            [_in_order(self.name, c.arguments) for c in plan.calls]
        )  # types and order as well
        assert reading.whole_calls is not None
        assert ("T" in reading.structure) == (plan.think is not None)
        if self.name != "toolrl" or (plan.think and (plan.calls or plan.text)):
            assert self.syntax.has_form(reading, wants_calls=bool(plan.calls))
        regions = regions_of_bytes(self.syntax, message, plan.prompt_opens)  # those labelled
        assert len(_texts(message, regions, Region.NAME)) == len(plan.calls)
        if self.name in JSON_ARGUMENTS:
            assert len(_texts(message, regions, Region.ARGS)) == len(plan.calls)
        else:
            pieces = [piece for call in plan.calls for piece in _pieces(self.name, call)]
            assert _texts(message, regions, Region.ARGS) == [piece for piece in pieces if piece]

    def check_reward(
        self,
        text: str,
        think_is_open: bool | None,
        reading: Reading,
        intended: Sequence[ToolCall],
    ) -> None:
        """The right calls, whole, are an exact match, and others none."""
        result = tool_call_reward(
            text,
            ground_truth(intended),
            syntax=self.syntax,
            think_is_open=think_is_open,
            tools=TOOLS,
        )
        assert result.num_calls == len(reading.calls)
        assert result.format_ok == self.syntax.has_form(reading, wants_calls=bool(intended))
        if not intended:
            assert result.exact_match == (not reading.tries_to_call)
            return
        called = [(c.name, c.arguments) for c in reading.whole_calls or []]
        wanted = [(c.name, c.arguments) for c in intended]
        if called == wanted:
            assert result.exact_match
        if result.exact_match:
            assert _loosely(called) == _loosely(wanted)


def _prompt(think_is_open: bool) -> list[int]:
    return [*b"assistant\n", *([_OPENED] if think_is_open else [])]


def _finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


def _texts(message: bytes, regions: list[int], region: Region) -> list[str]:
    """The stretches of a region."""
    runs = [
        bytes(byte for byte, _ in run)
        for label, run in groupby(zip(message, regions, strict=True), lambda pair: pair[1])
        if label == region
    ]
    return [run.decode("utf-8", "replace") for run in runs]


def _is_within(few: Iterable[Any], many: Iterable[Any]) -> bool:
    """Whether these are among the others, in their order."""
    rest = iter(many)
    return all(any(one == other for other in rest) for one in few)


def _unescaped(name: str) -> str:
    return json.loads(f'"{name}"')


def _pieces(name: str, call: ToolCall) -> list[str]:
    """What of a call's arguments is labelled, where they are written one by one."""
    written: list[str] = []
    for key, value in _in_order(name, call.arguments).items():
        if name in XML_LIKE:
            written += [key, write_value(value)]
        elif name == "pythonic":
            written += [key, repr(value)]
        else:
            written += [f'<|"|>{key}<|"|>' if " " in key else key, write_gemma_value(value)]
    return written


def _in_order(name: str, value: Any) -> Any:
    """The keys in the order in which they are written."""
    if name != "gemma4":
        return value
    if isinstance(value, dict):
        keys = sorted(value, key=str.lower)
        return {key: _in_order(name, value[key]) for key in keys}
    return [_in_order(name, item) for item in value] if isinstance(value, list) else value


def _is_storable(calls: list[ToolCall]) -> bool:
    try:
        json.dumps(calls, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


def _loosely(calls: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The calls, but for what the reward lets through: order, case, some punctuation, what may be
    left out, whole numbers as decimals."""

    def loose(value: Any) -> Any:
        if isinstance(value, str):
            return standardise(value)
        if isinstance(value, dict):
            return sorted(
                (key, repr(loose(item))) for key, item in value.items() if loose(item) != ""
            )
        if isinstance(value, list):
            return [loose(item) for item in value]
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    return sorted(repr((name, loose(arguments))) for name, arguments in calls)
