"""How the rows of a model are read: its tokenizer, labelers, readers, and what ends a response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.integration.checkpoints import find_model
from rest_verl.integration.message_reader import MessageReader, generation_end_ids
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.study.policy import entropy
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer

# Shape letters: S prompt + response tokens, T response tokens, V vocabulary.

_CHUNK = 256  # positions turned into probabilities at once: float32 (_CHUNK, V)


@dataclass(frozen=True)
class Policy:
    """A model with all that its rows are read by."""

    model: Any
    tokenizer: Any
    syntaxes: RunSyntaxes
    end_ids: Sequence[int]
    """Of the model's generation configuration."""
    temperature: float
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Of prompts that are sampled here."""
    _labelers: dict[str, RegionLabeler] = field(default_factory=dict)
    _readers: dict[str, MessageReader] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        name: str,
        syntax: str,
        temperature: float,
        chat_template_kwargs: Mapping[str, Any] | None = None,
    ) -> Policy:
        """From a folder (a checkpoint of verl's is merged) or a hub name, in float32.

        Raises:
            ValueError: no model or tokenizer there.
        """
        folder = Path(name)
        if folder.is_dir() and not (folder / "config.json").is_file():
            name = str(find_model(folder))
        tokenizer = load_tokenizer(name)
        syntaxes = RunSyntaxes(syntax, tokenizer, model=name, mend="name it with --syntax <name>")
        # float32 on a GPU as well: in bfloat16 the rounding would pass for noise of the gradient
        model, end_ids = load_model(name).float(), generation_end_ids(name)
        return cls(model, tokenizer, syntaxes, end_ids, temperature, chat_template_kwargs or {})

    def labeler(self, asked: str) -> RegionLabeler:
        """Of rows that ask for this syntax, "" for the model's own."""
        syntax = self.syntaxes.named(asked)
        if syntax.name not in self._labelers:
            self._labelers[syntax.name] = RegionLabeler(
                self.tokenizer, syntax, end_ids=self.end_ids
            )
        return self._labelers[syntax.name]

    def reader(self, asked: str) -> MessageReader:
        """The same, to read messages."""
        syntax = self.syntaxes.named(asked)
        if syntax.name not in self._readers:
            self._readers[syntax.name] = MessageReader(self.tokenizer, syntax, end_ids=self.end_ids)
        return self._readers[syntax.name]

    @property
    def pad_id(self) -> int:
        """Fills what no token stands at."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id)
        return next((id_ for id_ in known if id_ is not None), 0)

    @torch.no_grad()
    def assess(self, prompt_ids: Sequence[int], token_ids: np.ndarray) -> tuple[np.ndarray, ...]:
        """Entropy (nats) and 1 - Σ p² of the prediction of each token, float32 (T,) each.

        One response at a time: no padding, so nothing depends on what else is measured.
        """
        if not len(token_ids):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        ids_S = np.concatenate([np.asarray(prompt_ids, dtype=np.int64), token_ids])
        ids_1S = torch.from_numpy(ids_S)[None].to(self.model.device)
        kept = len(token_ids) + 1  # a token's prediction stands at the one before it
        logits_TV = self.model(input_ids=ids_1S, use_cache=False, logits_to_keep=kept).logits[
            0, :-1
        ]
        entropies, score_norms = [], []
        for logits_tV in logits_TV.split(_CHUNK):
            logits_tV = logits_tV.float() / self.temperature
            entropies.append(entropy(logits_tV))
            score_norms.append(1 - logits_tV.softmax(-1).square().sum(-1))
        return torch.cat(entropies).cpu().numpy(), torch.cat(score_norms).cpu().numpy()
