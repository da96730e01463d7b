"""`rest-verl view` from the command line, with a tiny random model."""

import argparse
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.style import Style
from token_samples import (
    GOOD,
    SAMPLES,
    TOKENIZER,
    page_payload,
    save_tiny_model,
    unpacked,
    view_of,
)

from rest_verl.viewing.tokens.command import add_view
from rest_verl.viewing.tokens.entropy import (
    batches_by_length,
    load_model,
    load_tokenizer,
    response_entropies,
)
from rest_verl.viewing.tokens.terminal import print_view


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def dump(tmp_path: Path) -> Path:
    path = tmp_path / "12.jsonl"
    lines = [
        {"input": sample.prompt, "output": sample.text, "score": sample.score, "uid": sample.name}
        for sample in SAMPLES
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    add_view(parser.add_subparsers())
    parsed = parser.parse_args(["view", *map(str, arguments)])
    return parsed.run_command(parsed)


def test_a_page_of_a_dump(model: Path, dump: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    assert run("--model", model, "--rollouts", dump, "--progress", 0.5, "--output", output) == 0
    page = output.read_text()
    data = page_payload(page)
    assert [sample["name"] for sample in data["samples"]] == [sample.name for sample in SAMPLES]
    assert data["stops"][data["start"]] == 0.5
    assert "/12.jsonl · token view</title>" in page
    loaded = load_model(str(model))
    prompt, ids = (
        np.array(TOKENIZER(text, add_special_tokens=False)["input_ids"])
        for text in ("Weather?", GOOD)
    )
    entropy = unpacked(data["entropy"], "<f4")[: len(ids)]
    assert entropy == pytest.approx(response_entropies(loaded, [prompt], [ids])[0])


def test_the_terminal_alone(
    model: Path,
    dump: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--model", model, "--rollouts", dump, "--terminal", "--preset", "uniform") == 0
    assert "a_0_0" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["12.jsonl"]


def test_several_text_files(model: Path, tmp_path: Path) -> None:
    texts = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in texts:
        path.write_text(GOOD)
    output = tmp_path / "page.html"
    run("--model", model, "--text", *texts, "--preset", "official", "--output", output)
    page = output.read_text()
    assert "a.txt and 1 more" in page
    data = page_payload(page)
    assert data["entropy"] is None
    assert data["steps"][-1] == 105


def test_entropy_is_that_of_the_models_prediction(model: Path) -> None:
    loaded = load_model(str(model))
    prompt, ids = np.array([3, 4]), np.array([5, 6, 7])
    with torch.no_grad():
        log_p = loaded(torch.tensor([[3, 4, 5, 6, 7]])).logits[0].log_softmax(-1)
    expected = -(log_p.exp() * log_p).sum(-1)[1:4]  # after the 4, the 5 and the 6
    (found,) = response_entropies(loaded, [prompt], [ids])
    assert found == pytest.approx(expected.numpy(), rel=1e-5)


def test_a_rows_entropies_do_not_hang_on_its_batch(model: Path) -> None:
    loaded = load_model(str(model))
    prompts = [np.arange(3, 3 + length) for length in (1, 9, 4)]
    rows = [np.arange(20, 20 + length) for length in (5, 2, 0)]
    together = response_entropies(loaded, prompts, rows)
    for prompt, row, found in zip(prompts, rows, together, strict=True):
        assert found.shape == row.shape
        (alone,) = response_entropies(loaded, [prompt], [row])
        assert found == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("max_tokens", "batches"),
    [
        (0, [[1], [3], [0], [2]]),
        (18, [[1, 3], [0, 2]]),
        (17, [[1], [3, 0], [2]]),
        (99, [[1, 3, 0, 2]]),
    ],
)
def test_batches_hold_rows_of_like_length(max_tokens: int, batches: list[list[int]]) -> None:
    assert list(batches_by_length([4, 9, 1, 8], max_tokens)) == batches


def test_no_rows_are_no_batch() -> None:
    assert list(batches_by_length([], 9)) == []


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([5, 10_000], "token id 10000 is outside the model's"),
        ([-1], "token id -1 is outside"),
        ([5] * 600, "take 601 tokens, the model has 512 places"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(ids: list[int], message: str, model: Path) -> None:
    with pytest.raises(ValueError, match=message):
        response_entropies(load_model(str(model)), [np.array([3])], [np.array(ids)])


def test_bad_arguments_are_named(model: Path, dump: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{}")
    for arguments, message in (
        (("--model", model, "--rollouts", tmp_path / "absent"), "absent: no such file or folder"),
        (("--model", tmp_path / "absent", "--rollouts", dump), "absent: no tokenizer of that name"),
        (("--model", tmp_path / "broken", "--rollouts", dump), "no tokenizer in this folder"),
        (("--model", tmp_path / "empty", "--rollouts", dump), "neither a Hugging Face model"),
        (("--model", model, "--rollouts", dump, "--output", tmp_path), "is a folder"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            run(*arguments)
    assert not list(tmp_path.glob("*.html"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("--preset", "papper"),
        ("--progress", "1.5"),
        ("--progress", "nan"),
        ("--limit", "0"),
        ("--rollouts", "y"),  # beside --text
    ],
)
def test_arguments_that_cannot_be(arguments: tuple[str, str]) -> None:
    with pytest.raises(SystemExit):
        run("--model", "m", "--text", "x", *arguments)


def printed(color_system: str | None, preset: str = "paper") -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        force_terminal=color_system is not None,
        color_system=color_system,  # type: ignore[arg-type]
        width=200,
        highlight=False,
    )
    print_view(view_of(preset), console)
    return stream.getvalue()


@pytest.mark.parametrize("color_system", [None, "standard", "256", "truecolor"])
def test_model_text_prints_no_control_character(color_system: str | None) -> None:
    text = printed(color_system)
    plain = re.sub(r"\x1b\[[\d;]*m", "", text)  # the colours are ours
    assert not re.search(r"[^\n -~\u00a0-\uffff]|[\u200b-\u200f\u202a-\u202e\ufeff]", plain)
    assert "␛]0;title␇␛[31mred⟨U+202E⟩right to left␀␍⟨U+200B⟩⟨U+FEFF⟩" in plain
    if color_system is None:
        assert "\x1b" not in text


def test_the_terminal_shows_what_the_page_does() -> None:
    text = printed(None)
    first = text.split("a_1_0")[0]
    assert first.startswith(
        "a_0_0  reward 4.00  progress 0.30, hypothetical\n<think> look it up </think>↵\n"
    )
    view = view_of()
    here = slice(*view.offset[:2])
    for region, name in enumerate(("format", "name", "args", "think", "text")):
        of_region = view.regions[here] == region
        weight = view.weights(view.start, 0)[of_region].mean()
        assert re.search(
            rf" {name} +{weight:.3f} +{view.entropy[here][of_region].mean():.3f}", first
        )
    assert "a_1_0  reward -3.00  tags not valid  unclosed" in text


def test_a_token_without_weight_has_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    Style._add.cache_clear()  # rich keeps the codes that another test's terminal needed
    first = printed("truecolor", "no_think").split("a_1_0")[0]
    colors = {text: color for color, text in re.findall(r"48;2;([\d;]*)m([^\x1b]+)", first)}
    assert colors["k"] == "22;27;34"  # in " look it up": the dark page's own colour
    assert colors["think"] != "22;27;34"  # of the tag, which trains


def test_a_name_is_looked_up_once_where_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_network)
    from_hub = "transformers.AutoTokenizer.from_pretrained"
    monkeypatch.setattr(from_hub, lambda *_, **__: pytest.fail("asks the hub again and again"))
    with pytest.raises(ValueError, match=r"--model no/such: .* here or on a hub .*not known"):
        load_tokenizer("no/such")
