"""Data sets as verl rows: readers, prompts, splits and the parquet writer.

`rest_verl.data.parquet` needs pyarrow; everything else needs the standard library only.
"""

from rest_verl.data.bfcl import CATEGORIES, BfclRow, BfclSource
from rest_verl.data.prompts import (
    STYLES,
    PromptStyle,
    build_prompt,
    ground_truth,
    openai_tools,
    reference_answer,
    verl_row,
)
from rest_verl.data.splits import split_position, validation_keys

__all__ = [
    "CATEGORIES",
    "STYLES",
    "BfclRow",
    "BfclSource",
    "PromptStyle",
    "build_prompt",
    "ground_truth",
    "openai_tools",
    "reference_answer",
    "split_position",
    "validation_keys",
    "verl_row",
]
