"""Reads sampled messages: from ids to text and calls, by the bytes that the labels go by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rest_verl.algorithm.regions import PROMPT_TOKENS
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.syntax import Reading, Syntax, Tools, read_message


class MessageReader:
    """One syntax with one tokenizer; the tokenizer is read once."""

    def __init__(self, tokenizer: Any, syntax: Syntax, *, end_ids: Iterable[int] = ()) -> None:
        """`end_ids` end a message, beside those that tokenizer and syntax name."""
        self.syntax = syntax
        self.vocabulary = Vocabulary.from_tokenizer(
            tokenizer,
            end_tokens=syntax.end_tokens,
            inner_tokens=syntax.inner_tokens,
            end_ids=end_ids,
        )
        self.stop_ids = named_ids(tokenizer, (*syntax.stop_tokens, *syntax.end_tokens))
        """Ids after which sampling has to stop, beside the model's own."""

    def text(self, token_ids: Sequence[int] | np.ndarray) -> str:
        """A message without the token that ends it; special tokens stand as they are written."""
        return self.vocabulary.response_text(token_ids)

    def is_cut_off(self, token_ids: Sequence[int] | np.ndarray) -> bool:
        """Whether a message was sampled without a token that ends it: its length limit did."""
        return len(token_ids) > 0 and int(token_ids[-1]) not in self.vocabulary.end_ids

    def think_is_open(self, prompt_ids: Sequence[int] | np.ndarray) -> bool:
        """Whether the prompt ends within a thought."""
        tail = np.asarray(prompt_ids, dtype=np.int64)[-PROMPT_TOKENS:]
        return self.syntax.leaves_think_open(self.vocabulary.decode(self.vocabulary.clip(tail))[0])

    def read(
        self,
        token_ids: Sequence[int] | np.ndarray,
        prompt_ids: Sequence[int] | np.ndarray,
        tools: Tools | None = None,
    ) -> Reading:
        """What the message says that was sampled after the prompt."""
        is_open = self.think_is_open(prompt_ids)
        return read_message(self.syntax, self.text(token_ids), think_is_open=is_open, tools=tools)


def named_ids(tokenizer: Any, names: Iterable[str]) -> list[int]:
    """Ids of the tokens that the tokenizer has as tokens of their own, in order."""
    added = tokenizer.get_added_vocab() if hasattr(tokenizer, "get_added_vocab") else {}
    return [added[name] for name in names if name in added]


def generation_end_ids(model: Any) -> list[int]:
    """`eos_token_id` of the model's generation configuration; empty where there is none."""
    if model is None:
        return []
    from transformers import GenerationConfig

    try:
        end = GenerationConfig.from_pretrained(str(Path(str(model)).expanduser())).eos_token_id
    except Exception:  # no such file, or no network to look for it
        return []
    return [] if end is None else [end] if isinstance(end, int) else list(end)
