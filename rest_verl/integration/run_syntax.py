"""The syntax of each row of a run: the one its prompt asks for, else the model's own.

Labels, reward and agent loops all ask here, so that none reads a row by another syntax.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from omegaconf import OmegaConf

from rest_verl.integration.message_reader import MessageReader, generation_end_ids
from rest_verl.integration.template_syntax import template_syntax
from rest_verl.rewards.ground_truth import parse_ground_truth
from rest_verl.syntax import Syntax, get_syntax, syntax_names

AUTO = "auto"
SETTING = "algorithm.rest.syntax"
MODEL = "actor_rollout_ref.model.path"
TEMPLATE_KWARGS = "data.apply_chat_template_kwargs"
EXTERNAL_MODULES = "VERL_USE_EXTERNAL_MODULES"
"""verl's variable for modules that every one of its processes imports: yours with a syntax, too."""


def known_syntax(name: str) -> Syntax:
    """The syntax of that name, one from the user's own modules included.

    Raises:
        ValueError: there is none, with the known names.
    """
    if name not in syntax_names():
        for module in filter(None, os.environ.get(EXTERNAL_MODULES, "").split(",")):
            importlib.import_module(module.strip())
    return get_syntax(name)


def asked_syntax(extra_info: Any, ground_truth: Any = None) -> str:
    """The syntax that a row's prompt asks for, or "" if it leaves that to the model.

    Args:
        extra_info: the row's; `syntax` says it.
        ground_truth: the row's, for rows made before they had `syntax`: one in ToolRL's format
            stands with a prompt that asks for it.
    """
    info = extra_info if isinstance(extra_info, Mapping) else {}
    if info.get("syntax"):
        return str(info["syntax"])
    if info.get("prompt_style") in ("toolrl", "compact"):
        return "toolrl"
    try:
        return "toolrl" if parse_ground_truth(ground_truth).format == "toolrl" else ""
    except ValueError:  # none of ours
        return ""


def asked_syntaxes(dataset: Any) -> set[str] | None:
    """What the rows of a data set of verl's ask for, as `asked_syntax` says it; None if it is of
    another kind, and each row has to be looked at."""
    frame: Any = getattr(dataset, "dataframe", None)
    names = getattr(frame, "column_names", None)
    if names is None:
        return None
    count = len(frame)
    infos = frame["extra_info"] if "extra_info" in names else [None] * count
    models = frame["reward_model"] if "reward_model" in names else [None] * count
    return {
        asked_syntax(info, (model or {}).get("ground_truth"))
        for info, model in zip(infos, models, strict=True)
    }


class RunSyntaxes:
    """Which syntax a run's rows are read by."""

    def __init__(
        self,
        setting: str,
        tokenizer: Any,
        template_kwargs: Mapping[str, Any] | None = None,
        *,
        model: object = "this model",
        mend: str = f"name it with {SETTING}=<name>",
    ) -> None:
        """`setting` is a name or `auto`; the others are for `template_syntax`."""
        self._setting = setting
        self._tokenizer = tokenizer
        self._template_kwargs = template_kwargs
        self._model = model
        self._mend = mend

    @classmethod
    def of_run(cls, config: Any, tokenizer: Any) -> RunSyntaxes:
        """Of verl's composed configuration."""
        return cls(
            _select(config, SETTING) or AUTO,
            tokenizer,
            _select(config, TEMPLATE_KWARGS),
            model=_select(config, MODEL) or "this model",
        )

    @cached_property
    def own(self) -> Syntax:
        """The model's own, asked for only where a row leaves it to the model.

        Raises:
            ValueError: no such syntax, or the template does not tell (`NoSyntax`).
        """
        if self._setting != AUTO:
            return known_syntax(self._setting)
        return template_syntax(
            self._tokenizer, self._template_kwargs, model=self._model, mend=self._mend
        )

    def of_row(self, extra_info: Any, ground_truth: Any = None) -> Syntax:
        """Of a row with these columns.

        Raises:
            ValueError: as `own`.
        """
        return self.named(asked_syntax(extra_info, ground_truth))

    def named(self, asked: str) -> Syntax:
        """Of rows that ask for this one, "" for the model's own.

        Raises:
            ValueError: as `own`.
        """
        return known_syntax(asked) if asked else self.own

    def describe(self, asked: Iterable[str]) -> str:
        """One line for the log on the syntaxes of rows that ask for these ("" for the model's).

        Raises:
            ValueError: as `own`.
        """
        parts = []
        for name in sorted(set(asked)):
            if name:
                parts.append(f"{self.named(name).name} (prompts ask for it)")
            else:
                source = "chat template" if self._setting == AUTO else SETTING
                parts.append(f"{self.own.name} ({source})")
        return f"[rest] tool-call syntax: {', '.join(parts)}"


class RowReaders:
    """Readers of a run's rows, one for each syntax."""

    def __init__(self, config: Any, tokenizer: Any) -> None:
        self.syntaxes = RunSyntaxes.of_run(config, tokenizer)
        self._tokenizer = tokenizer
        self._end_ids = generation_end_ids(_select(config, MODEL))
        self._readers: dict[str, MessageReader] = {}

    def of_row(self, extra_info: Any, ground_truth: Any = None) -> MessageReader:
        """As `RunSyntaxes.of_row`."""
        syntax = self.syntaxes.of_row(extra_info, ground_truth)
        if syntax.name not in self._readers:
            reader = MessageReader(self._tokenizer, syntax, end_ids=self._end_ids)
            self._readers[syntax.name] = reader
        return self._readers[syntax.name]


_readers: WeakKeyDictionary[Any, dict[str, RowReaders]] = WeakKeyDictionary()


def row_readers(config: Any, tokenizer: Any) -> RowReaders:
    """The readers for verl's composed configuration; made once in a process, since verl makes an
    agent loop for each rollout."""
    found = _readers.setdefault(tokenizer, {})
    key = repr([_select(config, path) for path in (SETTING, MODEL, TEMPLATE_KWARGS)])
    if key not in found:
        found[key] = RowReaders(config, tokenizer)
    return found[key]


def _select(config: Any, path: str) -> Any:
    """A value of a DictConfig or of nested dicts, None where there is none."""
    if OmegaConf.is_config(config):
        found = OmegaConf.select(config, path)
        return OmegaConf.to_container(found) if OmegaConf.is_config(found) else found
    for key in path.split("."):
        config = config.get(key) if isinstance(config, Mapping) else None
    return config
