"""`rest-verl gradients` from end to end, on a tiny policy that is right about every other time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sometimes_right import answer, save_policy, write_dump, write_rows

from rest_verl import cli
from rest_verl.study.gradients.figures import NAMES
from rest_verl.study.gradients.measure import batch_sizes

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gradients")
    save_policy(made / "model")
    write_rows(made / "rows.parquet")
    write_dump(made / "3.jsonl")
    return made


def run(folder: Path, *arguments: str, output: str = "out") -> int:
    model = ["--model", str(folder / "model"), "--output", str(folder / output)]
    return cli.main(["gradients", *model, *arguments])


def report(folder: Path, output: str = "out") -> dict:
    return json.loads((folder / output / "gradients.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sampled(folder: Path) -> dict:
    arguments = ["--prompts", str(folder / "rows.parquet"), "--max-tokens", "48"]
    assert run(folder, *arguments, "--num-samples", "4", "--weights", "mine:name=2") == 0
    return report(folder)


def test_sampled_groups_are_measured(sampled: dict) -> None:
    assert (sampled["num_prompts"], sampled["num_responses"]) == (16, 64)
    assert sampled["sketch"] == {"size": 16384, "error": pytest.approx(0.011, abs=1e-3)}
    labels = [(row["name"], row["progress"]) for row in sampled["weightings"]]
    assert labels[0] == ("uniform", None)
    assert {("paper", 0.5), ("shuffled", 1.0), ("token", None), ("mine", None)} <= set(labels)
    for row in sampled["weightings"]:
        assert set(NAMES) <= set(row)
    uniform = sampled["weightings"][0]
    assert uniform["variance"]["value"] == 1
    assert uniform["predicted_variance"] == 1
    assert uniform["weights"]["format"] == 1
    shares = [region["token_share"] for region in sampled["regions"].values()]
    assert sum(shares) == pytest.approx(1)


def test_lemma_2_holds(sampled: dict) -> None:
    for kind in ("signal_share", "noise_share"):
        values = [region[kind]["value"] for region in sampled["regions"].values()]
        assert sum(values) == pytest.approx(1)
    present = [region for region in sampled["regions"].values() if region["token_share"]]
    assert len(present) >= 4
    for region in present:
        assert 0 < region["score_norm"] <= region["score_norm_bound"]


def test_static_is_paper_at_the_start(sampled: dict) -> None:
    rows = {(row["name"], row["progress"]): row for row in sampled["weightings"]}
    paper, static = rows["paper", 0.0], rows["static", None]
    assert all(paper[name] == static[name] for name in [*NAMES, "weights"])


def test_the_page_and_the_picture_are_written(folder: Path, sampled: dict) -> None:
    page = (folder / "out" / "gradients.md").read_text(encoding="utf-8")
    for text in ("| paper ν=0.5 |", "| tokens |", "![figures](gradients.png)", "16 prompts"):
        assert text in page
    for line in re.findall(r"^\|.*$", page, re.MULTILINE):
        assert line.count("|") in (7, 8)
    assert (folder / "out" / "gradients.png").read_bytes().startswith(PNG)


def test_the_seed_decides(folder: Path, sampled: dict) -> None:
    base = ["--prompts", str(folder / "rows.parquet"), "--max-tokens", "48", "--num-samples", "4"]
    base += ["--weights", "mine:name=2"]
    assert run(folder, *base, output="again") == 0
    assert report(folder, "again") == sampled
    assert run(folder, *base, "--seed", "1", output="other") == 0
    assert report(folder, "other")["weightings"] != sampled["weightings"]


def test_dumps_are_measured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = ["--rollouts", str(folder / "3.jsonl"), "--syntax", "toolrl", "--presets", "paper"]
    assert run(folder, *dump, "--progress", "0", "--parameters", "mlp", output="dump") == 0
    found = report(folder, "dump")
    assert (found["num_prompts"], found["num_responses"], found["mean_reward"]) == (12, 48, 0.25)
    assert [row["name"] for row in found["weightings"]] == ["uniform", "paper"]
    assert found["num_parameters"] == 2 * 3 * 24 * 48
    assert "text has lost the special tokens" in capsys.readouterr().out


def test_ids_of_a_queue_dump_are_taken_as_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `tq_batch.pt` has them: ids, a mask, a reward; groups that cannot be judged left out."""
    from rest_verl.study.gradients import dumped
    from rest_verl.study.gradients.reading import Policy
    from rest_verl.viewing.tokens.rollout import Rollout

    def rollout(group: str, session: str, ids: list[int], **about) -> Rollout:
        mask = np.array([1] * (len(ids) - 1) + [0])
        return Rollout(
            name=f"{group}_{session}_0",
            group=group,
            session=session,
            token_ids=np.array(ids),
            prompt_ids=np.array([5, 6, 7]),
            response_mask=mask,
            **{"score": 1.0, "syntax": "toolrl", **about},
        )

    rows = [
        rollout("a", "0", [9, 10, 11]),
        rollout("b", "0", [9, 10], score=0.0),
        rollout("a", "1", [12, 13, 14, 15], score=0.0),
        rollout("c", "0", [9, 10]),  # alone
        rollout("d", "0", [9, 10]),
        rollout("d", "0", [9, 10]),  # a second output of one conversation
        rollout("e", "0", [9, 10], score=None),  # reward unknown
        rollout("e", "1", [9, 10]),
        rollout("b", "1", [9, 10]),
    ]
    monkeypatch.setattr(dumped, "read_rollouts", lambda path: rows)
    found = dumped.read_groups(Path("tq_batch.pt"), 10)
    assert (len(found.groups), found.num_left_out, found.is_text) == (2, 3, False)
    assert len(dumped.read_groups(Path("tq_batch.pt"), 1).groups) == 1
    policy = Policy.load(str(folder / "model"), "auto", 1.0)
    first, second = dumped.measured_groups(policy, found.groups)
    assert first.prompt_ids == [5, 6, 7]
    assert [row.token_ids.tolist() for row in first.responses] == [[9, 10, 11], [12, 13, 14, 15]]
    assert [int((row.region >= 0).sum()) for row in first.responses] == [2, 3]
    assert first.advantages().tolist() == pytest.approx([2**-0.5, -(2**-0.5)], rel=1e-5)
    assert [row.reward for row in second.responses] == [0.0, 1.0]


def test_what_is_assessed_is_the_models_prediction(folder: Path) -> None:
    from rest_verl.study.gradients.reading import Policy

    policy = Policy.load(str(folder / "model"), "auto", 0.7)
    prompt = policy.tokenizer("Days in Oslo?: ")["input_ids"]
    token_ids = np.array(policy.tokenizer(answer(1))["input_ids"])
    entropy, score_norm = policy.assess(prompt, token_ids)
    ids = torch.tensor([[*prompt, *token_ids.tolist()]])
    with torch.no_grad():
        logits = policy.model(input_ids=ids).logits[0, len(prompt) - 1 : -1] / 0.7
    p = logits.softmax(-1)
    exact = torch.distributions.Categorical(logits=logits).entropy()
    np.testing.assert_allclose(entropy, exact.numpy(), atol=1e-5)
    np.testing.assert_allclose(score_norm, (1 - (p**2).sum(-1)).numpy(), atol=1e-5)
    assert all(len(values) == 0 for values in policy.assess(prompt, token_ids[:0]))


def test_batches_are_of_nearly_equal_size() -> None:
    assert batch_sizes(70, 32) == [24, 23, 23]
    assert batch_sizes(64, 32) == [32, 32]
    assert batch_sizes(5, 32) == [5]


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(folder, *arguments) == 1
    captured = capsys.readouterr().err.strip().splitlines()
    return captured[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sketch", "100"], "--sketch 100: too few; give 16384 or more"),
        (["--num-samples", "1"], "--num-samples 1: a response is judged against others"),
        (["--weights", "x"], "--weights x: name them"),
        (["--parameters", "conv"], "--parameters conv: fits none of the model's"),
        (
            ["--num-prompts", "5", "--max-tokens", "48"],
            "5 prompts are too few to tell signal from noise",
        ),
        (["--max-tokens", "500"], "the model has 160 places; leave out long prompts or lower"),
        (["--prompts", "missing.parquet"], "--prompts missing.parquet: no such file"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_what_cannot_be_measured_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = [] if "--prompts" in arguments else ["--prompts", str(folder / "rows.parquet")]
    assert message in refused(folder, capsys, *given, *arguments)


def test_files_that_hold_no_rows_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = tmp_path / "rows.parquet"
    text.write_text("no parquet")
    assert "no parquet file that can be read" in refused(folder, capsys, "--prompts", str(text))
    pq.write_table(pa.table({"prompt": ["x"] * 9}), text)
    assert "has no column reward_model" in refused(folder, capsys, "--prompts", str(text))
    rows = [{"prompt": [{"role": "user", "content": "x"}], "reward_model": {"ground_truth": "?"}}]
    pq.write_table(pa.Table.from_pylist(rows * 9), text)
    assert "row 0: malformed ground truth" in re.sub(
        r"row \d", "row 0", refused(folder, capsys, "--prompts", str(text))
    )


def test_the_template_gets_its_arguments_and_may_refuse(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    config = tmp_path / "model/chat_template.jinja"
    config.write_text("{{ raise_exception('no ' ~ mood ~ ' today') }}")
    rows = ["--prompts", str(folder / "rows.parquet"), "--chat-template-kwargs", '{"mood": "joy"}']
    said = refused(tmp_path, capsys, *rows)
    assert "cannot show its prompt: TemplateError: no joy today" in said
    assert "rows.parquet, row " in said


def test_equal_rewards_everywhere_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dump = tmp_path / "1.jsonl"
    lines = [
        {"input": f"q{group}", "output": answer(1), "score": 1.0, "uid": f"g{group}_{row}_0"}
        for group in range(8)
        for row in range(2)
    ]
    dump.write_text("".join(json.dumps(line) + "\n" for line in lines))
    message = refused(folder, capsys, "--rollouts", str(dump), "--syntax", "toolrl")
    assert "to each of the 8 prompts have equal rewards" in message


def test_a_dump_without_groups_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    dump = tmp_path / "1.jsonl"
    dump.write_text(json.dumps({"input": "q", "output": "x", "score": 1.0}) + "\n")
    assert "no group of two or more responses" in refused(folder, capsys, "--rollouts", str(dump))


def test_an_output_that_is_a_file_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_text("")
    arguments = ["--prompts", str(folder / "rows.parquet")]
    assert run(folder, *arguments, output="file") == 1
    assert "is a file; name a folder" in capsys.readouterr().err
