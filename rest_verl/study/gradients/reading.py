"""How the rows of a model are read: its tokenizer, labelers, readers, and what ends a response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.integration.checkpoints import find_model
from rest_verl.integration.message_reader import MessageReader, generation_end_ids
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.study.policy import response_log_probs
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer


@dataclass(frozen=True)
class Policy:
    """A model with all that its rows are read by."""

    model: Any
    tokenizer: Any
    syntaxes: RunSyntaxes
    end_ids: Sequence[int]
    """Of the model's generation configuration."""
    temperature: float
    _labelers: dict[str, RegionLabeler] = field(default_factory=dict)
    _readers: dict[str, MessageReader] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str, syntax: str, temperature: float) -> Policy:
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
        return cls(
            load_model(name).float(), tokenizer, syntaxes, generation_end_ids(name), temperature
        )

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
    def assess(
        self, prompt_ids: Sequence[int], token_ids: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities and entropies (nats) of a response under the model, float32 (T,)."""
        if not len(token_ids):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        ids_1T = torch.from_numpy(token_ids)[None].to(self.model.device)
        log_prob_1T, entropy_1T = response_log_probs(
            self.model, [prompt_ids], ids_1T, temperature=self.temperature
        )
        return log_prob_1T[0].cpu().numpy(), entropy_1T[0].cpu().numpy()
