"""What a token view shows: each token's text, region, entropy, advantage and weights over progress.

The page and the terminal only draw this. Weights are `token_weights`' own, at a few stops of
progress: of each row and region where they depend on nothing else, of each token otherwise.

Shape letters: B responses, T tokens of the longest, N tokens of all laid flat, K stops, R regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.algorithm.weighting import ReSTConfig, token_weights
from rest_verl.integration.run_syntax import known_syntax
from rest_verl.rewards.in_words import reward_in_words
from rest_verl.syntax import Syntax, Terms
from rest_verl.viewing.tokens.columns import EntropyOf, advantages_of, entropies_of
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.text import Message, messages, prompt_text, read_terms, shown_tokens

NUM_STOPS = 21
"""Stops of the slider, evenly over progress 0 to 1; the asked-for progress is one more."""


@dataclass(frozen=True, kw_only=True)
class TokenView:
    """Responses laid flat, and what they weigh. Tokens of response b: `offset[b]:offset[b + 1]`."""

    rollouts: tuple[Rollout, ...]
    config: ReSTConfig
    prompts: tuple[str, ...]
    """Each response's prompt as it can be shown."""
    offset: np.ndarray
    """(B + 1,)."""
    token_ids: np.ndarray
    """(N,)."""
    regions: np.ndarray
    """`Region`, -1 where the policy did not sample the token, int8 (N,)."""
    entropy: np.ndarray | None
    """Nats, float32 (N,); None: neither needed nor known."""
    entropy_source: str
    """`dump`, `model` or `none`."""
    advantage: np.ndarray | None
    """float32 (N,), NaN where unknown; None: nowhere known."""
    advantage_source: str
    """`dump`, `scores` or `none`."""
    terms: tuple[Terms, ...]
    """How each response is written."""
    reasons: tuple[tuple[str, ...], ...]
    """Why each response earned its score, in sentences; none for conversations."""
    stops: np.ndarray
    """Progress at each stop, ascending, (K,)."""
    start: int
    """The stop that was asked for."""
    as_trained: bool
    """Whether training weighted these responses so, at this stop."""
    total_steps: int
    """What progress 1 is in steps, for a configuration that counts them."""
    region_weights: np.ndarray
    """float32 (K, B, R), NaN for a region that the response lacks or with scope `token`."""
    token_scope_weights: np.ndarray | None
    """float32 (N,) with scope `token`, whose weights do not change with progress; else None."""
    vocabulary: Vocabulary

    def weights(self, stop: int, response: int) -> np.ndarray:
        """Weights of one response's tokens at one stop, float32 (T,); 0 where masked."""
        here = slice(*self.offset[response : response + 2])
        if self.token_scope_weights is not None:
            return self.token_scope_weights[here]
        padded = np.append(self.region_weights[stop, response], np.float32(0))  # -1: the last
        return padded[self.regions[here]]

    def token_texts(self, response: int) -> list[str]:
        """What each token of a response reads as, nothing in it invisible.

        The first token of a character that several share has it whole, the others are empty.
        """
        ids = self.token_ids[slice(*self.offset[response : response + 2])]
        return shown_tokens(self.vocabulary, ids.tolist())


def build_view(
    rollouts: Sequence[Rollout],
    tokenizer: Any,
    config: ReSTConfig,
    *,
    entropy_of: EntropyOf | None,
    progress: float = 0.0,
    as_trained: bool = False,
    total_steps: int = 1,
    syntax: Syntax | str = "toolrl",
    end_ids: Iterable[int] = (),
) -> TokenView:
    """Labels and weighs `rollouts` as training would weigh them as one batch.

    Args:
        rollouts: What to show.
        tokenizer: Of the model that sampled them; makes the ids of those that are text.
        config: The weights' configuration.
        entropy_of: The model, asked where `config` needs entropies and a rollout has none.
        progress: One of the stops.
        as_trained: Whether training weighted `rollouts` by `config` at `progress`.
        total_steps: What progress 1 is in steps, for a `config` that counts them.
        syntax: The model's own, for rollouts whose prompt asks for none.
        end_ids: As for `RegionLabeler`.

    Raises:
        ValueError: `progress` out of range, a rollout without tokens, or broken entropies.
    """
    if not 0 <= progress <= 1:
        raise ValueError(f"progress must lie in [0, 1] (step / total steps), got {progress}")
    ends = list(end_ids)
    asked = [rollout.syntax for rollout in rollouts]
    by_name = {
        name: RegionLabeler(tokenizer, known_syntax(name) if name else syntax, end_ids=ends)
        for name in set(asked)
    }
    labelers = [by_name[name] for name in asked]
    vocabulary = labelers[0].vocabulary
    ids = [_token_ids(rollout, tokenizer) for rollout in rollouts]
    if not any(map(len, ids)):
        raise ValueError("no rollout has a token, so there is nothing to show")
    prompt_ids = [_prompt_ids(rollout, tokenizer) for rollout in rollouts]
    offset = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    masks = [
        np.ones(len(row), bool) if rollout.response_mask is None else rollout.response_mask != 0
        for rollout, row in zip(rollouts, ids, strict=True)
    ]
    regions = [
        labeler.label(row, mask, prompt=before if _knows_prompt(rollout) else None)
        for labeler, rollout, row, mask, before in zip(
            labelers, rollouts, ids, masks, prompt_ids, strict=True
        )
    ]
    regions_BT = _padded(regions, np.int8(-1))
    valid_BT = _padded([np.ones(len(row), bool) for row in ids], False)

    if config.shuffle:
        raise ValueError(
            "the weights of shuffled belong to no region, and change places with the batch's "
            "entropies: look at paper, whose weights they are"
        )
    entropies, entropy_source = entropies_of(rollouts, ids, prompt_ids, config, entropy_of)
    advantages, advantage_source = advantages_of(rollouts, ids)
    stops = np.unique(np.append(np.arange(NUM_STOPS) / (NUM_STOPS - 1), progress))
    weights = [
        token_weights(
            regions_BT,
            None if entropies is None else _padded(entropies, np.float32(0)),
            progress=float(stop),
            step=round(float(stop) * total_steps),
            config=config,
        )[0].numpy()
        for stop in (stops if config.has_curriculum else stops[:1])
    ]
    region_weights = np.stack([_by_region(weights_BT, regions_BT) for weights_BT in weights])
    by_token = config.scope == "token"
    if by_token:
        region_weights = np.full_like(region_weights, np.nan)
    written = [
        messages(labeler, row, mask, before if _knows_prompt(rollout) else None)
        for labeler, rollout, row, mask, before in zip(
            labelers, rollouts, ids, masks, prompt_ids, strict=True
        )
    ]
    sampled = [row[mask] for row, mask in zip(ids, masks, strict=True)]
    return TokenView(
        rollouts=tuple(rollouts),
        config=config,
        prompts=tuple(prompt_text(vocabulary, rollout) for rollout in rollouts),
        offset=offset,
        token_ids=np.concatenate(ids),
        regions=regions_BT[valid_BT],
        entropy=None if entropies is None else np.concatenate(entropies),
        entropy_source=entropy_source,
        advantage=None if advantages is None else np.concatenate(advantages),
        advantage_source=advantage_source,
        terms=tuple(map(read_terms, labelers, rollouts, written, sampled)),
        reasons=tuple(
            _reasons(rollout, said, labeler.syntax)
            for labeler, rollout, said in zip(labelers, rollouts, written, strict=True)
        ),
        stops=stops,
        start=int(np.flatnonzero(stops == progress)[0]),
        as_trained=as_trained,
        total_steps=total_steps,
        region_weights=np.broadcast_to(region_weights, (len(stops), *region_weights.shape[1:])),
        token_scope_weights=weights[0][valid_BT] if by_token else None,
        vocabulary=vocabulary,
    )


def _reasons(rollout: Rollout, said: Sequence[Message], syntax: Syntax) -> tuple[str, ...]:
    if len(said) != 1:
        return ()
    return reward_in_words(
        said[0].text,
        rollout.ground_truth,
        rollout.score,
        syntax=syntax,
        think_is_open=said[0].think_is_open,
    )


def _knows_prompt(rollout: Rollout) -> bool:
    return rollout.prompt is not None or rollout.prompt_ids is not None


def _token_ids(rollout: Rollout, tokenizer: Any) -> np.ndarray:
    if rollout.token_ids is not None:
        return rollout.token_ids.astype(np.int64)
    return _tokenized(rollout.text or "", tokenizer)


def _prompt_ids(rollout: Rollout, tokenizer: Any) -> np.ndarray:
    """What the model reads first: the prompt, or a token that begins a text."""
    ids = rollout.prompt_ids
    if ids is None:
        ids = _tokenized(rollout.prompt or "", tokenizer)
    if len(ids):
        return ids.astype(np.int64)
    starts = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return np.array([next((id_ for id_ in starts if id_ is not None), 0)])


def _tokenized(text: str, tokenizer: Any) -> np.ndarray:
    if not text:
        return np.zeros(0, dtype=np.int64)
    # half a surrogate pair has no UTF-8 for a tokenizer to read
    text = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int64)


def _padded(rows: Sequence[np.ndarray], fill: Any) -> np.ndarray:
    """Rows of different lengths as (B, T)."""
    padded = np.full((len(rows), max(map(len, rows))), fill, dtype=rows[0].dtype)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
    return padded


def _by_region(weights_BT: np.ndarray, regions_BT: np.ndarray) -> np.ndarray:
    """The weight of each row and region, NaN where there is no such token, float32 (B, R)."""
    table_BR = np.full((len(weights_BT), len(Region)), np.nan, dtype=np.float32)
    for region in Region:
        is_region_BT = regions_BT == region
        first_B = is_region_BT.argmax(1)
        present = is_region_BT.any(1).nonzero()[0]
        table_BR[present, region] = weights_BT[present, first_B[present]]
    return table_BR
