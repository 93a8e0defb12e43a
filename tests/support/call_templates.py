"""Chat templates of models that call tools, as far as calls, thoughts and turns go."""

from __future__ import annotations

QWEN = (
    "{% for m in messages %}{% if m.role == 'assistant' and m.tool_calls %}<|im_start|>assistant\n{{ m.content or '' }}"
    '{% for c in m.tool_calls %}{% set c = c.function %}<tool_call>\n{"name": "{{ c.name }}", "arguments": '
    "{{ c.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN_3 = QWEN.replace(
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is not defined or not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}{% endif %}",
)
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    '{% if m.tool_calls %}{% set c = m.tool_calls[0].function %}{{ \'{"name": "\' + c.name + \'", "parameters": \' }}'
    "{{ c.arguments | tojson }}}{% else %}{{ m.content | trim }}{% endif %}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% elif m.tool_calls is defined and m.tool_calls %}{% if m.tool_calls[0].id | length != 9 %}"
    "{{ raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{% endif %}"
    '[TOOL_CALLS] [{% for c in m.tool_calls %}{"name": {{ c.function.name | tojson }}, "arguments": '
    '{{ c.function.arguments | tojson }}, "id": "{{ c.id }}"}{% endfor %}]{{ eos_token }}'
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<｜User｜>{{ m.content }}"
    "{% elif m.tool_calls %}<｜Assistant｜><｜tool▁calls▁begin｜><｜tool▁call▁begin｜>{{ m.tool_calls[0].type }}<｜tool▁sep｜>"
    "{{ m.tool_calls[0].function.name + '\n```json\n' + m.tool_calls[0].function.arguments + '\n```' }}"
    "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>"
    "{% else %}<｜Assistant｜>{{ m.content }}<｜end▁of▁sentence｜>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}"
)
TEMPLATES = {"Qwen": QWEN, "Qwen 3": QWEN_3, "Llama": LLAMA, "Mistral": MISTRAL, "DeepSeek": DEEPSEEK}
WRITTEN = {
    "Qwen": '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo", "days": 3}}\n</tool_call>',
    "Llama": '{"name": "weather", "parameters": {"city": "Oslo", "days": 3}}',
    "Mistral": '[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Oslo", "days": 3}, "id": "callAAAA0"}]',
    "DeepSeek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n"
    '{"city": "Oslo", "days": 3}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
}
WRITTEN["Qwen 3"] = WRITTEN["Qwen"]
"""What each writes for weather(city="Oslo", days=3), without the end of the turn."""
