"""Conversations with a stand-in for the engine: what is asked, what is recorded, when they end."""

import asyncio
import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("verl", reason="its continuous-token builders")
from bfcl_samples import ANSWER, QUESTION, write_category
from multi_turn_samples import answer, needs_package, question, write_rows
from stand_in import StandIn, call_text
from templates import MODELS, Model, get_model
from verl.utils.tokenizer.continuous_token_wiring import create_continuous_token_builder

from rest_verl.data.bfcl import BfclSource
from rest_verl.evaluation.bfcl.rows import bfcl_rows
from rest_verl.evaluation.calls import storable
from rest_verl.evaluation.conversations import Chat, Dialogue, Question
from rest_verl.evaluation.generation import GenerationOptions, request_seed, run_all
from rest_verl.files.json_lines import load_json
from rest_verl.integration.message_reader import MessageReader
from rest_verl.syntax import get_syntax

RIGHT = call_text("weather.get", city="Oslo")
# The sample conversation: list, sort without having it, sort.
LIST = call_text("pwd") + call_text("ls", a=True)
SORT = call_text("sort", file_name="a.txt")


def chat_with(engine: StandIn, model: Model, syntax: str = "hermes", **options) -> Chat:
    builder = create_continuous_token_builder(model.tokenizer, hf_model_type=model.model_type)
    return Chat(engine, builder, GenerationOptions(**options), reader(model, syntax))


def reader(model: Model, syntax: str = "hermes") -> MessageReader:
    return MessageReader(model.tokenizer, get_syntax(syntax))


def play(row, answers, model_name="qwen3", *, max_length=1 << 20, sample=0, **options):
    """The record of a row when the model gives these answers, or what a function says."""
    if not callable(answers):
        remaining = iter(answers)

        def said(prompt, seed):
            return next(remaining)

    else:
        said = answers
    model = get_model(model_name)
    engine = StandIn(model, said, max_length=max_length)
    return asyncio.run(chat_with(engine, model, **options).record(row, sample)), engine


@pytest.fixture
def weather(tmp_path) -> Question:
    return weather_row(tmp_path)


def weather_row(folder: Path, mode: str = "tools") -> Question:
    write_category(folder, [QUESTION], [ANSWER])
    ((row,), num_rows) = bfcl_rows(BfclSource.open(folder), ["multiple"], mode, None)
    assert num_rows == {"multiple": 1}
    return row


@pytest.fixture
def sorting(tmp_path) -> Dialogue:
    return sorting_row(tmp_path)


def sorting_row(folder: Path, mode: str = "tools") -> Dialogue:
    source = BfclSource.open(write_rows(folder, [question()], [answer()]))
    ((row,), _) = bfcl_rows(source, ["multi_turn_miss_func"], mode, None)
    return row


def terms(*faults, cut_off=False):
    found = {"tags_valid": True, "calls_parse": True, "unclosed": False, "cut_off": cut_off}
    return {term: holds != (term in faults) for term, holds in found.items()}


def test_one_answer(weather):
    record, engine = play(weather, [RIGHT])
    tokens = len(engine.sampled[0])
    assert record == {
        "id": "multiple_0",
        "category": "multiple",
        "sample": 0,
        "text": RIGHT,
        "calls": [{"name": "weather.get", "arguments": {"city": "Oslo"}}],
        "foreign": "",
        "terms": terms(),
        "valid": True,
        "error": "",
        "output_tokens": tokens,
        "limit": "",
    }


@pytest.mark.parametrize(
    ("text", "calls", "error"),
    [
        ("It rains.", [], "no_call"),
        ("<tool_call>\n{torn\n</tool_call>", None, "malformed"),
        ("<think>\nhm", [], "no_call"),  # never ends its thought
        (f"<think>\n{RIGHT}\n</think>\n\n{RIGHT}", [{"city": "Oslo"}], ""),  # once, not twice
        (call_text("weather.get", city="Bergen"), [{"city": "Bergen"}], "wrong_value"),
        (call_text("weather.get", city="</tool_call>"), [{"city": "</tool_call>"}], "wrong_value"),
    ],
)
def test_what_is_read_of_an_answer(weather, text, calls, error):
    record, _ = play(weather, [text])
    made = record["calls"] and [call["arguments"] for call in record["calls"]]
    assert (made, record["valid"]) == (calls, error == "")
    assert bool(record["error"]) == bool(error)
    assert record["text"] == text


@pytest.mark.parametrize(
    ("mode", "syntax", "in_prompt", "not_in_prompt"),
    [
        ("tools", "hermes", ['"name": "weather.get"', "<tools>"], ["<response>"]),
        ("prompt", "toolrl", ["weather.get", "<response>", "**Dialogue Records"], ["<tools>"]),
        ("compact", "toolrl", ["weather.get(city: str"], ["<tools>", "**Dialogue"]),
    ],
)
def test_the_modes(tmp_path, mode, syntax, in_prompt, not_in_prompt):
    record, engine = play(weather_row(tmp_path, mode), [RIGHT], syntax=syntax)
    prompt = get_model("qwen3").tokenizer.decode(engine.prompts[0])
    assert record["valid"]
    assert prompt.endswith("<|im_start|>assistant\n")
    assert all(text in prompt for text in [*in_prompt, "Weather in Oslo 0?"])
    assert not any(text in prompt for text in not_in_prompt)


def test_a_call_in_another_syntax_is_recorded_and_none_of_ours(weather):
    text = (
        "<tool_call>\n<function=weather.get>\n<parameter=city>\nOslo\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    record, _ = play(weather, [text.replace("tool_call", "seed:tool_call")])
    assert (record["calls"], record["foreign"]) == (None, "seed")
    assert (record["valid"], record["error"]) == (False, "malformed")
    record, _ = play(weather, [text])  # a block of its own tags is begun, and is no call
    assert (record["calls"], record["foreign"], record["error"]) == (None, "", "malformed")
    assert record["terms"] == terms("calls_parse")


def test_a_cut_off_answer_is_judged_as_it_stands(weather):
    length = len(get_model("qwen3").tokenizer.encode(RIGHT, add_special_tokens=False))
    record, _ = play(weather, [f"{RIGHT} and so on"], max_tokens=length)
    assert (record["text"], record["valid"]) == (RIGHT, True)
    assert (record["limit"], record["output_tokens"]) == ("max_tokens", length)
    assert record["terms"] == terms(cut_off=True)
    record, engine = play(weather, [RIGHT], max_length=10)
    assert (record["text"], record["calls"], record["limit"]) == ("", None, "context")
    assert record["terms"] is None  # there is no answer
    assert not record["valid"]
    assert engine.prompts == []  # nothing was asked


def test_the_template_can_open_a_thought(weather):
    """A template that ends the prompt in an open think block: the text up to its end is thought."""
    model = get_model("qwen3")
    builder = create_continuous_token_builder(
        model.tokenizer,
        hf_model_type=model.model_type,
        chat_template_kwargs={"open_think": True},
    )
    for text, calls in [(f"hm {RIGHT}", []), (f"{RIGHT}</think>{RIGHT}", ["weather.get"])]:
        engine = StandIn(model, lambda prompt, seed, text=text: text)
        chat = Chat(engine, builder, GenerationOptions(), reader(model))
        record = asyncio.run(chat.record(weather, 0))
        assert [call["name"] for call in record["calls"]] == calls


@needs_package
@pytest.mark.parametrize("model_name", MODELS)
def test_a_right_conversation(sorting, model_name):
    answers = [LIST, "Done.", "I cannot sort.", SORT, "Sorted."]
    record, engine = play(sorting, answers, model_name)
    assert (record["valid"], record["error"], record["limit"]) == (True, "", "")
    assert record["text"] == [[LIST, "Done."], ["I cannot sort."], [SORT, "Sorted."]]
    assert [[step and [c["name"] for c in step] for step in turn] for turn in record["calls"]] == [
        [["pwd", "ls"], []],
        [[]],
        [["sort"], []],
    ]
    assert record["output_tokens"] == sum(map(len, engine.sampled))
    # Token in, token out: each prompt goes on from the one before and what was sampled after it.
    decode = get_model(model_name).tokenizer.decode
    added = []
    for n, after in enumerate(engine.prompts[1:]):
        before = engine.prompts[n] + engine.sampled[n]
        assert after[: len(before)] == before
        added.append(decode(after[len(before) :]))
    assert "a.txt" in added[0]  # the observation of ls
    assert "Sort a.txt." in added[1]
    assert '"sort"' in added[2]  # the function appears with the turn that may use it
    assert "sort" not in decode(engine.prompts[0])


@needs_package
@pytest.mark.parametrize(
    ("mode", "shown", "appears"),
    [("prompt", "<response>", "1. Name: sort"), ("compact", "ls(", "sort(")],
)
def test_a_conversation_in_the_format_of_training(tmp_path, mode, shown, appears):
    answers = [LIST, "Done.", "I cannot sort.", SORT, "Sorted."]
    record, engine = play(sorting_row(tmp_path, mode), answers, syntax="toolrl")
    assert (record["valid"], record["limit"]) == (True, "")
    first, *_, last = map(get_model("qwen3").tokenizer.decode, engine.prompts)
    assert first.startswith("<|im_start|>system\n")
    assert shown in first
    assert "<tools>" not in first
    assert "Dialogue Records" not in first  # the dialogue goes on in messages
    assert "sort" not in first
    # The function that appears is described in the turn that may use it.
    before, _, after = last.partition(appears)
    assert "sort" not in before.replace("I cannot sort.", "")
    assert "file_name" in after.partition("<|im_end|>")[0]


@needs_package
@pytest.mark.parametrize(
    ("answers", "steps", "valid", "limit"),
    [
        # A message that cannot be read ends the turn, as in BFCL; its calls do not run.
        ([LIST, "<tool_call>", "no", SORT, "x"], [2, 1, 2], True, ""),
        (["<tool_call>", "no", SORT, "x"], [1, 1, 2], False, ""),
        # 21 steps that call: the conversation ends. In the last turn it is still judged.
        ([LIST] * 21, [21], False, "steps"),
        ([LIST, "x", "no", SORT] + [call_text("pwd")] * 20, [2, 1, 21], True, "steps"),
        # 20 and a word: the turn ends as any other.
        ([LIST] * 20 + ["x", "no", SORT, "x"], [21, 1, 2], True, ""),
    ],
)
def test_when_turns_end(sorting, answers, steps, valid, limit):
    record, engine = play(sorting, answers)
    assert [len(turn) for turn in record["text"]] == steps
    assert (record["valid"], record["limit"]) == (valid, limit)
    assert len(engine.prompts) == len(answers)


@needs_package
def test_a_row_with_more_answers_than_turns_is_wrong_whatever_the_answer(tmp_path):
    # as multi_turn_base_154 of v3
    longer = answer(truth=[*answer()["ground_truth"], ["pwd()"]])
    source = BfclSource.open(write_rows(tmp_path, [question()], [longer]))
    ((row,), _) = bfcl_rows(source, ["multi_turn_miss_func"], "tools", None)
    record, _ = play(row, [LIST, "Done.", "I cannot sort.", SORT, "Sorted."])
    assert [len(turn) for turn in record["text"]] == [2, 1, 2]
    assert (record["valid"], record["error"], record["limit"]) == (False, "cut_off", "")


@needs_package
def test_a_cut_off_message_is_taken_as_it_stands(sorting):
    end = get_model("qwen3").tokenizer.eos_token_id
    answers = [LIST, "D" * 300, "no", SORT, "x"]
    record, engine = play(sorting, answers, max_tokens=200)
    assert (record["valid"], record["limit"]) == (True, "max_tokens")
    assert record["terms"]["cut_off"]
    assert len(engine.sampled[1]) == 200
    place = len(engine.prompts[1]) + 200
    assert engine.prompts[2][place] == end  # the message is closed before the next


@needs_package
def test_a_full_context_ends_the_conversation(sorting):
    _, engine = play(sorting, [LIST, "Done.", "no", SORT, "x"])
    for turns, prompt in ((1, engine.prompts[1]), (2, engine.prompts[3])):
        record, _ = play(sorting, [LIST, "Done.", "no", SORT, "x"], max_length=len(prompt))
        assert (len(record["text"]), record["limit"], record["valid"]) == (turns, "context", False)
    record, _ = play(sorting, [], max_length=10)
    assert (record["text"], record["limit"], record["error"]) == ([], "context", "cut_off")


@needs_package
def test_seeds_differ_by_row_sample_and_step(sorting):
    answers = [LIST, "Done.", "no", SORT, "x"]
    _, first = play(sorting, answers)
    _, again = play(sorting, answers)
    _, other = play(sorting, answers, sample=1, seed=0)
    assert first.seeds == again.seeds
    assert len({*first.seeds, *other.seeds}) == 10
    # sha256("0/multi_turn_miss_func_0/0/0"), its first four bytes
    assert first.seeds[0] == request_seed(0, "multi_turn_miss_func_0", 0, 0)
    assert request_seed(1, "a", 0, 0) != request_seed(0, "a", 0, 0)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(arguments=st.dictionaries(st.text(), _json, max_size=3), tail=st.text(max_size=30))
def test_whatever_the_model_says_is_a_record(tmp_path_factory, arguments, tail):
    row = weather_row(tmp_path_factory.mktemp("data"))
    call = json.dumps({"name": "weather.get", "arguments": arguments}).replace("NaN", "0")
    text = f"<tool_call>\n{call.replace('Infinity', '1e999')}\n</tool_call>{tail}"
    text = text.encode("utf-8", "replace").decode()
    record, _ = play(row, [text])
    assert load_json(json.dumps(record, ensure_ascii=False, allow_nan=False)) == record


@pytest.mark.parametrize(
    ("arguments", "stored"),
    [
        ('{"city": "\\ud800"}', {"city": "?"}),  # half of a surrogate pair
        (
            '{"city": 1e999, "days": -1e999}',
            {"city": 1.7976931348623157e308, "days": -1.7976931348623157e308},
        ),
        ('{"city": ' + "[" * 120 + "]" * 120 + "}", None),  # as good as malformed
        ('{"city": ' + "[" * 50_000 + "]" * 50_000 + "}", None),
        ('{"city": ' + "9" * 5_000 + "}", None),  # beyond Python's digits
    ],
)
def test_arguments_that_json_cannot_hold(weather, arguments, stored):
    text = f'<tool_call>\n{{"name": "weather.get", "arguments": {arguments}}}\n</tool_call>'
    record, _ = play(weather, [text], max_tokens=1 << 20)
    assert record["calls"] == (stored and [{"name": "weather.get", "arguments": stored}])
    assert not record["valid"]


def test_storable_keeps_the_rest():
    value = {"a": [1, -2.5, None, True, "é"], "b": {}}
    assert storable(value) == value
    assert storable([[]], levels=2) == [[]]
    with pytest.raises(ValueError, match="nested too deeply"):
        storable([[]], levels=1)


def test_run_all_runs_each_once_and_few_at_a_time():
    running, most, done = 0, 0, []

    async def run(job):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        done.append(job)

    asyncio.run(run_all(range(50), run, in_flight=7))
    assert sorted(done) == list(range(50))
    assert most == 7


def test_an_error_ends_all():
    started = []

    async def run(job):
        started.append(job)
        if job == 3:
            raise RuntimeError("the engine died")
        await asyncio.sleep(60)

    with pytest.raises(RuntimeError, match="the engine died"):
        asyncio.run(run_all(range(100), run, in_flight=5))
    assert len(started) <= 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 0}, "samples must be above 0"),
        ({"max_tokens": 0}, "max_tokens must be above 0"),
        ({"max_model_len": 0}, "max_model_len must be above 0"),
        ({"temperature": -0.1}, "temperature must be 0 or above"),
        ({"temperature": math.nan}, "temperature must be 0 or above"),
        ({"temperature": math.inf}, "temperature must be 0 or above"),
        ({"samples": 2}, "2 samples at temperature 0 would all be the same"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        GenerationOptions(**options)
