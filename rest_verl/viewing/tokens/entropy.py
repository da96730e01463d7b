"""The entropy of a causal language model at each token of a response.

Shape letters: T response tokens, S prompt + response tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
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


class EntropyModel:
    """`response_entropy` of a model that is loaded when the first response asks for it."""

    def __init__(self, name: str, num_rows: int) -> None:
        self._name, self._num_rows = name, num_rows
        self._model: Any = None
        self._bar: Any = None

    def __call__(self, prompt_ids: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
        if self._model is None:
            use_free_cores()
            self._model = load_model(self._name)
            self._bar = tqdm(total=self._num_rows, desc="entropies", unit="row", disable=None)
        entropy_T = response_entropy(self._model, prompt_ids, token_ids)
        self._bar.update()
        return entropy_T


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
def response_entropy(model: Any, prompt_ids: np.ndarray, token_ids: np.ndarray) -> np.ndarray:
    """Entropy (nats) of the model's prediction of each response token, float32 (T,).

    One row at a time: no padding, so nothing depends on what else is looked at.

    Args:
        model: A causal language model of transformers.
        prompt_ids: What comes before, at least one token.
        token_ids: The response, observations among it, (T,).

    Raises:
        ValueError: An id that the model has no embedding for, or more tokens than it has places.
    """
    ids_S = np.concatenate([prompt_ids, token_ids]).astype(np.int64)
    _check_fits(model, ids_S)
    input_ids = torch.from_numpy(ids_S)[None].to(model.device)
    num_tokens = len(token_ids)
    logits = model(input_ids=input_ids, use_cache=False, logits_to_keep=num_tokens + 1).logits[0]
    # the prediction of a token stands at the one before it
    logits_TV = logits[-num_tokens - 1 : -1]
    return torch.cat([_entropy(chunk) for chunk in logits_TV.split(_CHUNK)]).cpu().numpy()


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
