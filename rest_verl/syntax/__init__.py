"""What a model writes: one file a tool-call syntax, one reading for everybody.

Imports no other room. `get_syntax(name)` gives a `Syntax`; `register_syntax(name)` adds one.
"""

from rest_verl.syntax import hermes, toolrl
from rest_verl.syntax.base import Reading, Syntax, ToolCall, Tools
from rest_verl.syntax.outline import Outline
from rest_verl.syntax.regions import Region
from rest_verl.syntax.registry import get_syntax, register_syntax, syntax_names

__all__ = [
    "Outline",
    "Reading",
    "Region",
    "Syntax",
    "ToolCall",
    "Tools",
    "get_syntax",
    "register_syntax",
    "syntax_names",
]
