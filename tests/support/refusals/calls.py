"""Tool calls that are refused."""

from __future__ import annotations

from support import zoo
from support.refusals.row import CHAT, SKY, Row, explain, llama

from interpreto_mllm import KernelShap, ToolCall

PLAIN = "{% for message in messages %}{{ message.role }}: {{ message.content or '' }}\n{% endfor %}assistant:"


def asked(template: str, target: ToolCall) -> None:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    KernelShap(llama(), tokenizer, generate={"max_new_tokens": 2})(CHAT, target)


CALLS = [
    Row(
        "arguments of a tool call that are no JSON",
        lambda: ToolCall("weather", '{"city": "Oslo"'),
        "The arguments of the tool call do not parse as JSON",
    ),
    Row("arguments that are no mapping", lambda: ToolCall("weather", "[1]"), "are a mapping from their names", TypeError),
    Row(
        "an argument that the call does not have",
        lambda: ToolCall("weather", {"city": "Oslo"}, argument="town"),
        "The call has no argument 'town'; its arguments are 'city'.",
    ),
    Row("a tool call after a plain prompt", lambda: explain(SKY, ToolCall("weather")), "The prompt is no chat, after which"),
    Row(
        "a chat template that writes no tool calls",
        lambda: asked(PLAIN, ToolCall("weather")),
        "The chat template does not write tool calls after this chat",
    ),
    Row(
        "an answer that is no tool call, where the model's own is asked about",
        lambda: asked(PLAIN, ToolCall()),
        "The model's answer is no tool call that can be read",
        after=True,
    ),
]
