"""Labels of ToolRL's responses, against the places where json finds their calls."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from labelers import LABELERS, TAGS, A, F, K, N, X, byte_regions
from reference_labels import token_region

SFT_FILE = Path(__file__).parents[3] / "shared/data/rlla/rlla_sft.json"


@pytest.mark.skipif(not SFT_FILE.exists(), reason=f"needs ToolRL's rows: {SFT_FILE.name}")
@pytest.mark.parametrize("kind", ["bytes", "single-token tags"])
def test_every_call_of_real_responses(kind: str) -> None:
    outputs = [row["output"] for row in json.loads(SFT_FILE.read_text())]
    num_calls = 0
    for output in outputs:
        # All begin with a think; some quote tags in it.
        answer = output.index("</think>") + len("</think>")
        expected = [int(F)] * 7 + [int(K)] * (answer - 15) + [int(F)] * 8
        expected += [int(X)] * (len(output) - answer)
        for tag in re.compile("|".join(TAGS[2:])).finditer(output, answer):
            expected[tag.start() : tag.end()] = [F] * len(tag[0])
        block_pattern = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
        for block in block_pattern.finditer(output, answer):
            expected[block.start(1) : block.end(1)] = [F] * len(block[1])
            for line in re.finditer(r"\{.*\}", block[1]):
                start = block.start(1) + line.start()
                # The rows are written in one style, so json's own text is found again.
                call = json.loads(line[0])
                head = f'{{"name": {json.dumps(call["name"], ensure_ascii=False)}, "parameters": '
                assert output.startswith(head, start)
                value, length = json.JSONDecoder().raw_decode(output[start + len(head) :])
                assert value == call["parameters"]
                name_end = output.index('", "parameters": ', start)
                expected[start + 10 : name_end] = [N] * (name_end - start - 10)
                begin = start + len(head)
                expected[begin : begin + length] = [A] * length
                num_calls += 1
        expected_bytes = [
            r for c, r in zip(output, expected, strict=True) for _ in c.encode()
        ]  # fmt: skip
        if kind == "bytes":
            assert byte_regions(output.encode()) == expected_bytes
            continue
        tokenizer, labeler = LABELERS[kind]
        ids = tokenizer(output)["input_ids"]
        bounds = np.cumsum([0, *(len(labeler.vocabulary.tokens[id_]) for id_ in ids)])
        assert labeler.label(ids).tolist() == [
            token_region(expected_bytes[a:b]) for a, b in pairwise(bounds)
        ]
    assert num_calls > len(outputs) / 2
