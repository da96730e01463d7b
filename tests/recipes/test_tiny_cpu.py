"""The tiny recipe's parts: its splits, the model's start, and the summary of a run."""

import json
import random
import re
from collections import Counter
from pathlib import Path

import pytest
import torch

from recipes.tiny_cpu import summarize
from recipes.tiny_cpu.data import SPLITS, fitting, read_tasks, verl_rows
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import PAD, TAGS, TURN_END, new_model, train_tokenizer
from recipes.tiny_cpu.renaming import partly_renamed
from recipes.tiny_cpu.start import is_complete, make_once
from recipes.tiny_cpu.summarize import (
    compare,
    held_out_table,
    pick_samples,
    read_log,
    summarise,
)
from recipes.tiny_cpu.warm_start import encode, warm_start
from rest_verl.rewards import tool_call_reward
from rest_verl.syntax import get_syntax


@pytest.fixture(scope="module")
def tasks():
    pytest.importorskip("bfcl_eval", reason="the tasks are BFCL's")
    return read_tasks()


@pytest.fixture(scope="module")
def tokenizer(tasks):
    chosen = [task for task in tasks if task.split == "warm_start"]
    texts = [message["content"] for task in chosen for message in task.messages]
    return train_tokenizer([*texts, *(task.answer for task in chosen)])


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other on busy cores make small models many times slower."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def fresh_model(tokenizer, seed: int, with_head: bool = True):
    torch.manual_seed(seed)
    model = new_model(tokenizer)
    if with_head:
        start_with_induction_head(model, torch.Generator().manual_seed(seed))
    return model


def test_splits_never_meet(tasks):
    ids = Counter(task.row.id for task in tasks)
    assert max(ids.values()) == 1
    split_of: dict[str, str] = {}
    for task in tasks:
        assert split_of.setdefault(task.row.question_key, task.split) == task.split
    assert set(split_of.values()) == set(SPLITS)


def test_splits_are_the_same_every_time(tasks):
    assert read_tasks() == tasks


def test_every_reference_answer_earns_the_maximum(tasks):
    for task in tasks:
        (row,) = verl_rows([task], task.split)
        truth = row["reward_model"]["ground_truth"]
        assert tool_call_reward(task.answer, truth).score == 4.0, task.row.id


def test_rows_carry_their_split(tasks):
    rows = verl_rows(tasks, "held_out")
    assert len(rows) == sum(task.split == "held_out" for task in tasks)
    assert {row["data_source"] for row in rows} == {"held_out"}
    assert {row["extra_info"]["split"] for row in rows} == {"held_out"}
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))


def test_tokenizer_keeps_the_tags_and_the_text(tasks, tokenizer):
    assert len(tokenizer) <= 1024
    for tag in TAGS:
        assert len(tokenizer(tag)["input_ids"]) == 1
    assert (tokenizer.pad_token, tokenizer.eos_token) == (PAD, TURN_END)
    answer = tasks[0].answer + " 1234 Zürich"
    ids = tokenizer(answer)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == answer
    assert len(tokenizer("1234")["input_ids"]) == 4  # digits stay single


def test_long_tasks_are_left_out(tasks, tokenizer):
    kept = fitting(tasks, tokenizer)
    assert 0 < len(kept) < len(tasks)
    for task in kept[:50]:
        prompt = tokenizer.apply_chat_template(task.messages, add_generation_prompt=True)
        assert len(prompt["input_ids"]) <= 160
        assert len(tokenizer(task.answer)["input_ids"]) < 80


@pytest.mark.parametrize("seed", [0, 1])
def test_induction_head_copies(tokenizer, seed):
    # 40 random ids, then the same again: with the head, the second half follows from the first
    half = 40
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(10, len(tokenizer), (8, half), generator=generator).repeat(1, 2)

    @torch.no_grad()
    def accuracy(model) -> float:
        guess = model.eval()(input_ids=ids).logits[:, half:-1].argmax(-1)
        return (guess == ids[:, half + 1 :]).float().mean().item()

    assert accuracy(fresh_model(tokenizer, seed)) > 0.6
    assert accuracy(fresh_model(tokenizer, seed, with_head=False)) < 0.05


def test_warm_start_follows_its_seed(tasks, tokenizer):
    chosen = [task for task in fitting(tasks, tokenizer) if task.split == "warm_start"][:48]

    def trained(seed: int) -> list[torch.Tensor]:
        model = fresh_model(tokenizer, 0)
        warm_start(
            model,
            tokenizer,
            lambda rng: partly_renamed(chosen, rng),
            num_steps=2,
            batch_size=4,
            seed=seed,
        )
        return [parameter.detach() for parameter in model.parameters()]

    first, again, other = trained(0), trained(0), trained(1)
    start = list(fresh_model(tokenizer, 0).parameters())
    assert all(map(torch.equal, first, again))
    assert not any(map(torch.equal, first, start))
    assert not all(map(torch.equal, first, other))


def test_conversations_are_encoded_as_the_template_does(tasks, tokenizer):
    for conversation in partly_renamed(tasks[:40], random.Random(0)):
        ids, weights = encode(tokenizer, conversation)
        assert ids == tokenizer.apply_chat_template(conversation)["input_ids"]
        learned = [i for i, weight in zip(ids, weights, strict=True) if weight == 1.0]
        assert tokenizer.decode(learned) == conversation[-1]["content"] + TURN_END


def test_renamed_tools_keep_their_parameters_and_their_answer(tasks):
    renamed = 0
    for task, conversation in zip(tasks, partly_renamed(tasks, random.Random(1)), strict=True):
        system, answer = conversation[0]["content"], conversation[-1]["content"]
        if system == task.messages[0]["content"]:
            assert answer == task.answer
            continue
        renamed += 1
        for call in get_syntax("toolrl").read(answer).calls:
            assert f"\n{call.name}(" in system
        strip = {re.sub(r"^[^(]*", "", line) for line in system.split("\n")[1:]}
        assert strip == {
            re.sub(r"^[^(]*", "", line) for line in task.messages[0]["content"].split("\n")[1:]
        }
    assert renamed > len(tasks) // 4


def test_a_folder_is_reused_only_if_this_recipe_completed_it(tmp_path):
    folder = tmp_path / "start"
    made = []

    def make(partial):
        made.append(partial)
        (partial / "file").write_text("x")

    for recipe in ("one", "one", "two"):
        make_once(folder, recipe, make)
    assert len(made) == 2
    assert is_complete(folder, "two")
    for text in ("", "{", "{}", '{"recipe": "another"}'):
        (folder / "complete.json").write_text(text)
        assert not is_complete(folder, "two")


def test_a_folder_that_was_not_completed_is_not_there(tmp_path):
    def fail(partial):
        raise RuntimeError("cut off")

    with pytest.raises(RuntimeError):
        make_once(tmp_path / "start", "one", fail)
    assert not (tmp_path / "start").exists()


CORRELATION = "training/rollout_actor_probs_pearson_corr"


def answer(
    row: str, score: float, *rates: float, valid: bool = False, text: str = "", sample: int = 0
) -> dict:
    names = ("format_ok", "name_match", "exact_match")
    logged = {"score": score, **dict(zip(names, rates or (0.0, 0.0, 0.0), strict=True))}
    return {"id": row, "sample": sample, "text": text, "valid": valid, "logged": logged}


def test_summary_by_hand():
    # step 0 is the validation before training: no reward of a training step
    rewards = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0]
    records = [{"step": 0, "val/x": 1.0}]
    records += [
        {"step": step, "reward/total/mean": reward, CORRELATION: 1 - 0.001 * step}
        for step, reward in enumerate(rewards, start=1)
    ]
    before = [answer("a", -3.0), answer("b", 1.0, 1.0, 0.0, 0.0)]
    after = [answer("a", 4.0, 1.0, 1.0, 1.0, valid=True), answer("b", 1.0, 1.0, 1.0, 0.0)]
    summary = summarise(records, before, after)
    assert summary.pop("held_out") == compare(before, after)
    assert summary == {
        "reward_first5": -1.0,
        "reward_last5": 1.0,
        "format_rate_before": 0.5,
        "format_rate_after": 1.0,
        "name_accuracy_before": 0.0,
        "name_accuracy_after": 1.0,
        "exact_match_before": 0.0,
        "exact_match_after": 0.5,
        "held_out_rows": 2,
        "held_out_answers": 2,
        "sampler_trainer_correlation": pytest.approx(0.993),
        "steps": 7,
    }


def test_samples_of_earlier_weights_are_not_held_against_the_sampler():
    stale = {"reward/total/mean": 0.0, "rest/staleness/max": 1.0}
    records = [
        {"reward/total/mean": 0.0, "rest/staleness/max": 0.0, CORRELATION: 0.999},
        {**stale, CORRELATION: 0.5},
        {**stale, CORRELATION: 0.6, f"{CORRELATION}/fresh": 0.998},
        {**stale, CORRELATION: 0.7, f"{CORRELATION}/fresh": None},
    ]
    summary = summarise(records, [answer("a", 0.0)], [answer("a", 0.0)])
    assert summary["sampler_trainer_correlation"] == 0.998


def test_a_run_without_a_step_is_an_error():
    with pytest.raises(ValueError, match="no training step"):
        summarise([{"step": 0, "val/x": 1.0}], [], [])


def test_before_and_after_go_by_rows():
    # 8 rows of 2 answers: none right before, one of each row's after; the format never changes.
    before = [
        answer(f"r{n}", 0.0, 1.0, 0.0, 0.0, sample=sample) for n in range(8) for sample in (0, 1)
    ]
    after = [{**one, "valid": one["sample"] == 1} for one in before]
    compared = compare(before, after)
    accuracy = compared["bfcl_accuracy"]
    assert (accuracy["before"]["correct"], accuracy["after"]["correct"]) == (0.0, 4.0)
    assert (accuracy["before"]["total"], accuracy["difference"]) == (8, 0.5)
    assert accuracy["interval"] == [0.5, 0.5]  # each row gained one of two
    assert accuracy["p"] == pytest.approx(2 / 2**8)  # all eight signs alike, either way
    assert accuracy["more_than_noise"]
    assert accuracy["sentence"].startswith("After training it is better, by more than noise")
    assert accuracy["after"]["interval"] == pytest.approx([0.215, 0.785], abs=1e-3)  # Wilson, 4 / 8
    assert compared["valid_format"]["before"]["accuracy"] == 1.0
    assert compared["right_names"]["sentence"].startswith("No difference")
    table = held_out_table(compared).splitlines()
    assert table[2] == (
        "| BFCL accuracy | 0.00 % (0.00–32.44) | 50.00 % (21.52–78.48) | "
        "+50.00 (+50.00 to +50.00) | 0.0078 |"
    )
    assert len(table) == 7


@pytest.mark.parametrize("recipe", ["tiny_cpu", "smollm2"])
def test_the_readme_shows_the_expected_summary(recipe):
    folder = Path(summarize.__file__).parents[1] / recipe
    expected = json.loads((folder / "expected_summary.json").read_text())
    assert held_out_table(expected["held_out"]) in (folder / "README.md").read_text()


def test_the_front_page_has_the_figures_of_the_pretrained_models_run():
    recipes = Path(summarize.__file__).parents[1]
    expected = json.loads((recipes / "smollm2" / "expected_summary.json").read_text())
    accuracy = expected["held_out"]["bfcl_accuracy"]
    before, after = (accuracy[when]["accuracy"] * 100 for when in ("before", "after"))
    spent = f"{expected['seconds'] / 60:.0f} minutes"
    text = " ".join((recipes.parent / "README.md").read_text().split())
    wanted = f"from {before:.2f} % to {after:.2f} % (p {accuracy['p']:.2g}) in {spent}"
    assert wanted in text


def row(name: str) -> dict:
    return {
        "prompt": [{"role": "user", "content": f"prompt {name}"}],
        "reward_model": {"ground_truth": name},
        "extra_info": {"id": f"id_{name}"},
    }


def test_samples_are_the_ends_and_the_middle():
    changes = {"a": 0.0, "b": -2.0, "c": 5.0, "d": 1.0, "e": 3.0}
    before = [answer(f"id_{name}", -1.0, text=f"old {name}") for name in changes]
    after = [
        answer(f"id_{name}", change - 1.0, text=f"new {name}") for name, change in changes.items()
    ]
    samples = pick_samples([row(name) for name in changes], before, after)
    assert [sample["ground_truth"] for sample in samples] == ["c", "d", "b"]
    assert [sample["rank"] for sample in samples] == ["best of 5", "median of 5", "worst of 5"]
    assert samples[0] == {
        "id": "id_c",
        "rank": "best of 5",
        "prompt": "user\nprompt c",
        "ground_truth": "c",
        "before": "old c",
        "before_score": -1.0,
        "before_mean": -1.0,
        "before_answers": 1,
        "before_why": [],  # no ground truth that the rule reads
        "after": "new c",
        "after_score": 4.0,
        "after_mean": 4.0,
        "after_answers": 1,
        "after_why": [],
    }


def test_of_several_answers_the_middle_one_is_shown_beside_their_mean():
    after = [answer("id_a", score, text=f"scored {score}") for score in (4.0, -3.0, 2.0)]
    (sample,) = pick_samples([row("a")], [answer("id_a", 0.0)], after)
    assert (sample["after"], sample["after_score"]) == ("scored 2.0", 2.0)
    assert (sample["after_mean"], sample["after_answers"]) == (1.0, 3)


def test_few_answers_give_few_samples():
    samples = pick_samples([row("a")], [answer("id_a", 0.0)], [answer("id_a", 1.0)])
    assert [sample["id"] for sample in samples] == ["id_a"]


def test_the_logs_of_several_starts_are_joined(tmp_path):
    earlier = '{"step": 1, "data": {"a": 2.0}}\n{"step": 2, "data": {"a": 3.0}}\n{"step": 3, "da\n'
    (tmp_path / "verl_metrics_earlier.jsonl").write_text(earlier)
    (tmp_path / "verl_metrics.jsonl").write_text('{"step": 2, "data": {"a": 4.0, "b": null}}\n')
    assert read_log(tmp_path) == [{"step": 1, "a": 2.0}, {"step": 2, "a": 4.0}]
