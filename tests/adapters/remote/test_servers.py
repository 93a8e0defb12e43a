"""Real servers: `transformers serve` in every run; llama.cpp and vLLM where they have an environment of their own.

`make servers` makes these environments and names their Pythons in LLAMA_PYTHON and VLLM_PYTHON.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from support import families_image, family_parts, tiny_llama
from support.real_server import serving

from interpreto_mllm import (
    Attribution,
    Chat,
    Drop,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Reasoned,
    RemoteModel,
    ResponseSimilarity,
)
from interpreto_mllm.adapters.remote import RemoteError
from interpreto_mllm.media import DropImage, Patches, WholeImage
from interpreto_mllm.similarity import TfIdf
from interpreto_mllm.testbed import RECALL

MODE = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4})
PLAIN = "the apple is red . the sky is blue . what is the apple ?"
CHAT = [{"role": "system", "content": "answer the question ."}, {"role": "user", "content": PLAIN}]
OPTIONS: dict[str, Any] = {"progress": False, "granularity": Granularity.SENTENCE}


@pytest.fixture(scope="module")
def transformers_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("serve") / "log"
    script = "from transformers.cli.transformers import main; main()"
    command = [sys.executable, "-c", script, "serve", "--host", "127.0.0.1", "--port", "{port}", "--device", "cpu"]
    with serving(command, log, 60) as url:
        yield url


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("llama")
    return folder, tiny_llama.make(folder)


@pytest.fixture(scope="module")
def llama_server(llama: tuple[Path, Any]) -> Iterator[str]:
    python = environment("LLAMA_PYTHON")
    file = llama[0] / "tiny.gguf"
    subprocess.run([python, tiny_llama.__file__, llama[0], file], check=True)
    command = [python, "-m", "llama_cpp.server", "--model", str(file), "--port", "{port}", "--n_ctx", "512"]
    exact = ["--logits_all", "true", "--type_k", "0", "--type_v", "0", "--n_threads", "1", "--model_alias", "tiny"]
    with serving([*command, *exact], llama[0] / "log", 60) as url:
        yield url


@pytest.fixture(scope="module")
def vllm_server(llama: tuple[Path, Any]) -> Iterator[str]:
    python = environment("VLLM_PYTHON")
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(llama[0]), "--served-model-name", "tiny"]
    exact = ["--host", "127.0.0.1", "--port", "{port}", "--enforce-eager", "--dtype", "float32", "--max-model-len", "512"]
    exact += ["--enable-prefix-caching"]
    with serving([*command, *exact], llama[0] / "log", 300, VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1") as url:
        yield url


def environment(name: str) -> str:
    if name not in os.environ:
        pytest.skip(f"{name} names no Python that has this server: make servers")
    return os.environ[name]


def same(there: Attribution, here: Attribution, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(there.values.double(), here.values.double(), rtol=0, atol=tolerance)
    torch.testing.assert_close(there.attributions.double(), here.attributions.double(), rtol=0, atol=tolerance)
    if there.responses is not None and here.responses is not None:
        assert there.responses.texts == here.responses.texts and len(set(there.responses.texts)) > 1


def test_transformers_serve_answers_as_the_model_does_locally(transformers_server: str, recall: Any) -> None:
    remote = RemoteModel(transformers_server, str(RECALL))
    options = {**OPTIONS, "inference_mode": MODE, "roles": ("system", "user")}
    same(ExactShapley(remote, **options)(CHAT)[0], ExactShapley(*recall, **options)(CHAT)[0])
    remote = RemoteModel(transformers_server, str(RECALL), route="completion")
    options = {**OPTIONS, "inference_mode": MODE, "pinned": [2]}
    same(ExactShapley(remote, **options)(PLAIN)[0], ExactShapley(*recall, **options)(PLAIN)[0])


@pytest.mark.parametrize("route", ["chat", "completion"])
def test_transformers_serve_scores_no_given_answers(transformers_server: str, route: Any) -> None:
    remote = RemoteModel(transformers_server, str(RECALL), route=route)
    with pytest.raises(ValueError, match=r"(Unexpected|Unsupported).* says .*prompt log-probabilities"):
        ExactShapley(remote, **OPTIONS)(PLAIN, " red")


def test_transformers_serve_says_what_of_a_chat_it_does_not_take(transformers_server: str) -> None:
    explainer = ExactShapley(RemoteModel(transformers_server, str(RECALL), retries=0), inference_mode=MODE, **OPTIONS)
    question = [{"role": "user", "content": "the apple is red . what is the apple ?"}]
    weather = {"type": "function", "function": {"name": "weather", "description": "It rains."}}
    with pytest.raises((ValueError, RemoteError), match=r"documents.*(vLLM and SGLang take|does not show)"):
        explainer(Chat(question, documents=["the sky is blue ."]), "red")
    with pytest.raises((ValueError, RemoteError), match="tools"):
        explainer(Chat(question, tools=[weather]), "red")
    with pytest.raises(ValueError, match=r"(refuses that|does not return the tokens that it reads)"):
        explainer(question, Reasoned(thoughts="the apple is red .", answer="red"))


def test_transformers_serve_sees_what_the_model_sees_locally(transformers_server: str, tmp_path: Path) -> None:
    family = families_image.llava()
    family.model.save_pretrained(tmp_path)
    family.processor.save_pretrained(tmp_path)
    chat = [
        {
            "role": "user",
            "content": [{"type": "image", "image": family_parts.picture()}, {"type": "text", "text": "What is this?"}],
        }
    ]
    remote = RemoteModel(transformers_server, str(tmp_path))
    for cut in ({"image_granularity": Patches(2, 2)}, {"image_granularity": WholeImage(), "image_occlusion": DropImage()}):
        options = {**OPTIONS, "inference_mode": MODE, **cut}
        same(ExactShapley(remote, **options)(chat)[0], ExactShapley(family.model, family.processor, **options)(chat)[0])


@pytest.mark.parametrize("mode", [InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX])
def test_llama_cpp_scores_as_the_model_does_locally(llama_server: str, llama: tuple[Path, Any], mode: Any) -> None:
    remote = RemoteModel(llama_server, "tiny", route="completion")
    options = {"progress": False, "inference_mode": mode, "pinned": [0], "budget": 40}
    for target in (" red , blue", " é🙂 apple"):
        [there], [here] = KernelShap(remote, **options)(PLAIN, target), KernelShap(*llama[1], **options)(PLAIN, target)
        same(there, here, 1e-4)
        assert there.attributions.shape[0] >= 3


def test_llama_cpp_answers_as_the_model_does_locally(llama_server: str, llama: tuple[Path, Any]) -> None:
    """The server is sent what is left as a text, and tokenises it."""
    plain = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4, "extra_body": {"repeat_penalty": 1.0}})
    for route, prompt, pins in (("chat", CHAT, ()), ("completion", PLAIN, (2,))):
        remote = RemoteModel(llama_server, "tiny", route=route)  # type: ignore[arg-type]
        options = {**OPTIONS, "pinned": pins}
        [there] = ExactShapley(remote, inference_mode=plain, **options)(prompt)
        [here] = ExactShapley(*llama[1], inference_mode=MODE, occlusion=Drop(retokenize=True), **options)(prompt)
        same(there, here)
    with pytest.raises(ValueError, match="prompt log-probabilities"):
        ExactShapley(RemoteModel(llama_server, "tiny"), **OPTIONS)(CHAT, "red")


def test_llama_cpp_is_not_believed_to_show_documents(llama_server: str) -> None:
    """It takes them and passes over them."""
    remote = RemoteModel(llama_server, "tiny", retries=0)
    with pytest.raises((ValueError, RemoteError), match=r"does not show the model its documents|vLLM and SGLang take"):
        ExactShapley(remote, inference_mode=MODE, **OPTIONS)(Chat(CHAT, documents=["the sky is blue ."]), "red")
    with pytest.raises((ValueError, RemoteError), match="longer window"):
        ExactShapley(remote, inference_mode=MODE, **{**OPTIONS, "granularity": Granularity.TURN})(
            [{"role": "user", "content": PLAIN * 60}], "red"
        )


@pytest.mark.parametrize("mode", [InferenceModes.LOG_SOFTMAX, InferenceModes.SOFTMAX, MODE])
@pytest.mark.parametrize("route", ["chat", "completion"])
def test_vllm_scores_and_answers_as_the_model_does_locally(
    vllm_server: str, llama: tuple[Path, Any], mode: Any, route: Any
) -> None:
    remote = RemoteModel(vllm_server, "tiny", route=route, concurrency=32)
    options = {"progress": False, "inference_mode": mode, "pinned": [0], "budget": 40}
    prompt = CHAT if route == "chat" else PLAIN
    for target in ("red , blue", "é🙂 apple") if route == "chat" else (" red , blue", " é🙂 apple"):
        [there], [here] = KernelShap(remote, **options)(prompt, target), KernelShap(*llama[1], **options)(prompt, target)
        same(there, here, 1e-4)
        assert there.attributions.shape[0] >= (1 if mode is MODE else 3)


def test_vllm_says_the_same_after_other_requests(vllm_server: str) -> None:
    """A prompt of several blocks of its prefix cache, which are there when it is asked about again."""
    remote = RemoteModel(vllm_server, "tiny", route="completion")
    first, again = (KernelShap(remote, pinned=[0], budget=24, progress=False)(PLAIN * 4, " red")[0] for _ in range(2))
    same(again, first, 1e-4)
    assert first.notes == again.notes == ()
