"""Chats with tools, documents, thoughts and a picture on a real vLLM: as here, to rounding."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import tiny_llava
from support.family_parts import picture
from support.real_server import serving

from interpreto_mllm import (
    Attribution,
    Chat,
    ExactShapley,
    Granularity,
    KernelShap,
    Patches,
    Reasoned,
    RemoteModel,
    ResponseSimilarity,
    ToolCall,
    trace,
)
from interpreto_mllm.similarity import SameCall, TfIdf

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
ROLES = ("user", "assistant", "tool", "tools", "documents")
FACT = [{"role": "user", "content": "The circle is red. What colour is it?"}]
GIVEN: dict[str, Any] = {"thoughts": "The user says red. So it is red.", "answer": "red it is"}


def tool(name: str, said: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"city": {"type": "string", "description": "Where."}}, "required": ["city"]}
    return {"type": "function", "function": {"name": name, "description": said, "parameters": parameters}}


def chat(**left_out: Any) -> Chat:
    question = [{"type": "image", "image": picture(0)}, {"type": "text", "text": "What colour is the circle?"}]
    given = {
        "tools": [tool("weather", "It rains."), tool("clock", "What time.")],
        "documents": [{"id": "a", "text": "The circle is red."}, {"id": "b", "text": "The square is blue."}],
    }
    return Chat(
        [
            {"role": "user", "content": question},
            {"role": "assistant", "content": None, "reasoning_content": "The clip.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "It is high."},
        ],
        **{**given, **left_out},
    )


def options(**more: Any) -> dict[str, Any]:
    return {"granularity": Granularity.TURN, "roles": ROLES, "image_granularity": Patches(1, 2), "progress": False, **more}


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, Any]:
    folder = tmp_path_factory.mktemp("llava")
    return folder, *tiny_llava.make(folder)


@pytest.fixture(scope="module")
def vllm(seeing: tuple[Path, Any, Any]) -> Iterator[RemoteModel]:
    if "VLLM_PYTHON" not in os.environ:
        pytest.skip("VLLM_PYTHON names no Python that has vLLM: make servers")
    command = [os.environ["VLLM_PYTHON"], "-m", "vllm.entrypoints.openai.api_server", "--model", str(seeing[0])]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", "{port}", "--enforce-eager"]
    command += ["--dtype", "float32", "--max-model-len", "1024", "--limit-mm-per-prompt", '{"image": 2}']
    with serving(command, seeing[0] / "log", 400, VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1") as url:
        yield RemoteModel(url, "tiny")


def same(there: Attribution, here: Attribution) -> None:
    named = [[(one.label, one.source, one.part, one.modality) for one in each.features] for each in (there, here)]
    assert named[0] == named[1] and there.targets == here.targets
    torch.testing.assert_close(there.values.double(), here.values.double(), rtol=0, atol=1e-4)
    assert there.values.std(0).max() > 1e-2


@pytest.mark.parametrize("target", ["red blue", ToolCall("weather", {"city": "Oslo"}, argument="city")])
def test_vllm_is_asked_about_everything_at_once(vllm: RemoteModel, seeing: Any, target: Any) -> None:
    """Pinned are texts without which less is sent than is left here: of the call a name, around thoughts marks, and between a
    picture and its text a line break, which vLLM writes itself."""
    given = options(budget=24, pinned=["call: weather", "The clip.", "What colour is the circle?"])
    [there], [here] = KernelShap(vllm, **given)(chat(), target), KernelShap(*seeing[1:], **given)(chat(), target)
    same(there, here)
    assert any("tool_choice='none'" in note for note in there.notes)


def test_vllm_answers_are_compared_as_texts_and_as_calls(vllm: RemoteModel, seeing: Any) -> None:
    text = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 6})
    given = options(budget=16, pinned=["call: weather"], inference_mode=text)
    [there], [here] = KernelShap(vllm, **given)(chat()), KernelShap(*seeing[1:], **given)(chat())
    assert there.targets == here.targets and there.responses is not None and len(set(there.responses.texts)) > 1
    calls = options(budget=16, inference_mode=ResponseSimilarity(similarity=SameCall(), generate={"max_new_tokens": 6}))
    assert KernelShap(vllm, **calls)(chat(), ToolCall("weather", {"city": "Oslo"}))[0].t == 1


@pytest.mark.parametrize("target", [Reasoned(**GIVEN), Reasoned("So it is red.", **GIVEN)])
def test_vllm_goes_on_with_thoughts_that_are_held_fixed(vllm: RemoteModel, seeing: Any, target: Any) -> None:
    given = {"granularity": Granularity.SENTENCE, "progress": False}
    [there], [here] = ExactShapley(vllm, **given)(FACT, target), ExactShapley(*seeing[1:], **given)(FACT, target)
    same(there, here)


def test_vllm_thinks_anew_and_is_traced(vllm: RemoteModel, seeing: Any) -> None:
    given = {"granularity": Granularity.SENTENCE, "progress": False}
    [total] = ExactShapley(vllm, **given)(FACT, Reasoned(effect="total", max_tokens=8, **GIVEN))
    assert total.effect == "total" and any("4 thoughts were written" in note for note in total.notes)
    there, here = (trace(ExactShapley(*model, **given), FACT, Reasoned(**GIVEN)) for model in ((vllm,), seeing[1:]))
    torch.testing.assert_close(there.total, here.total, rtol=0, atol=1e-4)


def test_vllm_is_never_sent_more_than_it_reads(vllm: RemoteModel) -> None:
    long = [{"role": "user", "content": "red blue " * 600}]
    with pytest.raises(ValueError, match=r"1024 tokens.*Nothing is ever cut off a prompt"):
        ExactShapley(vllm, granularity=Granularity.TURN, progress=False)(long, "red")
