"""What a seed of the small task starts from: a warm-started policy, and prompts that teach it.

All seeds share a base, trained once; each goes on from it with lessons of its own and keeps the
training prompts of which it gets some answers right and some wrong. All arms of a seed share what
comes out. The rules were fixed before the study's first result (declaration.json).
"""

import fcntl
import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from recipes.evidence.desk import Request, make_requests
from recipes.plain_torch.loop import Loop, Settings, Task
from recipes.tiny_cpu.induction import start_with_induction_head
from recipes.tiny_cpu.model import new_model, train_tokenizer
from recipes.tiny_cpu.start import fingerprint, make_once
from recipes.tiny_cpu.warm_start import LEARNING_RATE, warm_start
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer

MAX_TOKENS = 80
NUM_LESSONS, BATCH_SIZE = 4480, 16
BASE_BATCHES, ROUND_BATCHES = 280, 20
ROUND_LEARNING_RATE = 1e-3
NUM_CANDIDATES, PROBES = 400, 8
SIDE_BY_SIDE = 16  # prompts whose answers are sampled at once
SOURCES = ("evidence/desk", "evidence/start", "tiny_cpu/model", "tiny_cpu/induction")


def start_folder(root: Path, seed: int) -> Path:
    """The folder of a seed's start, made where it is not there; safe among processes."""
    root.mkdir(parents=True, exist_ok=True)
    recipes = Path(__file__).parents[1]
    recipe = fingerprint(recipes / f"{name}.py" for name in SOURCES)
    base, folder = root / "base", root / f"start_{seed}"
    with (root / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_once(base, recipe, make_base)
    make_once(folder, recipe, lambda partial: make_start(partial, base, seed))
    return folder


def make_base(folder: Path) -> None:
    """Fills `folder` with a tokenizer and a model that writes calls, few of them right."""
    torch.manual_seed(0)
    requests = make_requests(NUM_LESSONS, "base")
    conversations = list(map(_lesson, requests))
    tokenizer = train_tokenizer(message["content"] for c in conversations for message in c)
    model = new_model(tokenizer, context=512)
    start_with_induction_head(model, torch.Generator().manual_seed(0))
    _teach(model, tokenizer, conversations, num_steps=BASE_BATCHES, seed=0, rate=LEARNING_RATE)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_start(folder: Path, base: Path, seed: int) -> None:
    """Fills `folder` with `model/`, `train.json` (prompts that teach) and `start.json` (facts)."""
    torch.manual_seed(seed)
    tokenizer, model = load_tokenizer(str(base)), load_model(str(base))
    requests = make_requests(ROUND_BATCHES * BATCH_SIZE, f"warm {seed}")
    lessons = list(map(_lesson, requests))
    _teach(model, tokenizer, lessons, num_steps=ROUND_BATCHES, seed=seed, rate=ROUND_LEARNING_RATE)
    loop = Loop(model, tokenizer, Settings(max_tokens=MAX_TOKENS, seed=seed))
    candidates = tasks_of(make_requests(NUM_CANDIDATES, f"train {seed}"), tokenizer)
    num_right = probe(loop, candidates)
    teaching = [
        task for task, right in zip(candidates, num_right, strict=True) if 0 < right < PROBES
    ]
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [{"prompt": task.prompt, "ground_truth": task.ground_truth} for task in teaching]
    (folder / "train.json").write_text(json.dumps(rows))
    weights = (folder / "model" / "model.safetensors").read_bytes()
    facts = {
        "exact": sum(num_right) / (NUM_CANDIDATES * PROBES),
        "teaching_prompts": len(teaching),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "start.json").write_text(json.dumps(facts) + "\n")


def tasks_of(requests: list[Request], tokenizer: Any) -> list[Task]:
    """The requests as token ids."""
    return [
        Task(
            tokenizer.apply_chat_template(request.messages, add_generation_prompt=True)[
                "input_ids"
            ],
            request.ground_truth,
        )
        for request in requests
    ]


def _lesson(request: Request) -> list[dict[str, str]]:
    return [*request.messages, {"role": "assistant", "content": request.lesson}]


def _teach(
    model: Any,
    tokenizer: Any,
    lessons: list[list[dict[str, str]]],
    *,
    num_steps: int,
    seed: int,
    rate: float,
) -> None:
    warm_start(
        model,
        tokenizer,
        lambda rng: lessons,
        num_steps=num_steps,
        batch_size=BATCH_SIZE,
        seed=seed,
        learning_rate=rate,
    )


def probe(loop: Loop, tasks: list[Task]) -> list[int]:
    """How many of PROBES answers to each task are right, sampled as in training."""
    num_right = []
    for start in range(0, len(tasks), SIDE_BY_SIDE):
        chunk = tasks[start : start + SIDE_BY_SIDE]
        rollouts = loop.sample(chunk, PROBES, loop.settings.temperature)
        right = [result.exact_match for result in loop.judge(chunk, rollouts, PROBES, None)]
        num_right += [sum(right[i : i + PROBES]) for i in range(0, len(right), PROBES)]
    return num_right
