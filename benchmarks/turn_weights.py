"""How unevenly a response's weights fall on its turns: what `weights_per=turn` would level.

    python run_scripts/fetch_tokenizers.py
    python benchmarks/turn_weights.py [--docs docs/turn-credit.md]

Plays BFCL's own right calls (multi_turn_base, v4) as conversations in ToolRL's format, tokenised
by Qwen3's tokenizer, without thoughts and with a thought of 20 to 200 made-up words before each
message, and weighs them with `weights_per=response`: the mean weight of each turn's tokens. With
`turn` that mean is 1. Entropies are profiles of benchmarks/weights.py. Needs bfcl-eval; takes half
a minute.

Shape letters: B conversations, T tokens that the model wrote (padded).
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import into_page, write_json
from labelling import SEED, TextMaker
from transformers import AutoTokenizer
from weights import PROFILES

from rest_verl.algorithm.regions import RegionLabeler
from rest_verl.algorithm.weighting import token_weights
from rest_verl.data import BfclSource, Dialogue
from rest_verl.data.answers import write_answer
from rest_verl.data.bfcl_replay import replay_category
from rest_verl.files.atomic import write_atomically

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from real_tokenizers import CACHE

CATEGORY = "multi_turn_base"
THOUGHTS = {"no thought": (0, 0), "thoughts of 20 to 200 words": (20, 200)}
PRESETS = ("paper", "calibrated")
WEIGHED = ("early: all uncertain", "late: calls are certain")
PROGRESS = 0.5
PERCENTILES = (5, 50, 95)


def messages(
    dialogue: Dialogue, maker: TextMaker, words: tuple[int, int]
) -> Iterator[tuple[int, str]]:
    """(turn, text) of each message that the model wrote."""
    lengths = random.Random(dialogue.id)
    turn = -1
    for message in dialogue.messages:
        turn += message.role == "user"
        if message.role == "assistant":
            think = " ".join(maker.words(lengths.randint(*words)))
            yield turn, write_answer(message.calls, message.content, "toolrl", think=think or None)


def make_batch(
    dialogues: list[Dialogue], tokenizer: Any, words: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Regions and turns of all conversations, (B, T), -1 at padding."""
    maker, labeler = TextMaker(SEED), RegionLabeler(tokenizer, syntax="toolrl")
    rows = []
    for dialogue in dialogues:
        regions, turns = [], []
        for turn, text in messages(dialogue, maker, words):
            ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
            regions += labeler.label_batch(np.array([ids]), np.ones((1, len(ids))))[0].tolist()
            turns += [turn] * len(ids)
        rows.append((regions, turns))
    longest = max(len(regions) for regions, _ in rows)
    batch = np.full((2, len(rows), longest), -1)
    for row, both in enumerate(rows):
        batch[:, row, : len(both[0])] = both
    return batch[0], batch[1]


def turn_means(region_BT: np.ndarray, turn_BT: np.ndarray, profile: str, preset: str) -> np.ndarray:
    """The mean weight of each turn of each conversation, laid flat."""
    entropies = np.array(PROFILES[profile][0])
    entropy_BT = np.where(region_BT >= 0, entropies[region_BT], 0.0)
    weight_BT, _ = token_weights(
        torch.from_numpy(region_BT), torch.from_numpy(entropy_BT), PROGRESS, config=preset
    )
    means = []
    for weights, turns in zip(weight_BT.numpy(), turn_BT, strict=True):
        means += [weights[turns == turn].mean() for turn in range(turns.max() + 1)]
    return np.array(means)


def measure() -> list[dict[str, Any]]:
    """One record for each kind of thought, profile and preset."""
    dialogues = replay_category(BfclSource.open(), CATEGORY).dialogues
    tokenizer = AutoTokenizer.from_pretrained(CACHE / "qwen3")
    records = []
    for thoughts, words in THOUGHTS.items():
        region_BT, turn_BT = make_batch(dialogues, tokenizer, words)
        for profile in WEIGHED:
            for preset in PRESETS:
                means = turn_means(region_BT, turn_BT, profile, preset)
                records.append(
                    {
                        "thoughts": thoughts,
                        "profile": profile,
                        "preset": preset,
                        "conversations": len(dialogues),
                        "turns": len(means),
                        "percentiles": np.percentile(means, PERCENTILES).round(3).tolist(),
                        "apart_by_a_tenth": round(float((np.abs(means - 1) > 0.1).mean()), 3),
                    }
                )
    return records


def table(records: list[dict[str, Any]]) -> str:
    """As Markdown."""
    first = records[0]
    lines = [
        f"{first['turns']:,} turns of {first['conversations']} conversations of BFCL "
        f"(`{CATEGORY}`, the right calls), progress {PROGRESS:g}:",
        "",
        "| messages with | entropies | preset | mean weight of a turn: 5 %, median, 95 % | "
        "more than a tenth from 1 |",
        "|---|---|---|--:|--:|",
    ]
    for record in records:
        cells = ", ".join(f"{value:.2f}" for value in record["percentiles"])
        lines.append(
            f"| {record['thoughts']} | {record['profile']} | `{record['preset']}` | {cells} | "
            f"{record['apart_by_a_tenth']:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--docs", type=Path, help="page to put the table into")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("outputs/benchmarks/turn_weights.json"),
        help="JSON file",
    )
    options = parser.parse_args()
    records = measure()
    print(table(records))
    if options.docs is not None:
        page = options.docs.read_text(encoding="utf-8")
        write_atomically(options.docs, into_page(table(records), page, "turn_weights.py"))
    write_json(options.output, {"records": records})


if __name__ == "__main__":
    main()
