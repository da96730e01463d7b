"""Speed of labelling and reading in every syntax, with a real tokenizer.

    python run_scripts/fetch_tokenizers.py && python benchmarks/syntaxes.py
    python benchmarks/syntaxes.py --baseline ../rest_verl-of-before     # a checkout to compare with

A usual answer is 2,048 tokens, about 7/10 of them thought, with three calls; a full one is calls
throughout. Answers are written by each syntax from the same made-up thoughts and calls, and
tokenised by Qwen3's tokenizer. With --baseline the same ids are labelled in turns by the labeler of
the other checkout, and the labels compared, for `toolrl` and `hermes`, which it knows.

Shape letters: B responses, T response tokens (padded).
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import write_json
from labelling import SEED, TextMaker, seconds
from transformers import AutoTokenizer

from rest_verl.algorithm.regions import Region, RegionLabeler
from rest_verl.syntax import Syntax, ToolCall, get_syntax, syntax_names

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from real_tokenizers import CACHE

ROWS, DIFFERENT, LENGTH = 256, 16, 2_048
KINDS = ("usual", "full")
OLD = ("toolrl", "hermes")

_BASELINE = """\
import hashlib, sys, time
import numpy as np
from transformers import AutoTokenizer
from rest_verl.algorithm.regions import RegionLabeler
batch = np.load(sys.argv[2])
labeler = RegionLabeler(AutoTokenizer.from_pretrained(sys.argv[1]))
regions = labeler.label_batch(batch["ids"], batch["mask"])
print(hashlib.sha256(regions.tobytes()).hexdigest(), flush=True)
for line in sys.stdin:
    start = time.perf_counter()
    labeler.label_batch(batch["ids"], batch["mask"])
    print(time.perf_counter() - start, flush=True)
"""


def make_calls(maker: TextMaker, count: int) -> list[ToolCall]:
    return [
        ToolCall(
            "_".join(maker.words(2)),
            {"place": " ".join(maker.words(2)), "note": maker.prose(4), "count": 7, "of": [1, 2]},
        )
        for _ in range(count)
    ]


def make_batch(
    maker: TextMaker, tokenizer: Any, syntax: Syntax, kind: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask, (B, T); rows of `full` are cut off where they are long enough."""
    ids_BT = np.full((DIFFERENT, LENGTH), tokenizer.eos_token_id)
    mask_BT = np.zeros_like(ids_BT)
    for row in range(DIFFERENT):
        if kind == "usual":
            prose = tokenizer(maker.prose(LENGTH))["input_ids"][: int(0.68 * LENGTH)]
            text = syntax.write(make_calls(maker, 3), think=tokenizer.decode(prose))
        else:
            text = syntax.write(make_calls(maker, 60))
        ids = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id][:LENGTH]
        ids_BT[row, : len(ids)] = ids
        mask_BT[row, : len(ids)] = 1
    copies = (ROWS // DIFFERENT, 1)
    return np.tile(ids_BT, copies), np.tile(mask_BT, copies)


class Baseline:
    """The labeler of another checkout, in a process of its own, asked for one timing at a time."""

    def __init__(self, checkout: Path, ids_BT: np.ndarray, mask_BT: np.ndarray) -> None:
        self._folder = tempfile.TemporaryDirectory()
        batch = Path(self._folder.name) / "batch.npz"
        np.savez(batch, ids=ids_BT, mask=mask_BT)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BASELINE, str(CACHE / "qwen3"), str(batch)],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

        assert self._process.stdout
        self.digest = self._process.stdout.readline().strip()
        """Of its labels."""

    def seconds(self) -> float:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()
        self._folder.cleanup()


def measure(
    tokenizer: Any, syntax: Syntax, kind: str, repeats: int, checkout: Path | None
) -> dict[str, Any]:
    """Milliseconds a row."""
    ids_BT, mask_BT = make_batch(TextMaker(SEED), tokenizer, syntax, kind)
    labeler = RegionLabeler(tokenizer, syntax)
    regions_BT = labeler.label_batch(ids_BT, mask_BT)
    for region in (Region.FORMAT, Region.NAME, Region.ARGS):
        assert (regions_BT == region).any(axis=1).all(), f"{syntax.name}: no {region.name}"
    texts = [
        labeler.vocabulary.response_text(ids[mask > 0])
        for ids, mask in zip(ids_BT, mask_BT, strict=True)
    ]
    baseline = Baseline(checkout, ids_BT, mask_BT) if checkout and syntax.name in OLD else None
    label_s, read_s, baseline_s = [], [], []
    for _ in range(repeats):
        label_s.append(seconds(labeler.label_batch, ids_BT, mask_BT))
        read_s.append(seconds(lambda: [syntax.read(text) for text in texts]))
        if baseline:
            baseline_s.append(baseline.seconds())
    result = {
        "syntax": syntax.name,
        "kind": kind,
        "tokens_mean": float(mask_BT.sum(1).mean()),
        "label_ms_per_row": 1e3 * statistics.median(label_s) / ROWS,
        "read_ms_per_row": 1e3 * statistics.median(read_s) / ROWS,
    }
    if baseline:
        baseline.close()
        own = hashlib.sha256(regions_BT.tobytes()).hexdigest()
        result["labels_as_before"] = own == baseline.digest
        result["baseline_label_ms_per_row"] = 1e3 * statistics.median(baseline_s) / ROWS
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--baseline", type=Path, help="another checkout of this repository")
    parser.add_argument("--repeats", type=int, default=9, help="timings per figure (the median)")
    parser.add_argument(
        "--output", type=Path, default=Path("outputs/benchmarks/syntaxes.json"), help="JSON file"
    )
    options = parser.parse_args()
    if not (CACHE / "qwen3").is_dir():
        parser.error(f"no {CACHE / 'qwen3'}: run run_scripts/fetch_tokenizers.py first")
    tokenizer = AutoTokenizer.from_pretrained(CACHE / "qwen3")
    rows = [
        measure(tokenizer, get_syntax(name), kind, options.repeats, options.baseline)
        for name in syntax_names()
        for kind in KINDS
    ]
    write_json(options.output, {"rows": ROWS, "tokens_padded": LENGTH, "measured": rows})
    print(f"{ROWS} rows of {LENGTH:,} tokens, milliseconds a row\n")
    print(f"{'syntax':14}{'answer':8}{'tokens':>8}{'label':>10}{'before':>10}{'read':>10}")
    for row in rows:
        before = row.get("baseline_label_ms_per_row")
        shown = "" if before is None else f"{before:.4f}"
        note = "" if before is None else f"  labels as before: {row['labels_as_before']}"
        print(
            f"{row['syntax']:14}{row['kind']:8}{row['tokens_mean']:8.0f}"
            f"{row['label_ms_per_row']:10.4f}{shown:>10}{row['read_ms_per_row']:10.4f}"
            f"{note}"
        )
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
