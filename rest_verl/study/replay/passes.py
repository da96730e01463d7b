"""The policy's forward passes over a batch, a few responses at a time, kept as they are done.

They are all that takes time: what was passed is read again, also when only weights change.

Shape letters: B responses, T response tokens.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from rest_verl.files.atomic import write_atomically, write_json
from rest_verl.study.gradients.groups import check_fits
from rest_verl.study.policy import response_log_probs
from rest_verl.study.replay.batch import Batch

_TOKENS = 1 << 13
"""Tokens, padding included, that go through the model at once."""
_KEY_FILE = "passes.json"


def policy_passes(
    batch: Batch,
    load_model: Callable[[], Any],
    *,
    temperature: float,
    model: Any,
    folder: Path,
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy (nats) of each response token, float32 (B, T), 0 at padding.

    Args:
        batch: What to pass.
        load_model: Gives the model; called only if something is left to do.
        temperature: Of sampling.
        model: What tells the model from others, JSON throughout.
        folder: For the passes; those of another batch, model or temperature in it are removed.

    Raises:
        ValueError: ids that the model does not have, or more than it has places for.
    """
    _claim(folder, {"batch": _digest(batch), "model": model, "temperature": temperature})
    log_prob_BT = torch.zeros(batch.token_ids_BT.shape)
    entropy_BT = torch.zeros_like(log_prob_BT)
    parts = list(_parts(batch))
    loaded = None
    with tqdm(total=len(batch.rows), desc="passes", unit="response", disable=None) as bar:
        for number, rows in enumerate(parts):
            path = folder / f"{number:05}.npz"
            if not path.is_file():
                loaded = loaded or load_model()
                _save(path, *_pass(loaded, batch, rows, temperature))
            with np.load(path, allow_pickle=False) as saved:
                width = saved["log_prob"].shape[1]
                log_prob_BT[rows, :width] = torch.from_numpy(saved["log_prob"])
                entropy_BT[rows, :width] = torch.from_numpy(saved["entropy"])
            bar.update(len(rows))
    return log_prob_BT, entropy_BT


def _parts(batch: Batch) -> Iterator[list[int]]:
    """Rows that pass together, those of like length."""
    lengths = [len(prompt) for prompt in batch.prompts]
    sizes = [prompt + int(length) for prompt, length in zip(lengths, batch.length_B, strict=True)]
    order = sorted(range(len(sizes)), key=lambda row: (sizes[row], row))
    part: list[int] = []
    for row in order:
        if part and (len(part) + 1) * sizes[row] > _TOKENS:  # the longest comes last
            yield part
            part = []
        part.append(row)
    yield part


@torch.no_grad()
def _pass(model: Any, batch: Batch, rows: list[int], temperature: float) -> tuple[Tensor, Tensor]:
    width = int(batch.length_B[rows].max())
    ids_BT = batch.token_ids_BT[rows, :width]
    prompts = [batch.prompts[row] for row in rows]
    for row, prompt, ids, length in zip(rows, prompts, ids_BT, batch.length_B[rows], strict=True):
        check_fits(model, batch.rows[row].where, [*prompt, *ids[: int(length)].tolist()], 0)
    ids_BT = ids_BT.to(model.device)
    log_prob_BT, entropy_BT = response_log_probs(model, prompts, ids_BT, temperature=temperature)
    padding_BT = torch.arange(width) >= batch.length_B[rows][:, None]
    return (
        log_prob_BT.cpu().masked_fill(padding_BT, 0.0),
        entropy_BT.cpu().masked_fill(padding_BT, 0.0),
    )


def _save(path: Path, log_prob_BT: Tensor, entropy_BT: Tensor) -> None:
    content = io.BytesIO()
    np.savez(content, log_prob=log_prob_BT.numpy(), entropy=entropy_BT.numpy())
    write_atomically(path, content.getvalue())


def _claim(folder: Path, key: dict[str, Any]) -> None:
    path = folder / _KEY_FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if known != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(path, key)


def _digest(batch: Batch) -> str:
    digest = hashlib.sha256()
    for prompt, ids_T, length in zip(
        batch.prompts, batch.token_ids_BT, batch.length_B.tolist(), strict=True
    ):
        digest.update(json.dumps([prompt, ids_T[:length].tolist()]).encode())
    return digest.hexdigest()
