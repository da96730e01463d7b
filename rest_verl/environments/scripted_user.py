"""A user who goes by a table: what is heard decides what is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rest_verl.environments.users import Text


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One thing that the user may say, once."""

    says: str | None
    """None: goes without a word."""
    hears: tuple[str, ...] = ()
    """Said where the model's last text holds one of these, in whatever case; empty: always."""

    @classmethod
    def from_mapping(cls, rule: Mapping[str, Any]) -> Rule:
        """From a task in JSON: `{"hears": [text, …], "says": text}`; other keys are the task's own.

        Raises:
            ValueError: it is not of that form.
        """
        match rule.get("hears", []), rule.get("says", ""):
            case [*hears], str() | None as says if says != "" and all(
                isinstance(text, str) and text for text in hears
            ):
                return cls(says=says, hears=tuple(hears))
        form = '{"hears": [text, …], "says": text or null}'
        raise ValueError(f"a rule of a scripted user is {form}, got {rule!r}")

    def fits(self, text: str) -> bool:
        """Whether this is an answer to `text`."""
        heard = text.casefold()
        return not self.hears or any(word.casefold() in heard for word in self.hears)


class ScriptedUser:
    """Says the first rule that fits and was not said yet; where none does, the talk is over.

    The same texts get the same reply, and no talk has more turns than the table has rules.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._left = list(rules)

    def reply(self, texts: Sequence[Text]) -> str | None:
        """As `User.reply`."""
        for rule in self._left:
            if rule.fits(texts[-1].text):
                self._left.remove(rule)
                return rule.says
        return None
