"""The loop without verl: it learns, repeats itself, and does not hang on how its rows are split.

That its gradient is that of verl's engine is tested in integration/test_composition_engine.py.
"""

import json

import pytest
import torch
from toy_tokenizers import byte_level
from transformers import Qwen3Config, Qwen3ForCausalLM

from recipes.plain_torch.loop import Loop, Settings, Task
from recipes.plain_torch.train import main
from rest_verl.data.parquet import BFCL_EXTRA_INFO, write_dataset
from rest_verl.study.policy import response_log_probs

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")
TRUTH = json.dumps(
    {"format": "toolrl", "expect": "calls", "calls": [{"name": "f", "parameters": {}}]}
)
RIGHT = '<think> I call f. </think>\n<tool_call>\n{"name": "f", "parameters": {}}\n</tool_call>'


def make_model(tokenizer) -> Qwen3ForCausalLM:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_level(TAGS)


def make_loop(tokenizer, **changes) -> Loop:
    defaults = {"num_steps": 3, "responses_per_prompt": 4, "max_tokens": 12, "learning_rate": 1e-3}
    return Loop(make_model(tokenizer), tokenizer, Settings(**{**defaults, **changes}))


def tasks_for(tokenizer) -> list[Task]:
    return [Task(tokenizer.encode(text), TRUTH) for text in ("Call f.", "Do it with f, now!")]


def weights_of(loop: Loop) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in loop.model.parameters()])


def test_a_run_repeats_itself(tokenizer) -> None:
    runs = []
    for _ in range(2):
        loop = make_loop(tokenizer)
        metrics = [loop.step(tasks_for(tokenizer), number) for number in (1, 2)]
        runs.append((metrics, weights_of(loop)))
    assert runs[0][0] == runs[1][0]
    assert torch.equal(runs[0][1], runs[1][1])


def test_no_weight_moves_where_all_answers_earn_the_same(tokenizer) -> None:
    loop = make_loop(tokenizer, max_tokens=2)  # no answer of two tokens is right
    before = weights_of(loop).clone()
    metrics = loop.step(tasks_for(tokenizer), 1)
    assert metrics["reward/total/mean"] == -3.0
    assert torch.equal(weights_of(loop), before)


def one_batch(tokenizer):
    """Arguments of `accumulate`: a right answer and a wrong one to the same prompt."""
    rows = [tokenizer.encode(RIGHT), tokenizer.encode("<think> No. </think>")]
    lengths = torch.tensor([len(row) for row in rows])
    padded = [row + [tokenizer.pad_token_id] * int(lengths.max() - len(row)) for row in rows]
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.tensor(padded * 2)
    mask = mask.repeat(2, 1)
    mask[0, 1] = False  # a token that does not train, as an observation's
    prompts = [tokenizer.encode("Call f.")] * 2 + [tokenizer.encode("Do it with f, now!")] * 2
    advantages = torch.tensor([1.0, -1.0, 0.5, -0.5])[:, None] * mask
    old = torch.full(mask.shape, -3.0)
    return prompts, ids, old, advantages, mask, torch.ones(mask.shape)


def gradient(loop: Loop, batch) -> torch.Tensor:
    loop.model.zero_grad()
    loop.accumulate(*batch)
    return torch.cat([p.grad.flatten() for p in loop.model.parameters()])


@pytest.mark.parametrize("micro_rows", [1, 2, 3])
def test_the_gradient_does_not_hang_on_how_rows_are_split(tokenizer, micro_rows: int) -> None:
    whole = make_loop(tokenizer, micro_rows=4)
    parts = make_loop(tokenizer, micro_rows=micro_rows)
    expected = gradient(whole, one_batch(tokenizer))
    found = gradient(parts, one_batch(tokenizer))
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_updates_make_the_right_answer_likelier(tokenizer) -> None:
    loop = make_loop(tokenizer)
    batch = one_batch(tokenizer)

    def log_prob() -> torch.Tensor:
        with torch.no_grad():
            values, _ = response_log_probs(loop.model, batch[0], batch[1])
        return (values * batch[4]).sum(-1)

    before = log_prob()
    for _ in range(3):
        loop.update(*batch)
    after = log_prob()
    assert ((after - before)[::2] > (after - before)[1::2]).all()


def test_the_schedule_of_the_reward_ends_with_the_run(tokenizer) -> None:
    loop = make_loop(tokenizer, reward="toolrl_scheduled")
    tasks = tasks_for(tokenizer)[:1]
    ids = torch.tensor([[*tokenizer.encode(RIGHT), tokenizer.eos_token_id]])
    rollouts = type("Given", (), {"ids": lambda self: ids.tolist()})()
    scores = [loop.judge(tasks, rollouts, 1, step)[0].score for step in (0, 3, None)]
    assert scores == [4.0, 4.0, 4.0]  # 2 + 2, 1 + 3, and the fixed 1 + 3
    formats = [loop.judge(tasks, rollouts, 1, step)[0].format for step in (0, 3, None)]
    assert formats == [2.0, 1.0, 1.0]


def test_the_command_trains_on_the_rows_of_a_data_script(tokenizer, tmp_path, monkeypatch) -> None:
    row = {
        "data_source": "made",
        "prompt": [{"role": "user", "content": "Call f."}],
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": TRUTH},
        "extra_info": {
            "index": 0, "id": "made_0", "category": "made", "split": "train", "version": "",
            "tools": "", "syntax": "toolrl",
        },
    }  # fmt: skip
    write_dataset(tmp_path / "data", {"train": [row]}, BFCL_EXTRA_INFO, {})
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}"
    make_model(tokenizer).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    command = f"train --model {tmp_path}/model --data {tmp_path}/data/train.parquet --prompts 1"
    monkeypatch.setattr(
        "sys.argv", [*command.split(), "--steps", "2", "--output-dir", str(tmp_path)]
    )
    main()
    steps = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["step"] for record in steps] == [1, 2]
    assert all(record["data"]["rest/progress"] == record["step"] / 2 for record in steps)
    assert (tmp_path / "model" / "config.json").exists()
