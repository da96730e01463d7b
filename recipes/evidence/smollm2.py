"""Task `smollm2`: BFCL's own rows, and the policy that recipes/smollm2 starts from.

All seeds share start and prompts; a seed decides what is sampled, and which prompts come when.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recipes.evidence.given import Given
from recipes.evidence.start import PROBES, probe
from recipes.plain_torch.loop import Loop, Settings, Task
from recipes.plain_torch.train import read_tasks
from recipes.smollm2.prepare import NUM_STEPS, make_start
from recipes.tiny_cpu.start import fingerprint, make_once
from rest_verl.data import BfclSource
from rest_verl.evaluation.bfcl.single_turn import score_single_turn
from rest_verl.evaluation.bfcl.validation import bfcl_questions
from rest_verl.evaluation.calls import record_calls
from rest_verl.syntax import get_syntax, read_message
from rest_verl.viewing.tokens.entropy import load_model, load_tokenizer

START = Path("outputs/smollm2_135m_start")
MAX_TOKENS = 128
MICRO_ROWS = 8
NUM_CANDIDATES = 120


def given_smollm2(root: Path, _: int, declared: Mapping[str, Any]) -> Given:
    """What all seeds share."""
    root.mkdir(parents=True, exist_ok=True)
    prompts = root / "prompts"
    with (root / "making.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_start(START, NUM_STEPS, None)
        recipe = fingerprint((START / "model" / "model.safetensors", Path(__file__)))
        make_once(prompts, recipe, lambda folder: choose_prompts(folder, declared["temperature"]))
    held_out = START / "data" / "held_out.parquet"
    return Given(
        model=START / "model",
        prompts=[Task(**row) for row in json.loads((prompts / "train.json").read_text())],
        held_out=read_tasks(held_out, load_tokenizer(str(START / "model"))),
        facts=json.loads((prompts / "start.json").read_text()),
        max_tokens=MAX_TOKENS,
        micro_rows=MICRO_ROWS,
        bfcl=bfcl_verdicts(pq.read_table(held_out).to_pylist()),
    )


def choose_prompts(folder: Path, temperature: float) -> None:
    """Fills `folder` with `train.json`, the first rows' prompts that teach, and `start.json`."""
    tokenizer, model = load_tokenizer(str(START / "model")), load_model(str(START / "model"))
    loop = Loop(model, tokenizer, Settings(max_tokens=MAX_TOKENS, temperature=temperature))
    candidates = read_tasks(START / "data" / "train.parquet", tokenizer)[:NUM_CANDIDATES]
    num_right = probe(loop, candidates)
    rows = [
        {"prompt": task.prompt, "ground_truth": task.ground_truth}
        for task, right in zip(candidates, num_right, strict=True)
        if 0 < right < PROBES
    ]
    weights = (START / "model" / "model.safetensors").read_bytes()
    facts = {
        "exact": sum(num_right) / (len(candidates) * PROBES),
        "teaching_prompts": len(rows),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    (folder / "train.json").write_text(json.dumps(rows))
    (folder / "start.json").write_text(json.dumps(facts) + "\n")


def bfcl_verdicts(rows: Sequence[Mapping[str, Any]]) -> Callable[[Sequence[str]], str]:
    """Judges one answer to each of these rows, whose prompts ask for ToolRL's format."""
    questions = list(bfcl_questions(rows, BfclSource.open()).values())
    syntax = get_syntax("toolrl")

    def verdicts(texts: Sequence[str]) -> str:
        readings = [read_message(syntax, text, think_is_open=False) for text in texts]
        return "".join(
            str(int(score_single_turn(question, record_calls(reading), reading.foreign).valid))
            for question, reading in zip(questions, readings, strict=True)
        )

    return verdicts
