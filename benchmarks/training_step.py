"""A training step of one device, timed by phase: what `overhead.py` measures without a run.

Shape letters: B responses, b responses of a micro-batch, T response tokens (padded), V vocabulary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from labelling import TextMaker
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import ReSTConfig, token_weights

TOKENS_A_CALL = 700  # of a response: three calls in 2,048 tokens
REST_PHASES = ("pad", "label", "weigh", "column")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
THINK_OPEN, THINK_CLOSE, CALL_OPEN, CALL_CLOSE = TAGS
OTHER_PHASES = ("old_log_prob", "update_actor", "optimizer")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Sizes of a Qwen3 model with tied embeddings, and the batch that one device gets."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    rows: int
    micro_rows: int
    prompt_length: int
    response_length: int


SHAPES = {
    "tiny": Shape(  # model and batch of recipes/tiny_cpu
        vocab_size=1_024,
        hidden_size=192,
        intermediate_size=512,
        layers=4,
        heads=4,
        kv_heads=4,
        head_dim=64,
        rows=128,
        micro_rows=32,
        prompt_length=160,
        response_length=80,
    ),
    "qwen3-4b": Shape(
        vocab_size=151_936,
        hidden_size=2_560,
        intermediate_size=9_728,
        layers=4,  # of 36: with AdamW's state those take 64 GB
        heads=32,
        kv_heads=8,
        head_dim=128,
        rows=128,
        micro_rows=2,
        prompt_length=512,
        response_length=2_048,
    ),
}


class Stopwatch:
    """Seconds by phase, the device's queue empty at both ends."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.seconds = dict.fromkeys((*REST_PHASES, *OTHER_PHASES), 0.0)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._synchronize()
        start = time.perf_counter()
        yield
        self._synchronize()
        self.seconds[name] += time.perf_counter() - start

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Responses, sorted by length, as verl's queue holds them, jagged, and what else a step takes.

    prompts: (B, prompt length); responses, masks: B tensors of each row's length; advantages: (B,).
    """

    prompts: Tensor
    responses: list[Tensor]
    masks: list[Tensor]
    advantages: Tensor


def train_tokenizer(maker: TextMaker, vocab_size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE in which, as in Qwen3's, each tag is a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator((maker.response(400, 3) for _ in range(400)), trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in TAGS])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")


def make_batch(maker: TextMaker, tokenizer: PreTrainedTokenizerFast, shape: Shape) -> Batch:
    """Answers of think and tool calls; lengths even from a quarter of the most to the most.

    An answer longer than its row is cut short, as sampling would.
    """
    responses = []
    longest = shape.response_length
    for length in np.linspace(longest / 4, longest, shape.rows).round().astype(int):
        calls = "\n".join(maker.call() for _ in range(max(1, round(length / TOKENS_A_CALL))))
        end = tokenizer(f"{THINK_CLOSE}\n{CALL_OPEN}\n{calls}\n{CALL_CLOSE}")["input_ids"]
        end.append(tokenizer.eos_token_id)
        think = tokenizer(THINK_OPEN + maker.prose(length))["input_ids"]
        ids = (think[: max(2, length - len(end))] + end)[:length]
        responses.append(torch.tensor(ids))
    prompts = torch.randint(len(tokenizer), (shape.rows, shape.prompt_length))
    masks = [torch.ones_like(ids) for ids in responses]
    return Batch(
        prompts=prompts, responses=responses, masks=masks, advantages=torch.randn(shape.rows)
    )


def jagged(rows: list[Tensor]) -> Tensor:
    return torch.nested.as_nested_tensor(rows, layout=torch.jagged)


def column_maker() -> Callable[[Tensor, Tensor], Tensor]:
    """verl's function that makes padded values a jagged column, or its like without verl."""
    try:
        from verl.workers.utils.padding import response_to_nested
    except ImportError:
        return lambda values_BT, nested_mask: jagged(
            [row[: len(mask)] for row, mask in zip(values_BT, nested_mask.unbind(), strict=True)]
        )
    return response_to_nested


class Step:
    """A training step of one device, timed by phase."""

    def __init__(self, shape: Shape, labeler: RegionLabeler, device: torch.device) -> None:
        self.shape, self.labeler, self.device = shape, labeler, device
        self.config = ReSTConfig.preset("paper")
        self.to_column = column_maker()
        with torch.device(device):  # float32, as verl keeps the parameters that it trains
            self.model = Qwen3ForCausalLM(
                Qwen3Config(
                    vocab_size=shape.vocab_size,
                    hidden_size=shape.hidden_size,
                    intermediate_size=shape.intermediate_size,
                    num_hidden_layers=shape.layers,
                    num_attention_heads=shape.heads,
                    num_key_value_heads=shape.kv_heads,
                    head_dim=shape.head_dim,
                    max_position_embeddings=shape.prompt_length + shape.response_length,
                    tie_word_embeddings=True,
                )
            )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)

    def run(self, batch: Batch, progress: float) -> tuple[dict[str, float], dict[str, float]]:
        """Seconds of each phase, and what the step computed."""
        watch = Stopwatch(self.device)
        old: list[Tensor] = []
        entropy: list[Tensor] = []
        with watch.phase("old_log_prob"), torch.no_grad():
            for rows in self._micro_batches():
                log_prob_bT, logits_bTV = self._log_prob(batch, rows)
                old.append(log_prob_bT)
                for row_T, ids in zip(_entropy(logits_bTV), batch.responses[rows], strict=True):
                    entropy.append(row_T[: len(ids)].cpu())
                del logits_bTV

        nested_ids, nested_mask = jagged(batch.responses), jagged(batch.masks)
        nested_entropy = jagged(entropy)
        # From here to the column: what `ReSTMixin._write_weights` does between its queue calls.
        with watch.phase("pad"):
            ids_BT, mask_BT = nested_ids.to_padded_tensor(0), nested_mask.to_padded_tensor(0)
            entropy_BT = nested_entropy.to_padded_tensor(0.0)
        with watch.phase("label"):
            regions_BT = self.labeler.label_batch(ids_BT, mask_BT)
        with watch.phase("weigh"):
            weights_BT, stats = token_weights(
                regions_BT, entropy_BT, progress=progress, config=self.config
            )
        with watch.phase("column"):
            column = self.to_column(weights_BT, nested_mask)
            weights_BT = column.to_padded_tensor(0.0).to(self.device)  # the actor's end of it

        loss_sum = 0.0
        with watch.phase("update_actor"):
            for rows, old_bT in zip(self._micro_batches(), old, strict=True):
                log_prob_bT, _ = self._log_prob(batch, rows)
                length = log_prob_bT.shape[1]
                mask_bT = mask_BT[rows, :length].to(self.device)
                loss, _ = rest_policy_loss(
                    log_prob_bT,
                    old_bT,
                    batch.advantages[rows, None].expand(-1, length).to(self.device),
                    mask_bT,
                    weights=weights_BT[rows, :length],
                )
                loss = loss * (len(mask_bT) / self.shape.rows)
                loss.backward()
                loss_sum += loss.item()
        with watch.phase("optimizer"):
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()

        row_mean_B = weights_BT.sum(1).cpu() / mask_BT.sum(1)
        outcome = {
            "tokens": int(mask_BT.sum()),
            "row_mean_weight_least": float(row_mean_B.min()),
            "row_mean_weight_most": float(row_mean_B.max()),
            "loss": loss_sum,
            "grad_norm": float(norm),
        }
        return watch.seconds, {**outcome, **stats}

    def _micro_batches(self) -> list[slice]:
        size = self.shape.micro_rows
        return [slice(start, start + size) for start in range(0, self.shape.rows, size)]

    def _log_prob(self, batch: Batch, rows: slice) -> tuple[Tensor, Tensor]:
        """Log-probabilities of a micro-batch's responses, (b, T), and their logits, (b, T, V)."""
        # Padding to the right of causal attention changes nothing before it: no mask is needed.
        ids_bT = torch.nn.utils.rnn.pad_sequence(batch.responses[rows], batch_first=True)
        inputs = torch.cat([batch.prompts[rows], ids_bT], 1).to(self.device)
        bfloat16 = torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda")
        with bfloat16:
            output = self.model(inputs, use_cache=False, logits_to_keep=ids_bT.shape[1] + 1)
        logits_bTV = output.logits[:, :-1].float()
        chosen_bT = logits_bTV.gather(-1, ids_bT.to(self.device)[..., None]).squeeze(-1)
        return chosen_bT - logits_bTV.logsumexp(-1), logits_bTV


def _entropy(logits_bTV: Tensor) -> Tensor:
    """Nats, (b, T)."""
    mean_logit_bT = (logits_bTV.softmax(-1) * logits_bTV).sum(-1)
    return logits_bTV.logsumexp(-1) - mean_logit_bT
