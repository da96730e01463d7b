"""The system message of the styles that show tools in text."""

from typing import Any

from rest_verl.prompts.styles import PromptStyle
from rest_verl.prompts.tools import describe_tools

_TOOLRL_SYSTEM = """\
You are an assistant in a dialogue of several turns. You solve the user's tasks with the help of \
tools and answer in a fixed structure.

**Available Tools**
You can use the following tools in your answer:
{tools}

**Steps for Each Turn**
1. **Think:** Recall what matters from the dialogue and work out what the user wants now.
2. **Decide on Tool Usage:** If a tool fits, choose it and its parameters.
3. **Respond Appropriately:** If no tool fits, or an answer is due, write a response.

**Output Format**
```plaintext
<think> Your reasoning </think>
<tool_call>
{{"name": "Tool name", "parameters": {{"Parameter name": "Parameter value", "...": "..."}}}}
{{"name": "...", "parameters": {{"...": "...", "...": "..."}}}}
...
</tool_call>
<response> Your response to the user </response>
```

**Important Notes**
1. Always begin with `<think>`. After it comes `<tool_call>`, `<response>`, or both: `<tool_call>` \
if a tool fits the request, `<response>` if none does.
2. `<tool_call>` may hold several calls, one JSON object a line, each with a "name" and a \
"parameters" object. A call without parameters has an empty "parameters" object.
3. {history}"""
_TOOLRL_RECORDS = """\
The dialogue so far is given with `<user>`, `<tool_call>`, `<response>` and, for what the tools \
returned, `<obs>`."""
_TOOLRL_LIVE = """\
What the tools return is the next message; then go on. A message without `<tool_call>` ends your \
turn, and the user may answer."""


def system_message(tools: list[dict[str, Any]], style: PromptStyle, *, live: bool = False) -> str:
    """The system message of `toolrl` or `compact`, which shows the tools.

    With `live` the dialogue goes on in messages, as in a rollout with an environment, instead of
    lying before the model as a record.
    """
    shown = describe_tools(tools, style)
    if style == "compact":
        return f"Tools:\n{shown}" if shown else "Tools:"
    history = _TOOLRL_LIVE if live else _TOOLRL_RECORDS
    return _TOOLRL_SYSTEM.format(tools=shown or "(none)", history=history)
