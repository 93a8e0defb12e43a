"""Chats that are refused."""

from __future__ import annotations

from typing import Any

from support import zoo
from support.refusals.row import CHAT, SKY, Row, explain, llama

from interpreto_mllm import Chat, KernelShap

WITHOUT_TOOL = "{% for m in messages if m.role != 'tool' %}{{ m.content }}{% endfor %}"
CALL = {"function": {"name": "weather", "arguments": '{"city": "Os'}}
RESULT = {"role": "tool", "content": "rain"}
FILTER = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
REFUSING = "{{ raise_exception('Roles must alternate') }}"


def given(template: str, chat: Any, **options: Any) -> Any:
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    return KernelShap(llama(), tokenizer, progress=False, **options)(chat, " x")


def schema(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


CHATS = [
    Row(
        "two documents with one id",
        lambda: Chat(CHAT, documents=[{"id": "a", "text": "b"}, {"id": "a", "text": "c"}]),
        "2 documents have the id 'a': their scores could not be told apart.",
    ),
    Row("a document without a text", lambda: Chat(CHAT, documents=[{"id": "a"}]), "Document 1 has no text"),
    Row("documents that are no list", lambda: Chat(CHAT, documents=SKY), "documents is a list of texts", TypeError),
    Row("two tools of one name", lambda: Chat(CHAT, tools=[schema("a"), schema("a")]), "2 tools have the name 'a'"),
    Row("a function without annotations or a docstring as a tool", lambda: Chat(CHAT, tools=[given]), "cannot be described"),
    Row("a tool without a name", lambda: Chat(CHAT, tools=[{"type": "function"}]), "this one has no name"),
    Row("a number as a tool", lambda: Chat(CHAT, tools=[7]), "A tool is a function, or its JSON schema; got 7", TypeError),
    Row(
        "a call in the history whose arguments are no JSON object",
        lambda: Chat([*CHAT, {"role": "assistant", "content": None, "tool_calls": [CALL]}, *CHAT]),
        "Message 1: the arguments of the call of 'weather' are no JSON object",
    ),
    Row("messages that are none, for a `Chat`", lambda: Chat([SKY]), "The messages of a Chat are a list", TypeError),
    Row(
        "a template that leaves out a message to be explained",
        lambda: given(WITHOUT_TOOL, [*CHAT, RESULT], roles=("user", "tool")),
        "The chat template leaves out message 1 (tool): 'rain' is nowhere in the prompt",
    ),
    Row(
        "a template that writes no tools or documents",
        lambda: given(WITHOUT_TOOL, Chat(CHAT, documents=[SKY])),
        "The chat template leaves out document 1: 'the sky is blue' is nowhere in the prompt",
    ),
    Row(
        "a template that rewrites a message", lambda: given(FILTER, CHAT), "rewrites the message 'the sky': it writes 'THE SKY'"
    ),
    Row("a chat that the template refuses", lambda: given(REFUSING, CHAT), "cannot write this chat: Roles must alternate"),
    Row(
        "an argument that the template does not read",
        lambda: explain(Chat(CHAT, template={"enable_thinking": False})),
        "template holds 'enable_thinking', which the chat template does not read, so it would change nothing",
    ),
    Row(
        "tools or documents among the arguments of the template",
        lambda: Chat(CHAT, template={"tools": []}),
        "give Chat(..., tools=...)",
    ),
    Row(
        "a message to continue that is not the assistant's",
        lambda: explain(Chat(CHAT, continue_final_message=True)),
        "the last message is 'the sky' of 'user': end the chat with a message of the assistant",
    ),
    Row(
        "a chat with tools beyond the context",
        lambda: explain(Chat([{**CHAT[0], "content": SKY * 80}])),
        "nothing is truncated",
    ),
    Row(
        "arguments of a template as an option",
        lambda: explain(CHAT, chat_template_kwargs={"enable_thinking": False}),
        "Arguments of the chat template are given with the chat",
        TypeError,
    ),
    Row("tools or documents as an option", lambda: explain(CHAT, tools=[]), "are given with the chat", TypeError),
]
