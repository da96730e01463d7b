"""Sampling and the policy's pass over what was sampled hold each other."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from rest_verl.study.policy import entropy, response_log_probs
from rest_verl.study.sampling import sample_responses

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 13]]
END, PAD = 1, 0


def small(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    sizes = {
        "vocab_size": 24,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "pad_token_id": PAD,
        "bos_token_id": None,
        "eos_token_id": END,
        "initializer_range": 0.5,  # far from uniform: an error shows
    }
    if kind == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(head_dim=16, **sizes)).eval()
    return LlamaForCausalLM(LlamaConfig(**sizes)).eval()


def sampled(model: torch.nn.Module, seed: int = 0, **changes: object):
    settings = {
        "num_samples": 4,
        "max_tokens": 12,
        "temperature": 0.8,
        "end_ids": [END],
        "pad_id": PAD,
    }
    generator = torch.Generator().manual_seed(seed)
    return sample_responses(model, PROMPTS, generator=generator, **{**settings, **changes})


@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_what_sampling_noted_is_what_a_pass_over_the_whole_says(kind, temperature) -> None:
    model = small(kind)
    responses = sampled(model, temperature=temperature)
    repeated = [prompt for prompt in PROMPTS for _ in range(4)]
    log_prob, entropies = response_log_probs(
        model, repeated, responses.token_ids, temperature=temperature
    )
    mask = responses.mask
    assert log_prob.requires_grad
    assert not entropies.requires_grad
    torch.testing.assert_close(log_prob[mask], responses.log_prob[mask], atol=2e-5, rtol=0)
    torch.testing.assert_close(entropies[mask], responses.entropy[mask], atol=2e-5, rtol=0)


def test_the_same_seed_gives_the_same_responses_and_another_gives_others() -> None:
    model = small("qwen3")
    first, again, other = sampled(model), sampled(model), sampled(model, seed=1)
    assert first.ids() == again.ids() != other.ids()


def test_a_response_ends_with_the_end_of_turn_or_is_full() -> None:
    responses = sampled(small("qwen3"), num_samples=40)
    lengths = {len(ids) for ids in responses.ids()}
    assert len(lengths) > 3, "ended rows leave the batch at several places"
    for ids in responses.ids():
        assert END not in ids[:-1]
        assert ids[-1] == END or len(ids) == 12
    assert (responses.token_ids[~responses.mask] == PAD).all()


def test_greedy_takes_the_likeliest_token_and_notes_temperature_one() -> None:
    model = small("qwen3")
    responses = sampled(model, temperature=0, num_samples=1)
    for prompt, ids in zip(PROMPTS, responses.ids(), strict=True):
        for place, token in enumerate(ids):
            logits = model(input_ids=torch.tensor([prompt + ids[:place]])).logits[0, -1]
            assert token == logits.argmax()
    log_prob, _ = response_log_probs(model, PROMPTS, responses.token_ids)
    torch.testing.assert_close(
        log_prob[responses.mask], responses.log_prob[responses.mask], atol=2e-5, rtol=0
    )


def test_frequencies_are_the_policys() -> None:
    model = small("qwen3")
    first = sampled(model, num_samples=4000, max_tokens=1).token_ids[:4000, 0]
    logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1] / 0.8
    share = torch.bincount(first, minlength=24) / 4000
    assert (share - logits.softmax(-1)).abs().max() < 0.03


@pytest.mark.parametrize(("logits", "nats"), [([0.0, 0.0], 0.6931472), ([50.0, -50.0], 0.0)])
def test_entropy_is_in_nats(logits: list[float], nats: float) -> None:
    assert entropy(torch.tensor(logits)).item() == pytest.approx(nats, abs=1e-6)
