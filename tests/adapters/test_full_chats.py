"""A chat with tools, documents, thoughts, a call, its result and a picture is explained in one call, here and on a server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from support.chat_templates import clock, weather
from support.families import family
from support.family_parts import picture
from support.server import Server

from interpreto_mllm import (
    Attribution,
    Chat,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Patches,
    RemoteModel,
    ResponseSimilarity,
)
from interpreto_mllm.plots.pieces import pieces
from interpreto_mllm.similarity import TfIdf

TEMPLATE = (
    "{% if tools %}<tools>{% for t in tools %}{{ t | tojson }}\n{% endfor %}</tools>{% endif %}"
    "{% for d in documents or [] %}[{{ d.id }}] {{ d.text }}\n{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content or [] %}"
    "{% if p.type == 'image' %}<image>\n{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROLES = ("system", "user", "assistant", "tool", "tools", "documents")
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def chat() -> Chat:
    question = [{"type": "image", "image": picture(0)}, {"type": "text", "text": "What colour is the circle?"}]
    return Chat(
        [
            {"role": "user", "content": question},
            {"role": "assistant", "content": None, "reasoning_content": "The clip.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "It is high."},
        ],
        tools=[weather, clock],
        documents=[{"id": "a", "text": "The circle is red."}, {"id": "b", "text": "The square is blue."}],
    )


NAMES = {
    ("image", None, None): 2,
    ("text", None, None): 1,
    ("text", "tool weather", "weather"): 1,
    ("text", "tool clock", "clock"): 1,
    ("text", "document a", "a"): 1,
    ("text", "document b", "b"): 1,
    ("text", "tool result: weather", "c1"): 1,
    ("text", "call: weather", "c1"): 1,
}


def counted(explanation: Attribution) -> dict[tuple[Any, ...], int]:
    """How many features there are of each name, thoughts aside."""
    found: dict[tuple[Any, ...], int] = {}
    for one in explanation.features:
        if one.part != "thoughts":
            key = (one.modality, one.label, one.source)
            found[key] = found.get(key, 0) + 1
    return found


def test_everything_in_one_call_on_a_local_model(tmp_path: Any) -> None:
    subject = family("llava")
    before, subject.processor.chat_template = subject.processor.chat_template, TEMPLATE
    try:
        options: dict[str, Any] = {"granularity": Granularity.TURN, "roles": ROLES, "image_granularity": Patches(1, 2)}
        explainer = KernelShap(subject.model, subject.processor, budget=14, progress=False, **options)
        [explanation] = explainer(chat(), " red")
        plain = KernelShap(subject.model, subject.processor, share_prefixes=False, **options).game(chat(), " red")
        values = plain(explanation.evaluations.coalitions[:6]).to(torch.float64)
    finally:
        subject.processor.chat_template = before
    assert counted(explanation) == NAMES
    assert [one.text for one in explanation.features if one.part == "thoughts"] == ["The clip."]
    assert torch.allclose(values, explanation.evaluations.values[:6].to(torch.float64), atol=1e-4)
    assert set(explanation.by("source")) >= {"weather", "clock", "a", "b", "c1"}
    over = [piece.heading for piece in pieces(explanation) if piece.heading]
    assert over == ["tool weather", "tool clock", "document a", "document b", "user", "assistant", "tool"]
    explanation.to_html(tmp_path / "it.html")
    explanation.save(tmp_path / "it.json")
    loaded = Attribution.load(tmp_path / "it.json")
    assert loaded.features == explanation.features
    assert loaded.conversation is not None and loaded.conversation.chat().tools == chat().tools


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    yield served
    served.stop()


def test_everything_in_one_call_on_a_server(server: Server) -> None:
    explainer = KernelShap(
        RemoteModel(server.url, "m"),
        granularity=Granularity.TURN,
        roles=ROLES,
        image_granularity=Patches(1, 2),
        inference_mode=ResponseSimilarity(similarity=TfIdf()),
        budget=14,
        progress=False,
    )
    [explanation] = explainer(chat(), "1")
    assert counted(explanation) == NAMES
    assert any("tools" in body and len(body["tools"]) == 1 for body in server.asked)
    sent = max(server.asked, key=lambda body: len(str(body)))
    assert [part["type"] for part in sent["messages"][0]["content"]] == ["image_url", "text"]
    assert sent["messages"][1]["reasoning_content"] == "The clip."
    assert [one["id"] for one in sent["documents"]] == ["a", "b"]


def test_a_chat_with_documents_goes_on(recall: Any) -> None:
    """Documents come before all answers, and each coalition's own documents are read in every turn."""
    model, tokenizer = recall
    before = tokenizer.chat_template
    tokenizer.chat_template = (
        "{% for d in documents or [] %}{{ '<|user|>\n' ~ d.text ~ '<|end|>\n' }}{% endfor %}"
        "{% for m in messages %}{{ '<|' ~ m.role ~ '|>\n' ~ m.content ~ '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
    )
    try:
        documents = [{"id": "market", "text": "the apple is red ."}, {"id": "sea", "text": "the sky is blue ."}]
        chat = Chat([{"role": "user", "content": "what is the apple ?"}], documents=documents)
        explainer = ExactShapley(
            *(model, tokenizer),
            granularity=Granularity.TURN,
            roles=("documents", "user"),
            inference_mode=InferenceModes.SIMILARITY,
            generate={"max_new_tokens": 2},
            progress=False,
        )
        longer = explainer.extend(explainer(chat)[0], "what is the sky ?")
    finally:
        tokenizer.chat_template = before
    assert [feature.source for feature in longer.features] == ["market", "sea", None, None]
    assert longer.by("source").ranked[0] == "sea"
