"""The three prompt styles: how tools are shown and answers written.

| style | system message | answer |
|---|---|---|
| `toolrl` | tools with docs, steps, output format: the structure of ToolRL | ToolRL tags |
| `chat_template` | none: the tools go to the model's own chat template | the model's own syntax |
| `compact` | one signature a tool, no docs: for models of a few million parameters | ToolRL tags |
"""

from typing import Literal, get_args

PromptStyle = Literal["toolrl", "chat_template", "compact"]
STYLES: tuple[PromptStyle, ...] = get_args(PromptStyle)


def check_style(style: PromptStyle) -> PromptStyle:
    """`style` itself.

    Raises:
        ValueError: there is no such style.
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; there are {', '.join(STYLES)}")
    return style


def asked_syntax(style: PromptStyle) -> str:
    """The syntax (`rest_verl.syntax`) that prompts of this style ask for; "": the model's own."""
    return "" if check_style(style) == "chat_template" else "toolrl"
