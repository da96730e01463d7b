"""BFCL's stateful multi-turn tasks as a tool environment: its tools, its answers, its verdicts.

What the official executor and checker of bfcl-eval do by evaluating text on instances that live in
module globals is done here by a table of methods on instances of the rollout's own. Observations,
states and verdicts are the same; what differs:

- Nothing but a public method of an involved class runs. Other names, which the official executor
  would evaluate (builtins, dotted names, expressions), are unknown names here.
- Sizes that would hang or exhaust the process are refused (`bfcl_limits`).
- Text arguments reach the method as they are. The official executor rewrites call strings by a
  regular expression that also reads inside quotes: it drops the space in "word (" and puts
  instance names into "sort(". No answer of the data holds such text.
- Every turn gets a verdict; the official checker stops at the first wrong one.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from rest_verl.environments.base import Verdict, register_environment
from rest_verl.environments.bfcl_backend import Commons, method_table, plain_copy
from rest_verl.environments.bfcl_limits import MAX_ARGUMENTS
from rest_verl.environments.bfcl_rules import differing_class, holds_outputs
from rest_verl.environments.bfcl_task import BfclTask, Call
from rest_verl.prompts.tools import tools_from_docs


@register_environment("bfcl")
class BFCLEnvironment:
    """One rollout of one BFCL record, `base`, `miss_func`, `miss_param` or `long_context`.

    Args:
        record: As `BfclTask.from_record` reads it.

    Raises:
        ValueError: a malformed record, naming its id, or bfcl-eval is not installed.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._task = BfclTask.from_record(record)
        commons = Commons()
        self._model = self._task.instances(commons)
        self._truth = self._task.instances(commons)
        self._verdicts: list[Verdict] = []
        self._outputs: Counter[str] = Counter()
        self._num_calls = 0  # of this turn
        self._unmatched: list[Call] = []  # calls that answer no expected call of earlier turns

    @property
    def tools(self) -> list[dict[str, Any]]:
        """The functions offered in the current turn; those held out come last when they appear."""
        later = self._task.later_functions
        appeared = [d for turn in sorted(later) if turn <= self._turn for d in later[turn]]
        return tools_from_docs(self._task.functions + appeared)

    def user_message(self, turn: int) -> str | None:
        """The turn's user messages, parted by a blank line; BFCL's own sentence where functions
        appear."""
        messages = self._task.user_messages
        return messages[turn] if turn < len(messages) else None

    def call(self, name: str, arguments: dict[str, Any]) -> str:
        """The official executor's text for this call.

        Like it, this runs any public method of the involved classes, also one that is not offered,
        or not yet.
        """
        self._num_calls += 1
        output = self._run(name, arguments)
        self._outputs[output] += 1
        return output

    def end_turn(self) -> None:
        """Runs the turn's right calls on the other side and judges the turn.

        Raises:
            RuntimeError: every turn has ended already.
        """
        if self._turn == len(self._task.calls):
            raise RuntimeError(f"{self._task.id}: every turn has ended already")
        expected = self._task.calls[self._turn]
        wanted = [self._truth.run(name, plain_copy(arguments)) for name, arguments in expected]
        matched = self._match(expected)
        if not expected:
            self._verdicts.append(self._verdict_of_empty_turn())
        else:
            reason = self._reason(wanted)
            share = len(matched) / len(expected)
            self._verdicts.append(Verdict(right=not reason, right_calls=share, reason=reason))
        for call in matched:
            self._unmatched.remove(call)
        self._num_calls = 0

    def outcome(self) -> list[Verdict]:
        """A verdict for every turn. One that has not ended is wrong, as the official evaluation
        fails conversations that were cut off."""
        verdicts = list(self._verdicts)
        for expected in self._task.calls[self._turn :]:
            verdict = Verdict(right=False, reason="not reached")
            if len(verdicts) == self._turn and self._num_calls:
                share = len(self._match(expected)) / len(expected) if expected else 0.0
                verdict = Verdict(right=False, right_calls=share, reason="not ended")
            verdicts.append(verdict)
        return verdicts

    def turn_rewards(self) -> list[Verdict]:
        """The verdicts: a turn that is wrong, or has not ended, earns by its right calls."""
        return self.outcome()

    def score(self) -> float:
        """1.0 if the official checker would say valid (with `judge_empty_turns`: and no call was
        made in a turn that wants none), else 0.0."""
        return float(all(verdict.right for verdict in self.outcome()))

    @property
    def _turn(self) -> int:
        return len(self._verdicts)

    def _run(self, name: str, arguments: dict[str, Any]) -> str:
        try:
            text = json.dumps(arguments, allow_nan=False)
        except ValueError:
            # The official executor evaluates the text `inf`, which is a name like any other.
            return "Error during execution: name 'inf' is not defined"
        except RecursionError:
            return "Error during execution: the arguments are nested too deeply"
        if len(text) > MAX_ARGUMENTS:
            return f"Error during execution: the arguments are longer than {MAX_ARGUMENTS}"
        self._unmatched.append(Call(name, json.loads(text)))
        return self._model.run(name, json.loads(text))

    def _match(self, expected: list[Call]) -> list[Call]:
        """The model's calls that equal one expected call each, defaults filled in."""
        methods = method_table(self._task.classes)

        def whole(call: Call) -> Call:
            method = methods.get(call.name)
            return Call(call.name, {**(method.defaults if method else {}), **call.arguments})

        remaining = [(whole(call), call) for call in self._unmatched]
        matched = []
        for call in map(whole, expected):
            for index, (made, original) in enumerate(remaining):
                if made == call:
                    matched.append(original)
                    del remaining[index]
                    break
        return matched

    def _verdict_of_empty_turn(self) -> Verdict:
        judged = self._task.judge_empty_turns
        if judged and self._num_calls:
            return Verdict(right=False, reason="calls in a turn that wants none")
        return Verdict(right=True, judged=judged, right_calls=1.0)

    def _reason(self, wanted: list[str]) -> str:
        """Why the turn is wrong; empty if it is right."""
        if not self._num_calls:
            return "no calls"
        if differing := differing_class(self._model.by_class, self._truth.by_class):
            return f"state of {differing} differs"
        return "" if holds_outputs(self._outputs, wanted) else "missing outputs"
