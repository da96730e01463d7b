"""Groups of a run: the rollouts that verl dumped, with their rewards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rest_verl.study.gradients.groups import Group, Response, check_fits
from rest_verl.study.gradients.reading import Policy
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.sources import read_rollouts


@dataclass(frozen=True)
class DumpedGroups:
    """What a dump holds that can be measured."""

    groups: list[list[Rollout]]
    """In the order of the dump."""
    num_left_out: int
    """Groups of one response, of several outputs a conversation, or with a reward unknown."""
    is_text: bool
    """Whether token ids are made of text, which has lost the special tokens."""


def read_groups(path: Path, num_groups: int) -> DumpedGroups:
    """The first `num_groups` groups of a dump of verl's.

    Raises:
        ValueError: no dump, or none of its groups can be measured.
    """
    by_group: defaultdict[str, list[Rollout]] = defaultdict(list)
    for number, rollout in enumerate(read_rollouts(path)):
        by_group[rollout.group or f"row {number}"].append(rollout)
    whole = [group for group in by_group.values() if _is_whole(group)]
    if not whole:
        raise ValueError(
            f"{path}: no group of two or more responses to one prompt, each with its reward; a "
            "gradient of group-relative advantages needs them"
        )
    is_text = any(rollout.token_ids is None for group in whole for rollout in group)
    return DumpedGroups(whole[:num_groups], len(by_group) - len(whole), is_text)


def _is_whole(group: Sequence[Rollout]) -> bool:
    sessions = {rollout.session for rollout in group}
    known = all(
        rollout.score is not None and (rollout.prompt is not None or rollout.prompt_ids is not None)
        for rollout in group
    )
    return len(group) > 1 and len(sessions) == len(group) and known


def measured_groups(policy: Policy, groups: Iterable[Sequence[Rollout]]) -> Iterator[Group]:
    """The groups as they are asked for, labelled, with the model's entropies.

    Raises:
        ValueError: ids that the model does not have, or more than it has places for.
    """
    for group in groups:
        prompt_ids = _ids(group[0].prompt_ids, group[0].prompt, policy.tokenizer).tolist()
        prompt_ids = prompt_ids or [policy.pad_id]  # a model has to read something first
        responses = [_response(policy, prompt_ids, rollout) for rollout in group]
        yield Group(prompt_ids=prompt_ids, responses=responses)


def _response(policy: Policy, prompt_ids: list[int], rollout: Rollout) -> Response:
    token_ids = _ids(rollout.token_ids, rollout.text, policy.tokenizer)
    check_fits(policy.model, rollout.name, [*prompt_ids, *token_ids.tolist()], 0)
    entropy, score_norm = policy.assess(prompt_ids, token_ids)
    assert rollout.score is not None
    return Response(
        token_ids=token_ids,
        region=policy.labeler(rollout.syntax).label(
            token_ids, rollout.response_mask, prompt=prompt_ids
        ),
        entropy=entropy,
        score_norm=score_norm,
        reward=rollout.score,
    )


def _ids(ids: np.ndarray | None, text: str | None, tokenizer: Any) -> np.ndarray:
    """As the view makes them: verl's own where the dump has them."""
    if ids is None:
        # half a surrogate pair has no UTF-8 for a tokenizer to read
        readable = (text or "").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
        ids = tokenizer(readable, add_special_tokens=False)["input_ids"]
    return np.asarray(ids, dtype=np.int64)
