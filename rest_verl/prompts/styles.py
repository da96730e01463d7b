"""The three prompt styles: how tools are shown and answers written.

| style | system message | answer |
|---|---|---|
| `toolrl` | tools with docs, steps, output format: the structure of ToolRL | ToolRL tags |
| `chat_template` | none: the tools go to the model's own chat template | Hermes/Qwen tags |
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
