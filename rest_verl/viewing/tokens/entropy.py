"""The entropy of a causal language model at each token of given responses.

Shape letters: B responses of a batch, T response tokens, S prompt + response tokens, K kept
positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from rest_verl.integration.cores import use_free_cores

_HUB_TIMEOUT = 10.0  # seconds
_CHUNK = 256  # positions turned into probabilities at once: float32 (_CHUNK, V)
_BATCH_TOKENS = 4096  # on a GPU, padding included: 150,000 ids have 1.2 GB of logits then


def model_entropies(
    name: str, prompt_ids: Sequence[np.ndarray], token_ids: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """`response_entropies` of all rows under the model of that name, which is loaded for it.

    On a GPU rows of like length go through together. On a CPU each goes alone: there batches of 8
    to 32 took 0.8 to 1.2 times as long (2 M and 135 M parameters, one core).
    """
    use_free_cores()
    model = load_model(name)
    lengths = [len(before) + len(row) for before, row in zip(prompt_ids, token_ids, strict=True)]
    entropies: list[np.ndarray] = [np.empty(0)] * len(lengths)
    budget = _BATCH_TOKENS if model.device.type == "cuda" else 0
    with tqdm(total=len(lengths), desc="entropies", unit="row", disable=None) as bar:
        for rows in batches_by_length(lengths, budget):
            batch = [prompt_ids[row] for row in rows], [token_ids[row] for row in rows]
            for row, entropy_T in zip(rows, response_entropies(model, *batch), strict=True):
                entropies[row] = entropy_T
            bar.update(len(rows))
    return entropies


def batches_by_length(lengths: Sequence[int], max_tokens: int) -> Iterator[list[int]]:
    """Rows of like length, the longest first; each batch a row, or `max_tokens` with padding."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a Hugging Face folder or hub model; ValueError if there is none."""
    from transformers import AutoTokenizer

    with _one_message(model, "tokenizer"):
        return AutoTokenizer.from_pretrained(model, local_files_only=_is_here(model))


def load_model(model: str) -> Any:
    """The causal language model, on a GPU where there is one; ValueError if there is none.

    float32 on a CPU, where half precision is slow; the type it was saved in on a GPU.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # of reading the weights, which is over in a moment
    on_gpu = torch.cuda.is_available()
    with _one_message(model, "model"):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            model, dtype="auto" if on_gpu else torch.float32, local_files_only=_is_here(model)
        )
    return loaded.to("cuda" if on_gpu else "cpu").eval()


def _is_here(model: str) -> bool:
    """Whether it is a folder or in the local cache; where not, the hub is asked for it once.

    transformers would ask again and again, for most of a minute, where there is no network.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache

    if Path(model).is_dir() or isinstance(try_to_load_from_cache(model, "config.json"), str):
        return True
    HfApi().model_info(model, timeout=_HUB_TIMEOUT)
    return False


@contextmanager
def _one_message(model: str, what: str) -> Iterator[None]:
    """Turns whatever a missing or broken model raises in transformers into one ValueError."""
    try:
        yield
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), "")
        where = "in this folder" if Path(model).is_dir() else "of that name, here or on a hub"
        raise ValueError(
            f"--model {model}: no {what} {where} ({type(error).__name__}: {reason[:200]})"
        ) from None


@torch.inference_mode()
def response_entropies(
    model: Any, prompt_ids: Sequence[np.ndarray], token_ids: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Entropies (nats) of the model's predictions of each response's tokens, float32 (T,) each.

    Args:
        model: A causal language model of transformers.
        prompt_ids: What comes before each response, at least one token.
        token_ids: The responses, observations among them, (T,) each.

    Raises:
        ValueError: An id that the model has no embedding for, or more tokens than it has places.
    """
    rows = [np.concatenate(row).astype(np.int64) for row in zip(prompt_ids, token_ids, strict=True)]
    for ids_S in rows:
        _check_fits(model, ids_S)
    # Padding comes last, where a causal model's real tokens never see it: no attention mask.
    ids_BS = np.zeros((len(rows), max(map(len, rows))), dtype=np.int64)
    for padded_S, ids_S in zip(ids_BS, rows, strict=True):
        padded_S[: len(ids_S)] = ids_S
    first = min(map(len, prompt_ids)) - 1  # a token's prediction stands at the one before it
    logits_BKV = model(
        input_ids=torch.from_numpy(ids_BS).to(model.device),
        use_cache=False,
        logits_to_keep=ids_BS.shape[1] - first,
    ).logits
    entropies = []
    for logits_KV, before, response in zip(logits_BKV, prompt_ids, token_ids, strict=True):
        begin = len(before) - 1 - first
        logits_TV = logits_KV[begin : begin + len(response)]
        entropies.append(torch.cat([_entropy(chunk) for chunk in logits_TV.split(_CHUNK)]))
    return [entropy_T.cpu().numpy() for entropy_T in entropies]


def _entropy(logits_TV: Tensor) -> Tensor:
    return torch.special.entr(logits_TV.float().softmax(-1)).sum(-1)


def _check_fits(model: Any, ids_S: np.ndarray) -> None:
    num_embeddings = model.get_input_embeddings().num_embeddings
    if not 0 <= ids_S.min() <= ids_S.max() < num_embeddings:
        wrong = ids_S[(ids_S < 0) | (ids_S >= num_embeddings)][0]
        raise ValueError(
            f"token id {wrong} is outside the model's {num_embeddings} embeddings: "
            "name the model that made these rollouts with --model"
        )
    places = getattr(model.config, "max_position_embeddings", None)
    if places is not None and len(ids_S) > places:
        raise ValueError(
            f"a response and its prompt take {len(ids_S)} tokens, the model has {places} places: "
            "take a preset that needs no entropy (uniform, official) or shorter text"
        )
