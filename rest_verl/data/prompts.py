"""Turns a BFCL row into what the model sees and what its answer is compared with.

| style | system message | answer |
|---|---|---|
| `toolrl` | tools with docs, steps, output format: the structure of ToolRL | ToolRL tags |
| `chat_template` | none: the tools go to the model's own chat template | Hermes/Qwen tags |
| `compact` | one signature a tool, no docs: for models of a few million parameters | ToolRL tags |

Function names stay as they are, dots included. System messages of the row come after the tools in
the same system message (`chat_template`: stay where they are). Earlier user and assistant turns
stay messages of their own, except in `toolrl`, whose format holds the dialogue in one user message.
"""

import json
from typing import Any, Literal, get_args

from rest_verl.data.bfcl import BfclRow

PromptStyle = Literal["toolrl", "chat_template", "compact"]
STYLES: tuple[PromptStyle, ...] = get_args(PromptStyle)

TEMPLATE_AGENT = "rest_single_turn"
"""The agent loop of `rest_verl.environments.single_turn`."""

NO_CALL_RESPONSE = "None of the available tools can do this."
"""The response in the reference answer of a row that wants no call."""

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
3. The dialogue so far is given with `<user>`, `<tool_call>`, `<response>` and, for what the tools \
returned, `<obs>`."""

_JSON_TYPES = {
    "string": ("string", "str", "char", "any"),
    "integer": ("integer", "int", "long", "short", "byte", "bigint"),
    "number": ("number", "float", "double"),
    "boolean": ("boolean", "bool"),
    "array": ("array", "list", "tuple", "arraylist", "queue", "stack", "set"),
    "object": ("object", "dict", "hashmap", "hashtable"),
}
_JSON_TYPE = {name: json_type for json_type, names in _JSON_TYPES.items() for name in names}
_SHORT_TYPE = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
}


def build_prompt(row: BfclRow, style: PromptStyle) -> list[dict[str, str]]:
    """The chat messages for `row`, `{"role", "content"}` each."""
    if _check(style) == "chat_template":
        return [dict(message) for message in row.messages]
    system = _toolrl_system(row) if style == "toolrl" else _compact_system(row)
    own = [message["content"] for message in row.messages if message["role"] == "system"]
    dialogue = [dict(message) for message in row.messages if message["role"] != "system"]
    if style == "toolrl":
        dialogue = [{"role": "user", "content": _toolrl_dialogue(dialogue)}]
    return [{"role": "system", "content": "\n\n".join([system, *own])}, *dialogue]


def ground_truth(row: BfclRow, style: PromptStyle) -> str:
    """The JSON object that the reward reads: format, expectation, and calls with allowed values."""
    answer_format = "chat_template" if _check(style) == "chat_template" else "toolrl"
    return _dump({"format": answer_format, "expect": row.expect, "calls": row.calls})


def reference_answer(row: BfclRow, style: PromptStyle, think: str) -> str:
    """A right answer with `think` as its reasoning: the first allowed value of every parameter.

    A parameter whose first allowed value is "" is left out, unless its function requires it. With
    `chat_template` an empty `think` leaves out the think block, as non-reasoning models do.

    Raises:
        ValueError: the row wants any call at all; BFCL gives no answer for such rows.
    """
    if row.expect == "any_call":
        raise ValueError(f"{row.id}: BFCL gives no answer for category {row.category}")
    calls = [(call["name"], _reference_parameters(call, row.functions)) for call in row.calls]
    if _check(style) == "chat_template":
        blocks = [
            f"<tool_call>\n{_dump({'name': name, 'arguments': parameters})}\n</tool_call>"
            for name, parameters in calls
        ]
        thought = f"<think>\n{think}\n</think>\n\n" if think else ""
        return thought + ("\n".join(blocks) if blocks else NO_CALL_RESPONSE)
    lines = [_dump({"name": name, "parameters": parameters}) for name, parameters in calls]
    if lines:
        part = "\n".join(["<tool_call>", *lines, "</tool_call>"])
    else:
        part = f"<response> {NO_CALL_RESPONSE} </response>"
    return f"<think> {think} </think>\n{part}"


def openai_tools(row: BfclRow) -> list[dict[str, Any]]:
    """The row's functions as a chat template's `tools`: OpenAI's layout with JSON-schema types.

    A type without a counterpart ("any" and unknown ones) becomes "string", as in BFCL's own tools.
    """
    tools = [{**doc, "parameters": _schema(doc["parameters"])} for doc in row.functions]
    return [{"type": "function", "function": tool} for tool in tools]


def verl_row(row: BfclRow, style: PromptStyle, *, index: int, split: str) -> dict[str, Any]:
    """The row as verl reads it; one `data_source` a category, so validation reports each.

    `extra_info.tools` is the JSON of `openai_tools` with `chat_template`, whose rows also name the
    agent loop that hands them to the template; with the other styles, whose prompts show the tools,
    it is empty.
    """
    agent = {"agent_name": TEMPLATE_AGENT} if style == "chat_template" else {}
    return {
        **agent,
        "data_source": f"bfcl_{row.version}/{row.category}",
        "prompt": build_prompt(row, style),
        "ability": "tool_use",
        "reward_model": {"style": "rule", "ground_truth": ground_truth(row, style)},
        "extra_info": {
            "index": index,
            "id": row.id,
            "category": row.category,
            "split": split,
            "version": row.version,
            "tools": _dump(openai_tools(row)) if style == "chat_template" else "",
        },
    }


def _check(style: PromptStyle) -> PromptStyle:
    if style not in STYLES:
        raise ValueError(f"unknown prompt style {style!r}; there are {', '.join(STYLES)}")
    return style


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _toolrl_system(row: BfclRow) -> str:
    tools = []
    for number, function in enumerate(row.functions, start=1):
        required = function["parameters"].get("required", [])
        # ToolRL lists the properties alone, so what is required has to be said in each of them.
        parameters = {
            name: {**spec, "required": True} if name in required else spec
            for name, spec in function["parameters"]["properties"].items()
        }
        tools.append(
            f"{number}. Name: {function['name']}\n"
            f"Description: {function.get('description', '')}\n"
            f"Parameters: {_dump(parameters)}"
        )
    return _TOOLRL_SYSTEM.format(tools="\n".join(tools) or "(none)")


def _toolrl_dialogue(messages: list[dict[str, str]]) -> str:
    tags = {"user": "user", "assistant": "response"}
    parts = [
        f"<{tags[message['role']]}> {message['content']} </{tags[message['role']]}>"
        for message in messages
    ]
    return "**Dialogue Records History**\n" + "\n\n".join(parts)


def _compact_system(row: BfclRow) -> str:
    return "\n".join(["Tools:", *map(_signature, row.functions)])


def _signature(function: dict[str, Any]) -> str:
    required = function["parameters"].get("required", [])
    parameters = [
        f"{name}{'' if name in required else '?'}: {_short_type(spec)}"
        for name, spec in function["parameters"]["properties"].items()
    ]
    return f"{function['name']}({', '.join(parameters)})"


def _short_type(spec: dict[str, Any]) -> str:
    short = _SHORT_TYPE[_json_type(spec)]
    items = spec.get("items")
    if short == "list" and isinstance(items, dict):
        return f"list[{_short_type(items)}]"
    return short


def _json_type(spec: dict[str, Any]) -> str:
    return _JSON_TYPE.get(str(spec.get("type")).lower(), "string")


def _schema(spec: dict[str, Any]) -> dict[str, Any]:
    schema = {**spec, "type": _json_type(spec)}
    if isinstance(spec.get("properties"), dict):
        schema["properties"] = {name: _schema(inner) for name, inner in spec["properties"].items()}
    if isinstance(spec.get("items"), dict):
        schema["items"] = _schema(spec["items"])
    return schema


def _reference_parameters(call: dict[str, Any], functions: list[dict[str, Any]]) -> dict[str, Any]:
    docs: list[dict[str, Any]] = [f["parameters"] for f in functions if f["name"] == call["name"]]
    known = {name for doc in docs for name in doc["properties"]}
    required = {name for doc in docs for name in doc.get("required", [])}
    parameters = {}
    for name, allowed in call["parameters"].items():
        # parallel_multiple_26 allows an optional parameter that its function does not have.
        optional = "" in allowed and name not in required
        if optional and (allowed[0] == "" or name not in known):
            continue
        # Two rows of live_simple have empty lists: no value is right, so none is given.
        if allowed:
            parameters[name] = _first(allowed)
    return parameters


def _first(allowed: list[Any]) -> Any:
    value = next((value for value in allowed if value != ""), "")
    return [_settled(item) for item in value] if isinstance(value, list) else _settled(value)


def _settled(value: Any) -> Any:
    """An allowed value with one choice made: an object has a list of allowed values at each key."""
    if not isinstance(value, dict):
        return value
    # simple_java_64 has a bare value where a list belongs.
    lists = {key: item if isinstance(item, list) else [item] for key, item in value.items()}
    return {key: allowed[0] for key, allowed in lists.items() if allowed and allowed[0] != ""}
