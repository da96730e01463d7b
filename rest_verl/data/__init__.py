"""Data sets as verl rows: readers, prompts, splits and the parquet writer.

What is exported here needs the standard library only. `rest_verl.data.parquet` needs pyarrow,
`rest_verl.data.chats` jsonschema, and `rest_verl.data.bfcl_replay` bfcl-eval (installed without its
dependencies) and mpmath.
"""

from rest_verl.data.bfcl import CATEGORIES, MULTI_TURN_CATEGORIES, BfclRow, BfclSource
from rest_verl.data.conversations import environment_row
from rest_verl.data.dialogues import Dialogue, Message
from rest_verl.data.prompts import (
    build_prompt,
    can_be_right,
    ground_truth,
    openai_tools,
    reference_answer,
    verl_row,
)
from rest_verl.data.splits import split_position, validation_keys
from rest_verl.data.steps import Step, split_steps, step_row
from rest_verl.prompts.styles import STYLES, PromptStyle
from rest_verl.prompts.tools import describe_tools

__all__ = [
    "CATEGORIES",
    "MULTI_TURN_CATEGORIES",
    "STYLES",
    "BfclRow",
    "BfclSource",
    "Dialogue",
    "Message",
    "PromptStyle",
    "Step",
    "build_prompt",
    "can_be_right",
    "describe_tools",
    "environment_row",
    "ground_truth",
    "openai_tools",
    "reference_answer",
    "split_position",
    "split_steps",
    "step_row",
    "validation_keys",
    "verl_row",
]
