"""How the chat templates of each family write an assistant's calls, after their published formats.

Written apart from `Syntax.write`, so that one can be held against the other.
"""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

_CHATML = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}"
    "{%- if m.role == 'assistant' and m.tool_calls %}CALLS{%- else %}{{- m.content }}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
_EACH = "{%- for t in m.tool_calls %}{%- set f = t.function %}EACH{%- endfor %}"
_PAIRS = "{%- for k, v in f.arguments | items %}PAIR{%- endfor %}"
_VALUE = "(v if v is string else v | tojson)"


def _chatml(each: str, before: str = "", after: str = "", pair: str = "") -> str:
    """A ChatML template with `each` for a call, `pair` in it for an argument."""
    calls = _EACH.replace("EACH", each.replace("PAIRS", _PAIRS.replace("PAIR", pair)))
    return _CHATML.replace("CALLS", before + calls + after)


_XML = (
    "{{- '<function=' + f.name + '>\n' }}PAIRS{{- '</function>\n' }}",
    "{{- '<parameter=' + k + '>' + VALUE + '</parameter>\n' }}",
)
_CODER = "{{- '<parameter=' + k + '>\n' + VALUE + '\n</parameter>\n' }}"
_MINIMAX = "{{- '<parameter name=\"' + k + '\">' + VALUE + '</parameter>\n' }}"
_DSML = (
    "{{- '<｜DSML｜parameter name=\"' + k + '\" string=\"' + ('true' if v is string else 'false')"
    " + '\">' + VALUE + '</｜DSML｜parameter>\n' }}"
)
_GLM = "{{- '<arg_key>' + k + '</arg_key>\n<arg_value>' + VALUE + '</arg_value>\n' }}"
_GEMMA = (
    "{{- k + ':' + ('<|\"|>' + v + '<|\"|>' if v is string else v | string) }}"
    "{%- if not loop.last %}{{- ',' }}{%- endif %}"
)
_PYTHON = (
    "{{- k + '=' + ('\"' + v + '\"' if v is string else v | string) }}"
    "{%- if not loop.last %}{{- ', ' }}{%- endif %}"
)

TEMPLATES = {
    "hermes": _chatml(
        '{{- \'\n<tool_call>\n{"name": "\' + f.name + \'", "arguments": \' }}'
        "{{- f.arguments | tojson }}{{- '}\n</tool_call>' }}"
    ),
    "qwen3_coder": _chatml(
        "{{- '\n<tool_call>\n' }}" + _XML[0] + "{{- '</tool_call>' }}", pair=_CODER
    ),
    "seed": _chatml(
        "{{- '\n<seed:tool_call>\n' }}" + _XML[0] + "{{- '</seed:tool_call>' }}", pair=_XML[1]
    ),
    "minimax": _chatml(
        "{{- '<invoke name=\"' + f.name + '\">\n' }}PAIRS{{- '</invoke>\n' }}",
        "{{- '\n<minimax:tool_call>\n' }}",
        "{{- '</minimax:tool_call>' }}",
        _MINIMAX,
    ),
    "deepseek_v4": _chatml(
        "{{- '<｜DSML｜invoke name=\"' + f.name + '\">\n' }}PAIRS{{- '</｜DSML｜invoke>\n' }}",
        "{{- '\n\n<｜DSML｜tool_calls>\n' }}",
        "{{- '</｜DSML｜tool_calls>' }}",
        _DSML,
    ),
    "glm": _chatml(
        "{{- '\n<tool_call>' + f.name + '\n' }}PAIRS{{- '</tool_call>' }}",
        "{{- '<think></think>' }}",
        pair=_GLM,
    ),
    "kimi": _chatml(
        "{{- '<|tool_call_begin|>' + t.id + '<|tool_call_argument_begin|>' }}"
        "{{- f.arguments | tojson + '<|tool_call_end|>' }}",
        "{{- '<|tool_calls_section_begin|>' }}",
        "{{- '<|tool_calls_section_end|>' }}",
    ),
    "gpt-oss": (  # one call of a message, as the published template does it
        "{%- for m in messages %}{%- if m.tool_calls %}{%- set f = m.tool_calls[0].function %}"
        "{{- '<|start|>assistant to=functions.' + f.name }}"
        "{{- '<|channel|>commentary json<|message|>' }}"
        "{{- f.arguments | tojson + '<|call|>' }}{%- elif m.role == 'assistant' %}"
        "{{- '<|start|>assistant<|channel|>final<|message|>' + m.content + '<|return|>' }}"
        "{%- else %}{{- '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}"
        "{%- endif %}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|start|>assistant' }}{%- endif %}"
    ),
    "gemma4": (
        "{%- for m in messages %}{{- '<|turn>' + m.role + '\n' }}"
        "{%- for t in m.tool_calls or [] %}{%- set f = t.function %}"
        "{{- '<|tool_call>call:' + f.name + '{' }}"
        + _PAIRS.replace("PAIR", _GEMMA)
        + "{{- '}<tool_call|>' }}{%- endfor %}{{- m.content + '<turn|>\n' }}{%- endfor %}"
        "{%- if add_generation_prompt %}{{- '<|turn>model\n' }}{%- endif %}"
    ).replace("m.role + '\n'", "(m.role if m.role != 'assistant' else 'model') + '\n'"),
    "llama3_json": (  # refuses two calls
        "{%- for m in messages %}"
        "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
        "{%- if m.tool_calls %}{%- if m.tool_calls | length != 1 %}"
        "{{- raise_exception('one call at a time') }}{%- endif %}"
        "{%- set f = m.tool_calls[0].function %}"
        "{{- '{\"name\": \"' + f.name + '\", \"parameters\": ' + f.arguments | tojson + '}' }}"
        "{%- else %}{{- m.content }}{%- endif %}{{- '<|eot_id|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
    ),
    "pythonic": (
        "{%- for m in messages %}"
        "{{- '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' }}"
        "{%- if m.tool_calls %}{{- '[' }}{%- for t in m.tool_calls %}{%- set f = t.function %}"
        "{{- f.name + '(' }}"
        + _PAIRS.replace("PAIR", _PYTHON)
        + "{{- ')' }}{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ']' }}"
        "{%- else %}{{- m.content }}{%- endif %}{{- '<|eot_id|>' }}{%- endfor %}"
        "{%- if add_generation_prompt %}"
        "{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"
    ),
    "mistral": (
        "{%- for m in messages %}{%- if m.role == 'user' %}{{- '[INST]' + m.content + '[/INST]' }}"
        "{%- elif m.tool_calls %}{{- '[TOOL_CALLS][' }}{%- for t in m.tool_calls %}"
        '{{- \'{"name": "\' + t.function.name + \'", "arguments": \' }}'
        "{{- t.function.arguments | tojson + ', \"id\": \"' + t.id + '\"}' }}"
        "{%- if not loop.last %}{{- ', ' }}{%- endif %}{%- endfor %}{{- ']</s>' }}"
        "{%- else %}{{- m.content + '</s>' }}{%- endif %}{%- endfor %}"
    ),
}
"""Syntax -> template. `toolrl` has none: prompts ask for it."""
TEMPLATES = {name: text.replace("VALUE", _VALUE) for name, text in TEMPLATES.items()}


def templated_tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with that chat template."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=template)
