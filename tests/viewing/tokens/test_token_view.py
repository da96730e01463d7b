"""What a token view holds: the labels and weights of training, and text that is safe to show."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from token_samples import GOOD, SAMPLES, TOKENIZER, entropy_of, padded, rollout, view_of

from rest_verl.algorithm.config import ReSTConfig
from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.vocabulary import Vocabulary
from rest_verl.algorithm.weighting import token_weights
from rest_verl.syntax import Terms
from rest_verl.viewing.text import visible_text
from rest_verl.viewing.tokens.command import VIEWED
from rest_verl.viewing.tokens.rollout import Rollout
from rest_verl.viewing.tokens.text import shown_tokens
from rest_verl.viewing.tokens.view import NUM_STOPS, build_view

ONE_BYTE = Vocabulary(
    tokens=tuple(bytes([byte]) for byte in range(256)), end_ids=frozenset(), pad_id=None
)
PAPER = ReSTConfig.preset("paper")


@pytest.mark.parametrize("preset", VIEWED)
def test_weights_at_every_stop_are_token_weights_own(preset: str) -> None:
    view = view_of(preset)
    regions_BT = padded(view, view.regions, -1)
    entropy_BT = padded(view, view.entropy, 0)
    assert len(view.stops) == NUM_STOPS  # 0.3 is one of them
    for stop, progress in enumerate(view.stops):
        expected_BT, _ = token_weights(
            regions_BT,
            entropy_BT,
            progress=progress,
            step=round(progress * 105),
            config=view.config,
        )
        for row, length in enumerate(np.diff(view.offset)):
            assert (view.weights(stop, row) == expected_BT[row, :length].numpy()).all()


def test_shuffled_weights_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="look at paper, whose weights they are"):
        view_of("shuffled")


def test_an_asked_for_progress_is_a_stop() -> None:
    view = view_of(progress=0.33)
    assert len(view.stops) == NUM_STOPS + 1
    assert view.stops[view.start] == 0.33


def test_regions_are_the_labelers() -> None:
    view = view_of()
    ids = TOKENIZER(GOOD, add_special_tokens=False)["input_ids"]
    assert view.token_ids[: len(ids)].tolist() == ids
    assert view.regions[: len(ids)].tolist() == RegionLabeler(TOKENIZER).label(ids).tolist()


def test_observations_have_no_region_and_no_weight() -> None:
    ids = np.array([70, 71, 72, 73])
    mask = np.array([1, 0, 0, 1])
    view = build_view(
        [Rollout(name="x", token_ids=ids, response_mask=mask)],
        TOKENIZER,
        ReSTConfig.preset("uniform"),
        entropy_of=None,
    )
    assert (view.regions == -1).tolist() == (mask == 0).tolist()
    assert view.weights(0, 0).tolist() == mask.tolist()


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([b"a", b"b"], ["a", "b"]),
        ([b"caf\xc3", b"\xa9!"], ["café", "!"]),  # a character of two tokens goes to the first
        ([b"\xf0", b"\x9f", b"\x99\x82", b"."], ["🙂", "", "", "."]),
        ([b"\xc3", b"\xa9\xc3", b"\xa8"], ["é", "è", ""]),  # ends one, begins the next
        ([b"\xff", b"a"], ["\ufffd", "a"]),
        ([b"\xe2\x82", b"a"], ["\ufffd", "a"]),  # never completed
        ([b"\xe2\x82"], ["\ufffd"]),  # cut off at the end
        ([b"\x1b[31m", b"\x00\r"], ["␛[31m", "␀␍"]),
        ([b"\xe2\x80\xae", b"\n\t"], ["⟨U+202E⟩", "\n\t"]),
        ([b"", b"a"], ["⟨id 0⟩", "a"]),
    ],
)
def test_what_tokens_read_as(tokens: list[bytes], expected: list[str]) -> None:
    vocabulary = Vocabulary(tokens=tuple(tokens), end_ids=frozenset(), pad_id=None)
    assert shown_tokens(vocabulary, range(len(tokens))) == expected


def test_ids_outside_the_vocabulary_are_shown_as_such() -> None:
    assert shown_tokens(ONE_BYTE, [65, -1, 999, 66]) == ["A", "⟨id -1⟩", "⟨id 999⟩", "B"]


@given(st.binary(min_size=1))
def test_no_text_is_lost_or_shown_twice(content: bytes) -> None:
    assert "".join(shown_tokens(ONE_BYTE, list(content))) == visible_text(
        content.decode("utf-8", "replace")
    )


@given(st.text(min_size=1))
def test_text_comes_back_from_a_tokenizer(text: str) -> None:
    ids = TOKENIZER(text, add_special_tokens=False)["input_ids"]
    shown = "".join(shown_tokens(Vocabulary.from_tokenizer(TOKENIZER), ids))
    assert shown == visible_text(text)


@pytest.mark.parametrize(
    ("text", "prompt", "faults"),
    [
        (GOOD, None, ()),
        ("</think> off", None, ()),  # the prompt may have opened it
        ("</think> off", "ask<think>\n", ()),  # and did
        ("</think> off", "ask", ("tags_valid",)),  # and did not
        ("<tool_call>\n{}\n</tool_call>", None, ("calls_parse",)),  # no call in it
        ("<response> so", None, ("tags_valid", "unclosed")),
    ],
)
def test_how_a_text_is_written(text: str, prompt: str | None, faults: tuple[str, ...]) -> None:
    view = build_view([rollout(text, prompt=prompt)], TOKENIZER, PAPER, entropy_of=entropy_of)
    assert view.terms[0].faults == faults


def test_what_the_run_logged_comes_first() -> None:
    logged = Terms(tags_valid=False, calls_parse=True, unclosed=False, cut_off=True)
    view = build_view([rollout(GOOD, terms=logged)], TOKENIZER, PAPER, entropy_of=entropy_of)
    assert view.terms == (logged,)


def test_ids_without_an_end_of_turn_are_cut_off() -> None:
    end = TOKENIZER.eos_token_id
    rows = [Rollout(name=str(ids), token_ids=np.array(ids)) for ids in ([5, end], [5, 6])]
    view = build_view(rows, TOKENIZER, PAPER, entropy_of=entropy_of)
    assert [terms.cut_off for terms in view.terms] == [False, True]


def test_advantages_come_from_the_scores_of_a_group() -> None:
    view = view_of()
    assert view.advantage is not None
    assert view.advantage_source == "scores"
    # scores 4 and -3: (±3.5) / standard deviation 4.9497
    assert view.advantage[[0, view.offset[1]]] == pytest.approx([0.70711, -0.70711], abs=1e-4)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([rollout("x", "a_0_0", score=1.0)], "a group of one"),
        ([rollout("x", "a_0_0", score=1.0), rollout("y", "b_0_0", score=2.0)], "two groups"),
        ([rollout("x", "a_0_0", score=1.0), rollout("y", "a_1_0")], "a score is missing"),
        ([rollout("x", "a_0_0", score=1.0), rollout("y", "a_0_1", score=2.0)], "one session"),
        ([Rollout(name="x", text="x", score=1.0)] * 2, "no groups"),
    ],
)
def test_advantages_stay_unknown(rows: list[Rollout], reason: str) -> None:
    view = build_view(rows, TOKENIZER, PAPER, entropy_of=entropy_of)
    assert view.advantage is None, reason


def test_a_dumps_own_columns_come_first() -> None:
    row = Rollout(
        name="x",
        token_ids=np.array([5, 6]),
        entropy=np.array([0.5, 0.25]),
        advantage=np.array([1.0, 2.0]),
    )
    view = build_view([row], TOKENIZER, PAPER, entropy_of=None)
    assert (view.entropy_source, view.advantage_source) == ("dump", "dump")
    assert view.entropy is not None
    assert view.entropy.tolist() == [0.5, 0.25]
    assert view.advantage is not None
    assert view.advantage.tolist() == [1.0, 2.0]


def test_a_preset_without_entropy_asks_no_model() -> None:
    def refuse(*_: Sequence[np.ndarray]) -> list[np.ndarray]:
        raise AssertionError("asked the model")

    view = build_view(SAMPLES, TOKENIZER, ReSTConfig.preset("official"), entropy_of=refuse)
    assert view.entropy is None
    assert view.entropy_source == "none"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Rollout(name="x", text="ab"), [TOKENIZER.eos_token_id]),  # there is no bos
        (Rollout(name="x", text="ab", prompt="<pad>"), [TOKENIZER.pad_token_id]),
        (Rollout(name="x", text="ab", prompt_ids=np.array([7, 8])), [7, 8]),
    ],
)
def test_what_the_model_reads_before_the_response(row: Rollout, expected: list[int]) -> None:
    seen = []

    def record(
        prompt_ids: Sequence[np.ndarray], token_ids: Sequence[np.ndarray]
    ) -> list[np.ndarray]:
        seen.extend(row.tolist() for row in prompt_ids)
        return entropy_of(prompt_ids, token_ids)

    build_view([row], TOKENIZER, PAPER, entropy_of=record)
    assert seen == [expected]


def test_half_a_surrogate_pair_is_shown_as_replaced() -> None:
    view = build_view([rollout("a\ud800b")], TOKENIZER, PAPER, entropy_of=entropy_of)
    assert "".join(view.token_texts(0)) == "a\ufffd\ufffd\ufffdb"


def test_progress_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"progress must lie in \[0, 1\]"):
        view_of(progress=1.5)


def test_nothing_to_show_is_refused() -> None:
    with pytest.raises(ValueError, match="no rollout has a token"):
        build_view([rollout("")], TOKENIZER, PAPER, entropy_of=entropy_of)
