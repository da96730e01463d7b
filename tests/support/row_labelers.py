"""The trainers' labeler of rows, for tests whose rows are all in one syntax."""

from __future__ import annotations

from typing import Any

from rest_verl.integration.labelling import RowLabeler
from rest_verl.integration.run_syntax import RunSyntaxes


def row_labeler(tokenizer: Any, syntax: str = "toolrl") -> RowLabeler:
    """Reads every row by `syntax`."""
    return RowLabeler(tokenizer, RunSyntaxes(syntax, tokenizer), asked={""})
