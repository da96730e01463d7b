"""What a model writes: one file a tool-call syntax, one reading for everybody.

Imports no other room. `get_syntax(name)` gives a `Syntax`; `register_syntax(name)` adds one.
"""

from rest_verl.syntax import (  # noqa: F401 (they register themselves)
    deepseek_v4,
    gemma4,
    glm,
    gpt_oss,
    hermes,
    kimi,
    llama3_json,
    minimax,
    mistral,
    pythonic,
    qwen3_coder,
    seed,
    toolrl,
)
from rest_verl.syntax.base import Reading, Syntax, ToolCall, Tools
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.reading import read_message
from rest_verl.syntax.regions import Region
from rest_verl.syntax.registry import get_syntax, register_syntax, syntax_names
from rest_verl.syntax.terms import Terms, terms_of

__all__ = [
    "Outline",
    "Reading",
    "Region",
    "Syntax",
    "Terms",
    "ToolCall",
    "Tools",
    "get_syntax",
    "read_message",
    "register_syntax",
    "syntax_names",
    "terms_of",
]
