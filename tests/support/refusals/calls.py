"""Tool calls that are refused."""

from __future__ import annotations

from typing import Any

from support import zoo
from support.refusals.row import CHAT, SKY, Row, explain, llama

from interpreto_mllm import Chat, Granularity, KernelShap, RemoteModel, ResponseSimilarity, ToolCall, rank_sources
from interpreto_mllm.similarity import SameCall, TfIdf

PLAIN = "{% for message in messages %}{{ message.role }}: {{ message.content or '' }}\n{% endfor %}assistant:"


def asked(template: str, target: ToolCall, **further: Any) -> None:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    KernelShap(llama(), tokenizer, generate={"max_new_tokens": 2})(Chat(CHAT, **further), target)


def compared(measure: Any, target: ToolCall) -> None:
    KernelShap(RemoteModel("http://127.0.0.1:1/v1", "m"), inference_mode=ResponseSimilarity(similarity=measure))(CHAT, target)


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
    Row(
        "a tool that the chat does not have",
        lambda: asked(
            "{% for tool in tools %}{{ tool.name }}{% endfor %}" + PLAIN, ToolCall("weather"), tools=[{"name": "clock"}]
        ),
        "The chat has no tool 'weather': its tools are 'clock'.",
    ),
    Row(
        "a part of a call under a similarity of whole calls",
        lambda: compared(SameCall(), ToolCall("weather")),
        "this similarity compares something else: use SameCall(part='name')",
    ),
    Row(
        "a part of a call under a similarity of texts",
        lambda: compared(TfIdf(), ToolCall("weather")),
        "is one part of a call, which ResponseSimilarity(similarity=SameCall(...)) compares",
    ),
    Row(
        "a tool call on the completion route of a server",
        lambda: KernelShap(RemoteModel("http://127.0.0.1:1/v1", "m", route="completion"))(SKY, ToolCall("weather")),
        "The completion route takes texts: give the text of the call",
    ),
    Row(
        "an option that says what a feature is, where sources are ranked",
        lambda: rank_sources(llama(), zoo.byte_bpe(), SKY, [SKY], granularity=Granularity.WORD),
        "rank_sources says itself what a feature is",
    ),
    Row("no sources to rank", lambda: rank_sources(llama(), zoo.byte_bpe(), SKY), "There are no sources: give texts"),
    Row(
        "a tool call where the model's thoughts come first",
        lambda: asked(PLAIN + "<think>\n", ToolCall("weather")),
        "The prompt ends where the model's thoughts begin",
    ),
]
