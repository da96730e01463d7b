"""One case of agreement: an answer, whole, cut off and damaged, read by all who read answers."""

from __future__ import annotations

from collections import Counter
from functools import cache
from random import Random

from accidents import damaged
from agreeing_readers import Readers
from answers import Plan, some_foreign_message, some_plan
from argument_values import ALL_TAGS, OWN_TAGS
from verl_differences import VERLS, reasons_of_any, reasons_of_whole, verl_reads

from rest_verl.syntax import Reading, syntax_names

ALL_CUTS = 50  # one case in so many is cut off at every byte

Tally = Counter[tuple[str, str]]
"""How many of (syntax, what)."""


def syntax_of(number: int) -> str:
    """The syntax of a case."""
    names = syntax_names()
    return names[number % len(names)]


def run_case(seed: int, number: int) -> Tally:
    """Checks the case of that number.

    Raises:
        AssertionError: two readers do not agree; it holds the answer.
    """
    rng = Random(f"{seed}/{number}")
    case = _Case(syntax_of(number), rng)
    plan = some_plan(rng, case.name)
    case.check_whole(plan)
    message = plan.message.encode()
    all_cuts = number // len(syntax_names()) % ALL_CUTS == 0
    cuts = range(len(message)) if all_cuts else [rng.randrange(len(message) + 1)]
    case.check_cuts(plan, message, cuts)
    for _ in range(2):
        case.check_damaged(plan)
    if foreign := some_foreign_message(rng, case.name):
        case.check_foreign(foreign)
    return case.tally


@cache
def _readers(name: str) -> Readers:
    return Readers(name)


class _Case:
    def __init__(self, name: str, rng: Random) -> None:
        self.name = name
        self.rng = rng
        self.readers = _readers(name)
        self.has_verls = name in VERLS
        self.tally: Tally = Counter()

    def check_whole(self, plan: Plan) -> None:
        message = plan.message.encode()
        reading = self.read(message, plan, "whole answers")
        try:
            self.readers.check_whole(plan, message, reading)
            reasons = reasons_of_whole(plan) if self.has_verls else []
        except AssertionError as error:
            raise AssertionError(f"{error}\n{plan}\nread as {reading}") from error
        self.count("whole calls", len(plan.calls))
        self.count_reasons(reasons)
        self.read(message, plan, "untold", think_is_open=None)

    def check_cuts(self, plan: Plan, message: bytes, cuts: range | list[int]) -> None:
        pieces = [message[:cut] for cut in cuts]
        readings = [self.read(piece, plan, "cut off") for piece in pieces]
        texts = [self.readers.messages.text(list(piece)) for piece in pieces]
        for piece, reading in zip(pieces, readings, strict=True):
            read, letters = reading.calls, reading.structure
            kept = [(c.name, c.arguments) for c in read]
            assert kept == [(c.name, c.arguments) for c in plan.calls[: len(read)]], piece
            assert letters.count("C") == letters.count("c") or not reading.well_formed, piece
        if self.has_verls:
            verls = verl_reads(self.name, texts, ended=False)
            for text, reading, calls in zip(texts, readings, verls, strict=True):
                self.explain(text, plan.prompt_opens, reading, calls)

    def check_damaged(self, plan: Plan) -> None:
        other = some_plan(self.rng, self.name).message
        tags = OWN_TAGS[self.name] if self.rng.random() < 0.8 else ALL_TAGS
        text = damaged(self.rng, plan.message, other, tags)
        message = text.encode("utf-8", "replace")  # half surrogate pairs are no text
        reading = self.read(message, plan, "damaged")
        if self.has_verls:
            text = self.readers.messages.text(list(message))
            calls = verl_reads(self.name, [text])[0]
            self.explain(text, plan.prompt_opens, reading, calls)
        self.read(message, plan, "untold", think_is_open=None)

    def check_foreign(self, message: str) -> None:
        """Calls of another syntax: text to all, but a call all the same, which nobody runs."""
        reading = self.read(message.encode(), Plan(self.name, []), "foreign")
        assert not reading.calls
        if reading.foreign:
            assert reading.whole_calls is None
            self.count("foreign calls")

    def read(
        self, message: bytes, plan: Plan, kind: str, think_is_open: bool | None = False
    ) -> Reading:
        is_open = None if think_is_open is None else plan.prompt_opens
        self.count(kind)
        try:
            return self.readers.check(message, is_open, plan.calls)
        except Exception as error:
            shown = message.decode("utf-8", "replace")
            raise AssertionError(f"{kind}, open {is_open}: {error}\n{shown!r}\n{plan}") from error

    def explain(
        self, text: str, think_is_open: bool, reading: Reading, verls: list[tuple[str, object]]
    ) -> None:
        try:
            reasons = reasons_of_any(self.name, text, think_is_open, reading, verls)
        except AssertionError as error:
            raise AssertionError(f"{error}\nthe message {text!r}\nread as {reading}") from error
        self.count_reasons(reasons)

    def count(self, what: str, times: int = 1) -> None:
        self.tally[self.name, what] += times

    def count_reasons(self, reasons: list[str]) -> None:
        for reason in reasons:
            self.count(f"verl {reason}")
