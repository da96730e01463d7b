"""Groups sampled here: prompts of verl's rows, responses of the model, rewards by rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rest_verl.integration.run_syntax import asked_syntax
from rest_verl.prompts.template import prompt_ids
from rest_verl.rewards import tool_call_reward
from rest_verl.rewards.ground_truth import parse_ground_truth
from rest_verl.study.gradients.groups import Group, Response, check_fits
from rest_verl.study.gradients.reading import Policy
from rest_verl.study.sampling import sample_responses

_ROWS_AT_ONCE = 64
"""Responses sampled side by side: their keys and values have to fit into memory."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A row, as far as it is needed."""

    name: str
    ids: list[int]
    ground_truth: str
    syntax: str
    """That it asks for; "": the model's own."""
    extra_info: Mapping[str, Any]


def read_prompts(
    path: Path, policy: Policy, *, num_prompts: int, max_tokens: int, seed: int
) -> tuple[list[Prompt], int]:
    """Random rows of a parquet file of verl's, in random order, and how many the file has.

    Args:
        path: The file.
        policy: The model that is to answer.
        num_prompts: At most as many.
        max_tokens: The longest response, which has to find room behind each prompt.
        seed: Of the choice.

    Raises:
        ValueError: no such file, or rows that cannot be answered or scored; the message names the
            row.
    """
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        table = pq.read_table(path)
    except (FileNotFoundError, IsADirectoryError):
        raise ValueError(f"{path}: no such file; --prompts takes a parquet file of rows") from None
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: no parquet file that can be read ({error})") from None
    if missing := {"prompt", "reward_model"} - set(table.column_names):
        raise ValueError(f"{path}: has no column {min(missing)}; docs/data.md says what rows hold")
    order = np.random.default_rng(seed).permutation(len(table))[:num_prompts]
    rows = table.take(order).to_pylist()
    prompts = [
        _prompt(row, f"{path}, row {number}", policy)
        for number, row in zip(order.tolist(), rows, strict=True)
    ]
    for prompt in prompts:
        check_fits(policy.model, prompt.name, prompt.ids, max_tokens)
    return prompts, len(table)


def _prompt(row: dict[str, Any], place: str, policy: Policy) -> Prompt:
    info = row.get("extra_info") or {}
    truth: Any = (row["reward_model"] or {}).get("ground_truth")
    name = f"{place} ({info['id']})" if info.get("id") else place
    try:
        parse_ground_truth(truth)
        ids = prompt_ids(
            policy.tokenizer, row["prompt"], info.get("tools"), policy.chat_template_kwargs
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    return Prompt(
        name=name, ids=ids, ground_truth=truth, syntax=asked_syntax(info, truth), extra_info=info
    )


def sample_groups(
    policy: Policy, prompts: Iterable[Prompt], *, num_samples: int, max_tokens: int, seed: int
) -> Iterator[Group]:
    """A group for each prompt, sampled as they are asked for.

    Raises:
        ValueError: a prompt's syntax is not known.
    """
    generator = torch.Generator(policy.model.device).manual_seed(seed)
    at_once = max(1, _ROWS_AT_ONCE // num_samples)
    for asked, alike in groupby(prompts, key=lambda prompt: prompt.syntax):
        while chunk := list(islice(alike, at_once)):
            yield from _sample(policy, asked, chunk, num_samples, max_tokens, generator)


def _sample(
    policy: Policy,
    asked: str,
    prompts: Sequence[Prompt],
    num_samples: int,
    max_tokens: int,
    generator: torch.Generator,
) -> Iterator[Group]:
    reader, labeler = policy.reader(asked), policy.labeler(asked)
    eos = policy.tokenizer.eos_token_id
    sampled = sample_responses(
        policy.model,
        [prompt.ids for prompt in prompts],
        num_samples=num_samples,
        max_tokens=max_tokens,
        temperature=policy.temperature,
        end_ids={*policy.end_ids, *reader.stop_ids, *([] if eos is None else [eos])},
        pad_id=policy.pad_id,
        generator=generator,
    )
    ids = sampled.ids()
    for number, prompt in enumerate(prompts):
        tools = reader.syntax.types_of(prompt.extra_info)
        is_open = reader.think_is_open(prompt.ids)
        responses = []
        for row in range(number * num_samples, (number + 1) * num_samples):
            result = tool_call_reward(
                reader.text(ids[row]),
                prompt.ground_truth,
                syntax=reader.syntax,
                think_is_open=is_open,
                tools=tools,
            )
            token_ids = np.array(ids[row], dtype=np.int64)
            entropy, score_norm = policy.assess(prompt.ids, token_ids)
            responses.append(
                Response(
                    token_ids=token_ids,
                    region=labeler.label(token_ids, prompt=prompt.ids),
                    entropy=entropy,
                    score_norm=score_norm,
                    reward=result.score,
                )
            )
        yield Group(prompt_ids=prompt.ids, responses=responses)
