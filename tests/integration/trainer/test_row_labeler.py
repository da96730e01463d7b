"""Each row's tokens are labelled by the row's own syntax, and by what its prompt ended with."""

import numpy as np
import pytest
import torch
from tensordict import NonTensorData, NonTensorStack, TensorDict
from toy_tokenizers import one_byte_per_token
from trainer_in_memory import jagged

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.integration.labelling import RowLabeler
from rest_verl.integration.run_syntax import RunSyntaxes
from rest_verl.syntax import ToolCall, get_syntax

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
CALL = ToolCall("f", {"x": 1})
TOOLRL, CODER = (get_syntax(name).write([CALL]) for name in ("toolrl", "qwen3_coder"))
THOUGHT = f"so</think>{TOOLRL}"
TRUTH = '<think> a </think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'


def labeler(setting="qwen3_coder", asked=None) -> RowLabeler:
    tokenizer = one_byte_per_token()
    return RowLabeler(tokenizer, RunSyntaxes(setting, tokenizer), asked=asked)


def ids(text: str) -> torch.Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.long)


def sampled(rows, columns=("prompts", "extra_info", "reward_model")) -> TensorDict:
    """Rows of (text, prompt, extra_info, ground truth), as verl's queue has them."""
    texts, prompts, infos, truths = zip(*rows, strict=True)
    found = {
        "responses": jagged([ids(text) for text in texts]),
        "response_mask": jagged([torch.ones_like(ids(text)) for text in texts]),
        "prompts": jagged([ids(prompt) for prompt in prompts]),
        "extra_info": NonTensorStack(*map(NonTensorData, infos)),
        "reward_model": NonTensorStack(*(NonTensorData({"ground_truth": t}) for t in truths)),
    }
    kept = ("responses", "response_mask", *columns)
    return TensorDict({name: found[name] for name in kept}, batch_size=len(rows))


def row(text, prompt="ask", truth="", **extra_info):
    return text, prompt, extra_info, truth


def alone(text, syntax, prompt="ask") -> list[int]:
    """The same labels, of one row by itself."""
    one = RegionLabeler(one_byte_per_token(), syntax)
    return one.label(list(text.encode()), prompt=list(prompt.encode())).tolist()


def unpadded(regions, rows) -> list[list[int]]:
    for labels, (text, *_) in zip(regions.tolist(), rows, strict=True):
        assert set(labels[len(text.encode()) :]) <= {-1}
    return [
        labels[: len(text.encode())]
        for labels, (text, *_) in zip(regions.tolist(), rows, strict=True)
    ]


def test_rows_of_two_syntaxes_in_one_batch():
    rows = [
        row(TOOLRL, syntax="toolrl"),
        row(CODER),
        row(CODER, syntax="toolrl"),  # not what its prompt asks for
        row(TOOLRL, truth=TRUTH),
        row(TOOLRL + "longer than the others" * 9),
        row("", syntax="toolrl"),
    ]
    regions = labeler().label(sampled(rows))
    assert regions.dtype == np.int8
    read_as = ["toolrl", "qwen3_coder", "toolrl", "toolrl", "qwen3_coder", "toolrl"]
    expected = [alone(text, name) for (text, *_), name in zip(rows, read_as, strict=True)]
    assert unpadded(regions, rows) == expected
    assert A in expected[0]
    assert A in expected[1]
    assert A not in expected[2]
    assert A not in expected[4]


def test_by_hand():
    rows = [row("<tool_call>\n<function=f>"), row('<tool_call>{"name": "f"', syntax="toolrl")]
    coder, toolrl = unpadded(labeler().label(sampled(rows)), rows)
    assert coder == [F] * len("<tool_call>\n<function=") + [N] + [F]
    assert toolrl == [F] * len('<tool_call>{"name": "') + [N] + [F]


@pytest.mark.parametrize("asked", [None, {"toolrl"}])
def test_a_prompt_that_opened_a_thought(asked):
    prompts = [
        "ask",
        "<think>\n",
        "a very long prompt that ends in <think>",
        "<think>a</think>",
        "",
    ]
    rows = [row(THOUGHT, prompt, syntax="toolrl") for prompt in prompts]
    found = unpadded(labeler(asked=asked).label(sampled(rows)), rows)
    opened = [K] * 2 + [F] * 8
    stray = [X] * 2 + [F] * 8
    rest = alone(TOOLRL, "toolrl")
    assert found == [beginning + rest for beginning in (stray, opened, opened, stray, stray)]
    # not known where the prompts are not at hand: the message has to tell
    (bare,) = unpadded(labeler(asked=asked).label(sampled(rows[:1], ("extra_info",))), rows[:1])
    assert bare == opened + rest


def test_short_and_long_prompts_stand_side_by_side():
    rows = [row(THOUGHT, "<think>", syntax="toolrl"), row(THOUGHT, "x" * 50, syntax="toolrl")]
    short, long = unpadded(labeler().label(sampled(rows)), rows)
    assert (short[0], long[0]) == (K, X)


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        ({"toolrl"}, ()),
        ({""}, ()),
        ({"toolrl", ""}, ("extra_info", "reward_model")),
        (set(), ("extra_info", "reward_model")),
        (None, ("extra_info", "reward_model")),
    ],
)
def test_rows_are_looked_at_only_where_they_can_differ(asked, columns):
    one = labeler(asked=asked)
    assert one.columns == ("prompts", "responses", "response_mask", *columns)
    if not columns:
        (name,) = asked
        rows = [row(TOOLRL), row(CODER)]
        expected = [alone(text, name or "qwen3_coder") for text, *_ in rows]
        assert unpadded(one.label(sampled(rows, ("prompts",))), rows) == expected


def test_columns_that_the_rows_lack_leave_it_to_the_model():
    rows = [row(CODER), row(TOOLRL)]
    found = unpadded(labeler().label(sampled(rows, ())), rows)
    assert found == [alone(text, "qwen3_coder") for text, *_ in rows]


def test_what_was_not_sampled_has_no_label():
    batch = sampled([row(TOOLRL, syntax="toolrl"), row("x")])
    mask = [values.clone() for values in batch["response_mask"].unbind()]
    mask[0][5:] = 0
    batch["response_mask"] = jagged(mask)
    regions = labeler().label(batch)
    assert (regions[0, 5:] == -1).all()
    assert regions[0, :5].tolist() == [X] * 5  # half a tag is text
    assert regions[1].tolist() == [X] + [-1] * (len(TOOLRL) - 1)


def test_a_tokenizer_is_read_once_for_each_syntax():
    one = labeler()
    batch = sampled([row(TOOLRL, syntax="toolrl"), row(CODER)])
    one.label(batch)
    toolrl = one.of(get_syntax("toolrl"))
    one.label(batch)
    assert one.of(get_syntax("toolrl")) is toolrl
    assert one.of(get_syntax("qwen3_coder")) is not toolrl


def test_answers_are_the_sampled_ids_with_their_labeler():
    batch = sampled([row("abc", syntax="toolrl"), row("de")])
    mask = [values.clone() for values in batch["response_mask"].unbind()]
    mask[0][1] = 0
    batch["response_mask"] = jagged(mask)
    found = labeler().answers(batch)
    assert [(one.syntax.name, bytes(ids.tolist())) for one, ids in found] == [
        ("toolrl", b"ac"),
        ("qwen3_coder", b"de"),
    ]


def test_a_model_that_tells_nothing_is_no_harm_while_every_row_asks():
    tokenizer = one_byte_per_token()
    one = RowLabeler(tokenizer, RunSyntaxes("auto", tokenizer))
    assert A in one.label(sampled([row(TOOLRL, syntax="toolrl")]))
    with pytest.raises(ValueError, match="no chat template"):
        one.label(sampled([row(TOOLRL, syntax="toolrl"), row(CODER)]))


def test_end_ids_are_format():
    tokenizer = one_byte_per_token()
    one = RowLabeler(tokenizer, RunSyntaxes("hermes", tokenizer), end_ids=[ord("!")], asked={""})
    rows = [row("so!")]
    assert unpadded(one.label(sampled(rows)), rows) == [[X, X, F]]
