"""ResT without verl: one training step in plain torch, from the package's public functions.

    sample → reward → advantage → label → weight → update

Each line of `Loop.step` is what a trainer of one's own has to do. Shape letters: P prompts,
G responses per prompt, B = P·G responses, T response tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rest_verl.algorithm.advantage import rest_advantage
from rest_verl.algorithm.loss import rest_policy_loss
from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.algorithm.weighting import EntropyMemory, ReSTConfig, token_weights
from rest_verl.rewards import RewardConfig, RewardResult, tool_call_reward
from rest_verl.study.policy import response_log_probs
from rest_verl.study.sampling import Responses, sample_responses


@dataclass(frozen=True)
class Task:
    """A prompt as token ids, and what its answer is compared with."""

    prompt: list[int]
    ground_truth: str


@dataclass(frozen=True, kw_only=True)
class Settings:
    """A run; the defaults are those of the tiny recipe where it has them."""

    preset: str = "paper"
    """Token weights: a name of `rest_verl.algorithm.presets`."""
    reward: str = "toolrl"
    """`toolrl`, or `toolrl_scheduled`, whose schedule ends with the run."""
    num_steps: int = 40
    responses_per_prompt: int = 8
    mini_batches: int = 1
    """Updates a step, each on its share of the prompts."""
    micro_rows: int = 64
    """Responses that go through the model at once."""
    max_tokens: int = 80
    temperature: float = 1.0
    learning_rate: float = 1e-4
    clip_ratio_low: float = 0.2
    clip_ratio_high: float = 0.28
    max_grad_norm: float = 1.0
    syntax: str = "toolrl"
    seed: int = 0


class Loop:
    """A policy with its optimizer; `step` trains it on the tasks given."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        self.labeler = RegionLabeler(tokenizer, settings.syntax)
        self.rest = ReSTConfig.preset(settings.preset)
        self.memory = EntropyMemory(self.rest.entropy_ema) if self.rest.entropy_ema else None
        self.reward = RewardConfig.from_options(
            {"preset": settings.reward, "horizon": settings.num_steps}
        )
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=0.0
        )
        self.generator = torch.Generator(model.device).manual_seed(settings.seed)

    def step(self, tasks: Sequence[Task], number: int) -> dict[str, float]:
        """Samples, judges, weights and updates once; `number` counts from 1 to `num_steps`.

        Returns:
            What to log, under verl's and rest_verl's names where they have one.
        """
        group = self.settings.responses_per_prompt
        rollouts = self.sample(tasks, group, self.settings.temperature)
        results = self.judge(tasks, rollouts, group, number)
        rewards_B = torch.tensor([result.score for result in results])
        mask_BT = rollouts.mask
        group_B = torch.arange(len(results)) // group
        advantages_BT, _ = rest_advantage(rewards_B.to(mask_BT.device), mask_BT, group_B)

        regions_BT = self.labeler.label_batch(rollouts.token_ids.cpu(), mask_BT.cpu())
        weights_BT, stats = token_weights(
            torch.as_tensor(regions_BT, device=mask_BT.device),
            rollouts.entropy,
            progress=number / self.settings.num_steps,
            step=number,
            config=self.rest,
            memory=self.memory,
        )
        metrics: dict[str, float] = {}
        share = len(tasks) // self.settings.mini_batches * group
        for start in range(0, len(results), share):
            rows = slice(start, start + share)
            prompts = [task.prompt for task in tasks for _ in range(group)][rows]
            metrics = self.update(
                prompts,
                rollouts.token_ids[rows],
                rollouts.log_prob[rows],
                advantages_BT[rows],
                mask_BT[rows],
                weights_BT[rows],
            )
        is_control_BT = torch.as_tensor((regions_BT == Region.FORMAT) | (regions_BT == Region.NAME))
        return {
            **stats,
            **metrics,
            "control_log_prob": rollouts.log_prob.cpu()[is_control_BT].mean().item(),
            "control_entropy": rollouts.entropy.cpu()[is_control_BT].mean().item(),
            "response_length": mask_BT.sum(-1).float().mean().item(),
            "reward/total/mean": rewards_B.mean().item(),
            **_means(self.judge(tasks, rollouts, group, None)),
        }

    def sample(self, tasks: Sequence[Task], group: int, temperature: float) -> Responses:
        """`group` responses to each task, with what ResT needs of the old policy."""
        return sample_responses(
            self.model,
            [task.prompt for task in tasks],
            num_samples=group,
            max_tokens=self.settings.max_tokens,
            temperature=temperature,
            end_ids=self.labeler.vocabulary.end_ids,
            pad_id=self.tokenizer.pad_token_id,
            generator=self.generator,
        )

    def judge(
        self, tasks: Sequence[Task], rollouts: Responses, group: int, step: int | None
    ) -> list[RewardResult]:
        """Each response's reward at this step of the schedule; None: on the fixed scale."""
        texts = map(self.labeler.vocabulary.response_text, rollouts.ids())
        truths = [task.ground_truth for task in tasks for _ in range(group)]
        return [
            tool_call_reward(text, truth, step, self.reward, syntax=self.labeler.syntax)
            for text, truth in zip(texts, truths, strict=True)
        ]

    def update(
        self,
        prompts: Sequence[Sequence[int]],
        token_ids_BT: Tensor,
        old_log_prob_BT: Tensor,
        advantages_BT: Tensor,
        mask_BT: Tensor,
        weights_BT: Tensor,
    ) -> dict[str, float]:
        """One optimizer step on these responses."""
        self.optimizer.zero_grad()
        metrics = self.accumulate(
            prompts, token_ids_BT, old_log_prob_BT, advantages_BT, mask_BT, weights_BT
        )
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        return {**metrics, "actor/grad_norm": norm.item()}

    def accumulate(
        self,
        prompts: Sequence[Sequence[int]],
        token_ids_BT: Tensor,
        old_log_prob_BT: Tensor,
        advantages_BT: Tensor,
        mask_BT: Tensor,
        weights_BT: Tensor,
    ) -> dict[str, float]:
        """Adds the gradient of the mean over these responses, a few at a time."""
        size = self.settings.micro_rows
        num_responses = mask_BT.any(-1).sum()  # what the loss is a mean over
        # Where each token that trains ends, else 0: a mask may have holes.
        end_BT = mask_BT * torch.arange(1, mask_BT.shape[1] + 1, device=mask_BT.device)
        for start in range(0, len(prompts), size):
            rows = slice(start, start + size)
            part = (rows, slice(int(end_BT[rows].max())))  # no padding beyond the longest of these
            log_prob_BT, _ = response_log_probs(
                self.model,
                prompts[rows],
                token_ids_BT[part],
                temperature=self.settings.temperature,
            )
            loss, metrics = rest_policy_loss(
                log_prob_BT,
                old_log_prob_BT[part],
                advantages_BT[part],
                mask_BT[part],
                weights=weights_BT[part],
                clip_ratio_low=self.settings.clip_ratio_low,
                clip_ratio_high=self.settings.clip_ratio_high,
            )
            (loss * (mask_BT[rows].any(-1).sum() / num_responses)).backward()
        return metrics


def _means(results: Sequence[RewardResult]) -> dict[str, float]:
    parts = ("score", "format_ok", "name_match", "exact_match")
    return {
        f"reward/{part}/mean": sum(getattr(result, part) for result in results) / len(results)
        for part in parts
    }
