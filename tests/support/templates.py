"""Three chat templates, after their published formats, in small byte-level tokenizers.

`qwen3`: tool observations inside a user turn, think text of turns before the last user message left
out. `llama3`: header tokens, role ipython, one call a message. `hermes`: ChatML with a tool turn.
"""

from dataclasses import dataclass
from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

_CHATML_SYSTEM = """\
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- '# Tools\n<tools>' }}
    {%- for tool in tools %}{{- '\n' + tool | tojson }}{%- endfor %}
    {{- '\n</tools><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
"""

QWEN3 = (
    _CHATML_SYSTEM
    + """\
{%- set seen = namespace(last_query=messages | length - 1) %}
{%- for message in messages %}
    {%- if message.role == 'user' and not (message.content.startswith('<tool_response>')
                                           and message.content.endswith('</tool_response>')) %}
        {%- set seen.last_query = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set thought = message.reasoning_content or '' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\n' }}
        {%- if loop.index0 > seen.last_query and (loop.last or thought) %}
            {{- '<think>\n' + thought + '\n</think>\n\n' }}
        {%- endif %}
        {{- content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\n<tool_call>\n' + call.function | tojson + '\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if open_think %}{{- '<think>\n' }}{%- endif %}
{%- endif %}
"""
)

HERMES = (
    _CHATML_SYSTEM
    + """\
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>tool\n' }}
        {%- endif %}
        {{- '<tool_response>\n' + message.content + '\n</tool_response>\n' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\n' }}
        {%- endif %}
    {%- elif not (message.role == 'system' and loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\n<tool_call>\n' + call.function | tojson + '\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
)

LLAMA3 = """\
{{- bos_token }}
{%- set first = namespace(user=true) %}
{%- for message in messages %}
    {%- if message.role in ('tool', 'ipython') %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\n\n' + message.content | tojson }}
        {{- '<|eot_id|>' }}
    {%- elif message.tool_calls %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception('This model only supports single tool-calls at once!') }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
        {{- '{"name": "' + call.name + '", "parameters": ' + call.arguments | tojson + '}' }}
        {{- '<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' }}
        {%- if message.role == 'user' and first.user %}
            {%- set first.user = false %}
            {%- for tool in tools or [] %}{{- tool | tojson(indent=4) + '\n\n' }}{%- endfor %}
        {%- endif %}
        {{- message.content | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
"""

# Templates that cannot take what verl's builders would render.
PLAIN_ROLES = """\
{%- for message in messages %}
    {%- if message.role not in ('system', 'user', 'assistant') %}
        {{- raise_exception('unknown role') }}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
DROPS_TOOLS = PLAIN_ROLES.replace("raise_exception('unknown role')", "''").replace(
    "{{- '<|im_start|>'",
    "{%- if message.role == 'tool' %}{%- continue %}{%- endif %}{{- '<|im_start|>'",
    1,
)
ALTERNATES = """\
{%- for message in messages %}
    {%- if message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') %}
        {{- raise_exception('roles must alternate') }}
    {%- endif %}
    {{- message.role + ': ' + message.content + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'assistant: ' }}{%- endif %}
"""

_TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>")
_MERGES = [("Ġ", "t"), ("e", "r"), ("i", "n"), ("Ã", "¼"), ("x", "x"), ("xx", "xx")]


def make_tokenizer(template: str, *, end: str, special: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """A byte for a token, a few merges, the tags of Qwen and Hermes, and `special` tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *("".join(merge) for merge in _MERGES)]
    tokenizer = Tokenizer(
        models.BPE(vocab={piece: id_ for id_, piece in enumerate(pieces)}, merges=_MERGES)
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<pad>", *special)]
    )
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in _TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special[0],
        eos_token=end,
        pad_token="<pad>",
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


@dataclass(frozen=True)
class Model:
    """A tokenizer with its template, and what verl is told of the model."""

    tokenizer: PreTrainedTokenizerFast
    model_type: str
    end: str
    """The text that ends a message."""
    separator: str
    """What the template puts after it."""


_CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@cache
def chatml(template: str, model_type: str) -> Model:
    """A model of the ChatML kind."""
    tokenizer = make_tokenizer(template, end="<|im_end|>", special=_CHATML)
    return Model(tokenizer, model_type, "<|im_end|>", "\n")


@cache
def get_model(name: str) -> Model:
    """`qwen3`, `hermes` (on Llama weights: verl's generic builder) or `llama3`."""
    if name == "llama3":
        tokenizer = make_tokenizer(LLAMA3, end="<|eot_id|>", special=_HEADERS)
        return Model(tokenizer, "llama", "<|eot_id|>", "")
    return chatml(QWEN3, "qwen3") if name == "qwen3" else chatml(HERMES, "llama")


MODELS = ("qwen3", "hermes", "llama3")
