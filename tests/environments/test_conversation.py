"""Ids, mask and log-probabilities of a conversation, and what is found out of a template."""

import pytest

pytest.importorskip("verl", reason="its continuous-token builders")
from templates import (
    ALTERNATES,
    DROPS_TOOLS,
    HERMES,
    MODELS,
    PLAIN_ROLES,
    Model,
    chatml,
    get_model,
    make_tokenizer,
)
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from rest_verl.environments.conversation import Conversation
from rest_verl.environments.template import examine_template

PROMPT = [{"role": "user", "content": "u"}]


def builder_of(model: Model):
    return create_continuous_token_builder(model.tokenizer, hf_model_type=model.model_type)


def begin(model: Model, response_length: int = 1000) -> Conversation:
    builder = builder_of(model)
    return Conversation(
        builder, examine_template(builder), PROMPT, tools=None, response_length=response_length
    )


@pytest.mark.parametrize(
    ("model", "role", "joins", "separator"),
    [
        (get_model("qwen3"), "tool", False, ""),  # verl's builder for Qwen adds the newline
        (get_model("hermes"), "tool", False, "\n"),
        (chatml(HERMES, "qwen2"), "tool", False, ""),
        (get_model("llama3"), "tool", True, ""),
        (chatml(PLAIN_ROLES, "llama"), "user", True, "\n"),  # refuses the role tool
        (chatml(DROPS_TOOLS, "llama"), "user", True, "\n"),  # leaves such messages out
    ],
)
def test_what_is_found_out(model: Model, role: str, joins: bool, separator: str) -> None:
    template = examine_template(builder_of(model))
    assert (template.observation_role, template.joins_observations) == (role, joins)
    assert template.end_id == model.tokenizer.eos_token_id
    assert model.tokenizer.decode(template.separator_ids) == separator


def test_message_end_of_several_tokens_is_no_token() -> None:
    spelled = PLAIN_ROLES.replace("<|im_end|>", "[end]")
    model = chatml(spelled, "llama")
    template = examine_template(builder_of(model))
    assert (template.end_id, template.separator_ids) == (None, [])


def test_template_that_cannot_go_on() -> None:
    tokenizer = make_tokenizer(ALTERNATES, end="<|end|>", special=("<|end|>",))
    with pytest.raises(
        ValueError, match=r"append neither a tool nor a user message .*custom_chat_template"
    ):
        examine_template(create_continuous_token_builder(tokenizer, hf_model_type="llama"))


def test_each_template_is_examined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = make_tokenizer(HERMES, end="<|im_end|>", special=("<|im_start|>", "<|im_end|>"))
    rendered = []
    render = type(tokenizer).apply_chat_template

    def count(self, *args, **kwargs):
        rendered.append(1)
        return render(self, *args, **kwargs)

    monkeypatch.setattr(type(tokenizer), "apply_chat_template", count)
    first = examine_template(create_continuous_token_builder(tokenizer, hf_model_type="llama"))
    times = len(rendered)
    assert (
        examine_template(create_continuous_token_builder(tokenizer, hf_model_type="llama")) is first
    )
    assert len(rendered) == times > 0
    tokenizer.chat_template = PLAIN_ROLES
    other = examine_template(create_continuous_token_builder(tokenizer, hf_model_type="llama"))
    assert other.observation_role == "user"


ANSWERS = [{"content": "1", "name": "f", "tool_call_id": "x"}, {"content": "2", "name": "g"}]


@pytest.mark.parametrize(
    ("model", "messages"),
    [
        (get_model("qwen3"), [{"role": "tool", **ANSWERS[0]}, {"role": "tool", **ANSWERS[1]}]),
        (
            get_model("llama3"),
            [{"role": "tool", "content": "1\n2", "name": "f", "tool_call_id": "x"}],
        ),
        (chatml(PLAIN_ROLES, "llama"), [{"role": "user", "content": "1\n2"}]),
    ],
)
def test_observations_as_messages(model: Model, messages: list[dict]) -> None:
    assert examine_template(builder_of(model)).observations(ANSWERS) == messages


@pytest.mark.parametrize("name", MODELS)
def test_ids_mask_and_log_probs(name: str) -> None:
    model = get_model(name)
    conversation = begin(model)
    end = model.tokenizer.eos_token_id
    a, b = model.tokenizer.encode("ab")
    conversation.add_sampled([a, b, end], [-0.1, -0.2, -0.3], "ab")
    assert conversation.add_context([{"role": "tool", "content": "1", "name": "f"}])
    given = len(conversation.response_mask) - 3
    conversation.add_sampled([b, end], [-0.4, -0.5], "b")
    assert conversation.response_mask == [1, 1, 1, *[0] * given, 1, 1]
    assert conversation.log_probs == [-0.1, -0.2, -0.3, *[0.0] * given, -0.4, -0.5]
    assert conversation.response_ids[:3] == [a, b, end]
    assert conversation.response_ids[-2:] == [b, end]
    assert conversation.room == 1000 - 5 - given
    assert [message["role"] for message in conversation.messages] == [
        "user",
        "assistant",
        "tool",
        "assistant",
    ]


@pytest.mark.parametrize("name", MODELS)
def test_context_fits_exactly_or_is_left_out(name: str) -> None:
    model = get_model(name)
    end = model.tokenizer.eos_token_id
    message = [{"role": "tool", "content": "öö" * 9, "name": "f"}]
    whole = begin(model)
    whole.add_sampled([end], None, "")
    assert whole.add_context(message)
    used = len(whole.response_mask)
    for response_length, fits in ((used + 1, True), (used, False)):
        conversation = begin(model, response_length)
        conversation.add_sampled([end], None, "")
        before = (list(conversation.token_ids), [1], list(conversation.messages))
        assert conversation.add_context(message) is fits
        if fits:
            assert conversation.room == 1
        else:
            assert (
                conversation.token_ids,
                conversation.response_mask,
                conversation.messages,
            ) == before


def test_separator_only_after_the_end_token() -> None:
    """An answer that the server stopped at another token gets none."""
    model = get_model("hermes")
    conversation = begin(model)
    conversation.add_sampled(model.tokenizer.encode("a"), None, "a")
    conversation.add_context([{"role": "user", "content": "v"}])
    text = model.tokenizer.decode(conversation.response_ids)
    assert text == "a<|im_start|>user\nv<|im_end|>\n<|im_start|>assistant\n"
