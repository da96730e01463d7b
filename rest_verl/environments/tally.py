"""What is counted in a rollout, as the numbers that go with its reward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from rest_verl.environments.observations import ERROR_KINDS, ErrorKind
from rest_verl.syntax import Reading, Terms, terms_of

Limit = Literal["steps", "turns", "invalid_calls", "response_length", "prompt_too_long"]
LIMITS: tuple[Limit, ...] = get_args(Limit)


@dataclass
class Tally:
    """Counts of one rollout."""

    messages: list[Reading] = field(default_factory=list)
    """The assistant's, as they are read."""
    cut_off: bool = False
    """No token of the model's ended one of them."""
    turns: int = 0
    """User messages that the model was given."""
    turns_ended: int = 0
    """Turns that the model ended itself."""
    contexts: int = 0
    """Times that observations or a user message were added after the prompt."""
    calls: Counter[str] = field(default_factory=Counter)
    """Calls that were run or refused one by one, by name; not those of a malformed message."""
    calls_repeated: int = 0
    """Those of the same name and arguments as an earlier one."""
    invalid_run: int = 0
    """Invalid calls, or malformed messages, since the last call that gave no error."""
    invalid_streak: int = 0
    """The longest such run."""
    observations_cut: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Error observations by kind."""
    limit: Limit | None = None
    """What ended the rollout before its time."""
    _made: set[str] = field(default_factory=set)

    @property
    def steps(self) -> int:
        """Assistant messages."""
        return len(self.messages)

    @property
    def terms(self) -> Terms:
        """How the messages are written; of none, without fault."""
        return terms_of(self.messages, self.cut_off)

    def note_message(self, reading: Reading, is_ended: bool) -> None:
        """One assistant message; `is_ended`: by a token of the model's."""
        self.messages.append(reading)
        self.cut_off |= not is_ended

    def note_call(self, name: str, key: str | None, error: ErrorKind | None) -> None:
        """One call that was run or refused.

        Args:
            name: as the model wrote it.
            key: the same for calls of the same name and arguments; None: like no other.
            error: of its observation.
        """
        self.calls[name] += 1
        if key is not None:
            self.calls_repeated += key in self._made
            self._made.add(key)
        self._note_validity(error)

    def note_malformed(self) -> None:
        """A message whose calls cannot be read."""
        self._note_validity("malformed")

    def _note_validity(self, error: ErrorKind | None) -> None:
        if error is None:
            self.invalid_run = 0
            return
        self.errors[error] += 1
        self.invalid_run += 1
        self.invalid_streak = max(self.invalid_streak, self.invalid_run)

    def calls_of(self, offered: Iterable[str]) -> dict[str, int]:
        """How often each of these tools was called."""
        return {name: self.calls[name] for name in sorted(offered)}

    def reward_info(
        self,
        *,
        score: float = 0.0,
        official: float = 0.0,
        dense: float = 0.0,
        turns_right: float = 0.0,
        turns_of_task: int = 0,
    ) -> dict[str, float]:
        """The numbers of verl's `reward_extra_info`: the same keys for every rollout."""
        num_calls = self.calls.total()
        is_cut = self.limit is not None
        tries_no_call = self.steps > 0 and not num_calls and not self.errors["malformed"]
        return {
            "score": float(score),
            "official": float(official),
            "dense": float(dense),
            "turns": float(self.turns),
            "turns_right": float(turns_right),
            "turns_cut": float(max(0, turns_of_task - self.turns_ended) if is_cut else 0),
            "steps": float(self.steps),
            "calls": float(num_calls),
            "no_call": float(tries_no_call),
            "calls_repeated": float(self.calls_repeated),
            "invalid_streak": float(self.invalid_streak),
            "observations_cut": float(self.observations_cut),
            **self.terms.as_dict(),
            **{f"errors/{kind}": float(self.errors[kind]) for kind in ERROR_KINDS},
            **{f"limit/{limit}": float(self.limit == limit) for limit in LIMITS},
            "limit/none": float(not is_cut),
        }
