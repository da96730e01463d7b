"""verl's continuous-token builders, as conversations and the examination of templates use them."""

import inspect

import pytest

pytest.importorskip("verl", reason="verl is not installed")

from templates import MODELS, get_model
from verl.utils.tokenizer import continuous_token_wiring as wiring

BUILDERS = sorted(
    set(wiring._CONTINUOUS_TOKEN_BUILDER_REGISTRY.values()), key=lambda cls: cls.__name__
)
ASKED = [{"role": "user", "content": "count"}]
ANSWERED = [*ASKED, {"role": "assistant", "content": "tea"}]
OBSERVED = [*ANSWERED, {"role": "tool", "name": "count", "content": "3"}]


@pytest.mark.parametrize("cls", BUILDERS, ids=lambda cls: cls.__name__)
def test_every_builder_takes_our_calls(cls):
    def fits(method, *args, **kwargs):
        inspect.signature(getattr(cls, method)).bind(None, *args, **kwargs)

    fits("build_initial_tokens", ASKED, tools=None)
    fits("merge_context_tokens", ANSWERED, OBSERVED, [1], tools=None)
    fits("merge_assistant_tokens", [1], [2])
    fits("align_response_metadata", None, [1], None, assistant_logprobs=None)


def test_the_factory_takes_what_evaluation_and_verl_give():
    inspect.signature(wiring.create_continuous_token_builder).bind(
        None, hf_model_type="qwen3", chat_template_kwargs={}
    )


@pytest.fixture(params=MODELS)
def builder(request):
    model = get_model(request.param)
    return wiring.create_continuous_token_builder(
        model.tokenizer, hf_model_type=model.model_type, chat_template_kwargs={}
    )


def test_the_builder_shows_what_it_renders_with(builder):
    assert builder.chat_template_kwargs == {}
    assert builder.tokenizer.chat_template


def test_given_ids_stay_and_are_masked(builder):
    """Merging only appends; the mask and the log-probabilities grow with it."""
    prompt = builder.build_initial_tokens(ASKED, tools=None)
    assert isinstance(prompt, list)
    sampled = builder.merge_assistant_tokens(prompt, [1, 2, 3])
    assert sampled.token_ids == [*prompt, 1, 2, 3]
    mask, log_probs = builder.align_response_metadata(
        sampled, [], [], assistant_logprobs=[-1.0, -2.0, -3.0]
    )
    assert (mask, log_probs) == ([1, 1, 1], [-1.0, -2.0, -3.0])

    merged = builder.merge_context_tokens(ANSWERED, OBSERVED, sampled.token_ids, tools=None)
    added = len(merged.token_ids) - len(sampled.token_ids)
    assert added > 0
    assert merged.token_ids[: len(sampled.token_ids)] == sampled.token_ids
    mask, log_probs = builder.align_response_metadata(merged, mask, log_probs)
    assert mask == [1, 1, 1] + [0] * added
    assert log_probs == [-1.0, -2.0, -3.0] + [0.0] * added
    # Without log-probabilities there are none later either.
    assert builder.align_response_metadata(merged, [1, 1, 1], None)[1] is None


def test_only_appending_is_allowed(builder):
    with pytest.raises(ValueError, match="append"):
        builder.merge_context_tokens(ANSWERED, ASKED, [1], tools=None)
