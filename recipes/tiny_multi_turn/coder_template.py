"""A chat template that writes calls as Qwen3-Coder's does, and shows tools by their names alone.

Qwen3-Coder's own shows each tool's whole schema, which is too long for a model of 2 M parameters.
"""

CODER_TEMPLATE = (
    "{%- if tools %}{{- '<|im_start|>system\nTools:' }}"
    "{%- for tool in tools %}{{- ' ' + tool.function.name }}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' + message.content }}"
    "{%- for call in message.tool_calls or [] %}"
    "{%- set separator = '\n' if message.content or not loop.first else '' %}"
    "{{- separator + '<tool_call>\n<function=' + call.function.name + '>\n' }}"
    "{%- for name, value in call.function.arguments | items %}"
    "{%- set text = value if value is string else value | tojson %}"
    "{{- '<parameter=' + name + '>\n' + text + '\n</parameter>\n' }}"
    "{%- endfor %}{{- '</function>\n</tool_call>' }}{%- endfor %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
