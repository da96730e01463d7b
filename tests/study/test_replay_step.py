"""`rest-verl replay-step`: a recorded step worked out again gives what its run logged."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("verl", reason="verl writes the dumps")
from recorded_batch import REWARDS, recorded_batch
from recorded_dumps import Dumper, queue_row, save_batch
from row_labelers import row_labeler
from sometimes_right import answer, new_model, save_policy, tokenizer, write_rows
from tiny_policy import save_policy as save_random_policy
from trainer_in_memory import Queue, Trainer, batch_of, jagged
from transformers import AutoModelForCausalLM, AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.core_algos import agg_loss
from verl.trainer.ppo.metric_utils import compute_data_metrics
from verl.utils.debug.metrics import calculate_debug_metrics
from verl.workers.config import ActorConfig

from recipes.plain_torch.loop import Loop, Settings, Task
from rest_verl import cli
from rest_verl.algorithm.memory import EntropyMemory
from rest_verl.algorithm.weighting import ReSTConfig
from rest_verl.integration import trainer as trainer_module
from rest_verl.integration.policy_loss import verl_policy_loss
from rest_verl.integration.reward_metrics import reward_metrics
from rest_verl.study.replay.log import LEAST_CORRELATION, find_log
from rest_verl.study.replay.step import AGGREGATIONS, CORRELATION

TOLERANCE = 1e-4
"""Of any value: a rollout's log-probabilities come from other matrix products than a replay's."""
STEP, TOTAL, TEMPERATURE = 7, 20, 0.7


@pytest.fixture(autouse=True)
def warnings_as_before() -> Iterator[None]:
    with warnings.catch_warnings():
        yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("policy")
    save_policy(folder)
    return folder


def run(output: Path, *arguments: Any) -> int:
    return cli.main(["replay-step", *map(str, arguments), "--output", str(output)])


def report(output: Path) -> dict[str, Any]:
    return json.loads((output / "replay.json").read_text(encoding="utf-8"))


def rows_of(output: Path) -> list[dict[str, Any]]:
    lines = (output / "replay.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def compared(output: Path) -> dict[str, dict[str, float]]:
    """The metrics that replay and log both have."""
    metrics = report(output)["metrics"]
    return {name: line for name, line in metrics.items() if line["log"] is not None}


def write_log(folder: Path, step: int, metrics: dict[str, Any]) -> None:
    """As verl's file logger does."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {name: float(value) for name, value in metrics.items()}
    (folder / "metrics.jsonl").write_text(json.dumps({"step": step, "data": plain}) + "\n")


class RecordingLoop(Loop):
    """Keeps what a step sampled and how it was judged."""

    def sample(self, *args: Any) -> Any:
        self.rollouts = super().sample(*args)
        return self.rollouts

    def judge(self, *args: Any) -> Any:
        self.results = super().judge(*args)
        return self.results


def plain_step(folder: Path, model: Path, preset: str = "paper") -> Path:
    """One step of the loop without verl: its log in `folder`, its batch as verl would keep it."""
    tokens = AutoTokenizer.from_pretrained(model)
    settings = Settings(
        preset=preset,
        num_steps=TOTAL,
        responses_per_prompt=4,
        max_tokens=48,
        temperature=TEMPERATURE,
    )
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    loop = RecordingLoop(policy, tokens, settings)
    texts = ("Days in Oslo?: ", "Days in Rome?: ", "Days in Oslo: ")
    tasks = [Task(tokens.encode(text), answer(1)) for text in texts]
    write_log(folder, STEP, loop.step(tasks, STEP))
    rows = {}
    for number, ids in enumerate(loop.rollouts.ids()):
        group = number // settings.responses_per_prompt
        rows[f"g{group}_{number}_0"] = queue_row(
            tasks[group].prompt,
            ids,
            loop.results[number].score,
            parts=loop.results[number].as_dict(),
            rollout_log_probs=loop.rollouts.log_prob[number, : len(ids)],
            uid=f"g{group}",
            global_steps=STEP,
            reward_model={"ground_truth": answer(1)},
            extra_info={"syntax": "toolrl"},
        )
    return save_batch(folder / "dumps" / str(STEP) / "0", STEP, rows)


@pytest.mark.parametrize("preset", ["paper", "official", "token"])
def test_a_step_of_the_plain_loop(preset: str, model: Path, tmp_path: Path) -> None:
    dump = plain_step(tmp_path / "run", model, preset)
    arguments = ["--model", model, "--preset", preset, "--temperature", TEMPERATURE]
    assert run(tmp_path / "out", dump, *arguments, "--total-steps", TOTAL) == 0
    found = compared(tmp_path / "out")
    assert {"rest/weight/args", "rest/entropy/name", "reward/total/mean"} <= set(found)
    assert {"rest/progress", "rest/weight_share/format", "reward/exact_match/mean"} <= set(found)
    for name, line in found.items():
        assert line["replay"] == pytest.approx(line["log"], abs=TOLERANCE), name
    metrics = report(tmp_path / "out")["metrics"]
    assert metrics[CORRELATION]["replay"] == pytest.approx(1, abs=TOLERANCE)
    assert report(tmp_path / "out")["remarks"] == []


def test_rows_show_what_each_answer_did(model: Path, tmp_path: Path) -> None:
    dump = plain_step(tmp_path / "run", model)
    output = tmp_path / "out"
    assert run(output, dump, "--model", model, "--temperature", TEMPERATURE) == 0
    rows, metrics = rows_of(output), report(output)["metrics"]
    assert len(rows) == 12
    for group in range(3):
        mine = [row for row in rows if row["group"] == f"g{group}"]
        scores = np.array([row["score"] for row in mine])
        wanted = (scores - scores.mean()) / (scores.std(ddof=1) + 1e-6)
        assert [row["advantage"] for row in mine] == pytest.approx(wanted, abs=1e-5)
    losses = [row["loss"] for row in rows]
    assert np.mean(losses) == pytest.approx(metrics["actor/pg_loss"]["replay"], abs=1e-6)
    for row in rows:
        regions = row["regions"].values()
        assert sum(region["tokens"] for region in regions) == row["tokens"]
        mean = sum(region["tokens"] * region["weight"] for region in regions) / row["tokens"]
        assert mean == pytest.approx(1, abs=1e-5)
        # at the step's own policy every ratio is 1, and weights have mean 1
        assert row["loss"] == pytest.approx(-row["advantage"], abs=1e-5)


@cache
def recorded(folder: Path) -> dict[str, Any]:
    """Rows with observations, and the policy's log-probabilities and entropies, one row a pass."""
    policy = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    whole = recorded_batch()
    rows: dict[str, Any] = {}
    log_probs, entropies = [], []
    generator = torch.Generator().manual_seed(2)
    for number, (prompt, ids, mask) in enumerate(
        zip(whole.prompts[:-1], whole.responses[:-1], whole.masks[:-1], strict=True)
    ):
        with torch.no_grad():
            logits = policy(input_ids=torch.cat([prompt, ids])[None]).logits[
                0, len(prompt) - 1 : -1
            ]
        said = torch.distributions.Categorical(logits=logits)
        log_probs.append(said.log_prob(ids))
        entropies.append(said.entropy())
        noise = 1e-3 * torch.randn(len(ids), generator=generator)
        rows[f"u{number // 4}_{number % 4}_0"] = queue_row(
            prompt.tolist(),
            ids.tolist(),
            REWARDS[number],
            mask=mask.long().tolist(),
            parts={"score": REWARDS[number], "format": float(number % 2)},
            rollout_log_probs=log_probs[-1] + noise,
            uid=f"u{number // 4}",
            global_steps=STEP,
            reward_model={"ground_truth": answer(1)},
        )
    return {"rows": rows, "log_probs": log_probs, "entropies": entropies}


def verls_log(
    case: dict[str, Any], config: ReSTConfig, monkeypatch: pytest.MonkeyPatch, mode: str
) -> dict[str, float]:
    """What our trainer and verl's functions log of the batch, with one update."""
    rows = list(case["rows"].values())
    columns = {name: jagged([row[name] for row in rows]) for name in ("responses", "prompts")}
    masks = jagged([row["response_mask"] for row in rows])
    queue = Queue(**columns, response_mask=masks, entropy=jagged(case["entropies"]))
    monkeypatch.setattr(trainer_module, "tq", queue)
    trainer = Trainer(config, step=STEP, total=TOTAL)
    trainer.labeler = row_labeler(AutoTokenizer.from_pretrained(case["folder"]))
    trainer.memory = EntropyMemory(config.entropy_ema, entropy=dict(case.get("averages", {})))
    log: dict[str, float] = {}
    trainer._compute_advantage(batch_of(list(case["rows"]), STEP), log)
    log.pop("order")
    weights = queue.columns["rollout_is_weights"].to_padded_tensor(0.0)

    def pad(values: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(values, batch_first=True)

    mask, log_prob = pad([row["response_mask"] for row in rows]), pad(case["log_probs"])
    scores = pad([row["rm_scores"] for row in rows])
    from rest_verl.algorithm.advantage import rest_advantage

    advantages, returns = rest_advantage(scores, mask, [row["uid"] for row in rows])
    lengths = {
        f"{name}_length": torch.tensor([float(len(row[f"{name}s"])) for row in rows])
        for name in ("prompt", "response")
    }
    data = DataProto.from_dict(
        tensors={
            "token_level_scores": scores,
            "token_level_rewards": scores,
            "advantages": advantages,
            "returns": returns,
            "prompts": pad([row["prompts"] for row in rows]),
            "responses": pad([row["responses"] for row in rows]),
            "response_mask": mask,
            "rollout_log_probs": pad([row["rollout_log_probs"] for row in rows]),
            "old_log_probs": log_prob,
            **lengths,
        }
    )
    log |= compute_data_metrics(data, use_critic=False)
    log |= calculate_debug_metrics(data)
    actor = ActorConfig(strategy="fsdp2", rollout_n=4, ppo_micro_batch_size_per_gpu=1)
    actor.global_batch_info.update(
        dp_size=1, batch_num_tokens=mask.sum(), global_batch_size=len(rows)
    )
    loss, _ = verl_policy_loss(
        log_prob, log_prob, advantages, mask.bool(), mode, actor, rollout_is_weights=weights
    )
    log["actor/pg_loss"] = loss.item()
    log["actor/entropy"] = agg_loss(pad(case["entropies"]), mask, mode).item()
    fields = [row["extra_fields"] for row in rows]
    return log | reward_metrics(scores.sum(-1).tolist(), fields, [False] * len(rows))


@pytest.fixture(scope="module")
def random_policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("random")
    save_random_policy(folder)
    return folder


@pytest.mark.parametrize("mode", list(AGGREGATIONS))
@pytest.mark.parametrize("preset", ["paper", "calibrated", "uniform"])
def test_a_step_of_verls(
    preset: str,
    mode: str,
    random_policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = {**recorded(random_policy), "folder": random_policy}
    log = verls_log(case, ReSTConfig.preset(preset), monkeypatch, mode)
    write_log(tmp_path / "run", STEP, log)
    dump = save_batch(tmp_path / "run" / "dumps", STEP, case["rows"])
    arguments = ["--model", random_policy, "--preset", preset, "--rest", "syntax=toolrl"]
    arguments += ["--total-steps", TOTAL, "--loss-agg-mode", mode]
    assert run(tmp_path / "out", dump, *arguments) == 0
    metrics = report(tmp_path / "out")["metrics"]
    for name, line in metrics.items():
        assert line["log"] is not None, name
        assert line["replay"] == pytest.approx(line["log"], abs=TOLERANCE), name
    assert report(tmp_path / "out")["remarks"] == []


def test_averages_of_a_checkpoint_go_on(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clock and averages from `rest_state.json` beside the model."""
    config = ReSTConfig.from_options({"preset": "paper", "entropy_ema": 0.9})
    averages = {"format": 0.5, "args": 2.0, "name": 0.1}
    case = {**recorded(random_policy), "folder": random_policy, "averages": averages}
    log = verls_log(case, config, monkeypatch, "token-mean")
    write_log(tmp_path / "run", STEP, log)
    checkpoint = tmp_path / "global_step_6"
    save_random_policy(checkpoint)
    state = {"clock": {"horizon": TOTAL, "anchors": [[0, 0]]}, "entropy": averages}
    (checkpoint / "rest_state.json").write_text(json.dumps(state))
    dump = save_batch(tmp_path / "run" / "dumps", STEP, case["rows"])
    arguments = ["--model", checkpoint, "--rest", "syntax=toolrl", "entropy_ema=0.9"]
    assert run(tmp_path / "out", dump, *arguments, "--loss-agg-mode", "token-mean") == 0
    for name, line in compared(tmp_path / "out").items():
        assert line["replay"] == pytest.approx(line["log"], abs=TOLERANCE), name


def test_progress_is_read_off_the_log(model: Path, tmp_path: Path) -> None:
    dump = plain_step(tmp_path / "run", model)
    arguments = [dump, "--model", model, "--temperature", TEMPERATURE]
    assert run(tmp_path / "out", *arguments) == 0
    found = compared(tmp_path / "out")
    assert found["rest/progress"]["replay"] == STEP / TOTAL
    assert found["rest/weight/args"]["difference"] == pytest.approx(0, abs=TOLERANCE)
    assert run(tmp_path / "out", *arguments, "--progress", "1") == 0
    assert abs(compared(tmp_path / "out")["rest/weight/args"]["difference"]) > 0.01


def test_another_policy_is_told(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = plain_step(tmp_path / "run", model)
    other = tmp_path / "other"
    made = tokenizer()
    new_model(len(made), seed=3).save_pretrained(other)
    made.save_pretrained(other)
    assert run(tmp_path / "out", dump, "--model", other) == 0
    correlation = report(tmp_path / "out")["metrics"][CORRELATION]["replay"]
    assert correlation < LEAST_CORRELATION
    said = " ".join(capsys.readouterr().out.split())
    assert "The model is not the policy that sampled this batch" in said
    assert f"correlate {correlation:.3f} with the sampler's" in said
    assert f"Name the checkpoint of step {STEP - 1}" in said


def test_without_the_samplers_log_probs_the_entropy_tells(
    random_policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = {**recorded(random_policy), "folder": random_policy}
    log = verls_log(case, ReSTConfig(), monkeypatch, "seq-mean-token-mean")
    write_log(tmp_path / "run", STEP, {**log, "actor/entropy": 2 * log["actor/entropy"]})
    drop = {key: dict(row) for key, row in case["rows"].items()}
    for row in drop.values():
        del row["rollout_log_probs"]
    dump = save_batch(tmp_path / "run" / "dumps", STEP, drop)
    arguments = ["--model", random_policy, "--rest", "syntax=toolrl", "--total-steps", TOTAL]
    assert run(tmp_path / "out", dump, *arguments) == 0
    (remark,) = report(tmp_path / "out")["remarks"]
    assert "entropy is not the logged one" in remark


def test_passes_that_are_done_are_not_done_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from rest_verl.study.replay import passes

    dump = plain_step(tmp_path / "run", model)
    whole, calls = passes.response_log_probs, 0

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        return whole(*args, **kwargs)

    monkeypatch.setattr(passes, "response_log_probs", counting)
    monkeypatch.setattr(passes, "_TOKENS", 200)  # a few responses a pass
    arguments = [dump, "--model", model, "--temperature", TEMPERATURE]
    stop_at = -1
    assert run(tmp_path / "whole", *arguments) == 0
    num_passes = calls
    assert num_passes > 2

    output, calls, stop_at = tmp_path / "out", 0, 2
    assert run(output, *arguments) == 130
    assert "goes on from there" in " ".join(capsys.readouterr().err.split())
    assert not (output / "replay.json").exists()
    calls, stop_at = 0, -1
    assert run(output, *arguments) == 0
    assert calls == num_passes - 1
    assert rows_of(output) == rows_of(tmp_path / "whole")

    calls = 0
    assert run(output, *arguments, "--preset", "static") == 0  # other weights, the same passes
    assert calls == 0
    assert rows_of(output) != rows_of(tmp_path / "whole")
    assert run(output, *arguments[:-1], "1") == 0  # another temperature
    assert calls == num_passes


def test_passes_do_not_hang_on_what_goes_with_them(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rest_verl.study.replay import passes

    dump = plain_step(tmp_path / "run", model)
    arguments = [dump, "--model", model, "--temperature", TEMPERATURE]
    assert run(tmp_path / "whole", *arguments) == 0
    monkeypatch.setattr(passes, "_TOKENS", 1)
    assert run(tmp_path / "single", *arguments) == 0
    for one, other in zip(rows_of(tmp_path / "whole"), rows_of(tmp_path / "single"), strict=True):
        assert one["log_prob"] == pytest.approx(other["log_prob"], abs=1e-5)
        assert one["entropy"] == pytest.approx(other["entropy"], abs=1e-5)


def text_dump(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lines of verl's of answers that end, and of one that was cut off."""
    made = tokenizer()
    prompt = made.encode("Days in Oslo?: ")
    texts = [answer(1), answer(2), answer(1)[:40]]
    rows = {}
    for number, text in enumerate(texts):
        end = [made.eos_token_id] if number < 2 else []
        truth = {"ground_truth": answer(1)}
        rows[f"u_{number}_0"] = queue_row(
            prompt, [*made.encode(text), *end], float(number), uid="u", reward_model=truth
        )
    return Dumper(made, monkeypatch).rollouts(folder, STEP, rows)


@pytest.mark.parametrize("with_data", [False, True])
def test_text_is_made_ids_again(
    with_data: bool, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = text_dump(tmp_path / "run" / "rollouts", monkeypatch)
    write_rows(tmp_path / "rows.parquet", num_rows=2)
    data = ["--data", tmp_path / "rows.parquet"] if with_data else []
    assert run(tmp_path / "out", dump, "--model", model, "--progress", "0", *data) == 0
    made = tokenizer()
    lengths = [len(made.encode(text)) for text in (answer(1), answer(2), answer(1)[:40])]
    assert [row["tokens"] for row in rows_of(tmp_path / "out")] == [
        lengths[0] + 1,
        lengths[1] + 1,
        lengths[2],
    ]
    metrics = report(tmp_path / "out")["metrics"]
    assert metrics["prompt_length/max"]["replay"] == len(made.encode("Days in Oslo?: "))
    assert metrics["reward/total/mean"]["replay"] == 1.0
    remarks = report(tmp_path / "out")["remarks"]
    assert "made of text that has lost its special tokens" in remarks[0]
    assert "no metrics are near the dump" in remarks[1]


def line(**changes: Any) -> str:
    whole = {"input": "q", "output": "x", "gts": answer(1), "score": 1.0, "step": 1, "uid": "u_0_0"}
    return json.dumps({**whole, **changes}) + "\n"


REFUSED = {
    "no such file": (None, [], "d: no such file or folder"),
    "no reward": (line(score=None), [], "1.jsonl:1: has no logged reward"),
    "a validation": (line(reward=1.0), [], "is of a validation, on which nothing was trained"),
    "no step": (line(step=None), [], "is not of one training step"),
    "two steps": (line() + line(step=2), [], "is not of one training step"),
    "progress": (line(), [], "give --total-steps N or --progress NU"),
    "metrics": (line(), ["--metrics", "nowhere"], "--metrics nowhere: no such file or folder"),
    "model": (line(), ["--model", "./nowhere"], "--model ./nowhere: no such folder"),
    "no model": (line(), ["--model", "{folder}"], "neither a Hugging Face model (config.json)"),
    "option": (line(), ["--rest", "w_maxx=1"], "did you mean algorithm.rest.w_max?"),
    "value": (line(), ["--rest", "w_max=big"], "algorithm.rest.w_max must be a finite number"),
    "turns": (line(), ["--rest", "weights_per=turn"], "do not tell which turn a token is of"),
    "data": (line(), ["--data", "nowhere"], "--data nowhere: no such file"),
    "output": (line(), ["--output", __file__], "is a file; name a folder"),
}


@pytest.mark.parametrize(("content", "arguments", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_replayed_is_refused(
    content: str | None,
    arguments: list[str],
    message: str,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "d"
    if content is not None:
        folder.mkdir()
        (folder / "1.jsonl").write_text(content)
    named = [] if "--model" in arguments else ["--model", model]
    given = [argument.format(folder=folder) for argument in arguments]
    assert cli.main(["replay-step", str(folder), *map(str, named), *given]) == 1
    assert message in capsys.readouterr().err
    assert not Path("replayed").exists()


def test_several_dumps_are_one_too_many(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        (tmp_path / f"{step}.jsonl").write_text(line(step=step))
    assert run(tmp_path / "out", tmp_path, "--model", model) == 1
    assert "holds 2 dumps; name one, as" in capsys.readouterr().err


def test_the_nearest_log_is_found(tmp_path: Path) -> None:
    dump = tmp_path / "run" / "dumps" / "7" / "0" / "tq_batch.pt"
    dump.parent.mkdir(parents=True)
    assert find_log(dump, None) is None
    (tmp_path / "metrics.jsonl").touch()  # five folders up: another run's
    assert find_log(dump, None) is None
    (tmp_path / "run" / "verl_metrics.jsonl").touch()
    assert find_log(dump, None) == tmp_path / "run"
    assert find_log(dump, tmp_path) == tmp_path
