"""The labeler on a tokenizer of every kind, and short names for the regions that it gives."""

from __future__ import annotations

import numpy as np
import toy_tokenizers

from rest_verl.algorithm.regions import Region, RegionLabeler

F, N, A, K, X = Region.FORMAT, Region.NAME, Region.ARGS, Region.THINK, Region.TEXT
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<response>", "</response>")

ONE_BYTE = RegionLabeler(toy_tokenizers.one_byte_per_token())
BYTE_LEVEL_TOKENIZER = toy_tokenizers.byte_level()
LABELERS = {
    "byte-level": (BYTE_LEVEL_TOKENIZER, RegionLabeler(BYTE_LEVEL_TOKENIZER)),
    "single-token tags": (added := toy_tokenizers.byte_level(TAGS), RegionLabeler(added)),
    "sentencepiece": (pieces := toy_tokenizers.sentencepiece(), RegionLabeler(pieces)),
}


def byte_regions(text: bytes) -> list[int]:
    return ONE_BYTE.label(np.frombuffer(text, dtype=np.uint8)).tolist()
