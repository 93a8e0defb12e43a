"""What every explainer accepts: the same options everywhere, stated once, and nothing else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest
from support.server import Server

import interpreto_mllm
from interpreto_mllm import (
    AttributionExplainer,
    AutoShapley,
    ExactShapley,
    GaussianProcessShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    RemoteModel,
    ResponseSimilarity,
    explain,
)
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.evaluation.budget import resolve_budget
from interpreto_mllm.explainers.method import Method
from interpreto_mllm.explainers.options import Options, Settings
from interpreto_mllm.perturbators import KernelPerturbator
from interpreto_mllm.similarity import TfIdf

FACTS = "the apple is red . the sky is blue ."
METHODS = {
    name: method
    for name in interpreto_mllm.__all__
    if isinstance(method := getattr(interpreto_mllm, name), type) and issubclass(method, Method)
}


@pytest.fixture(scope="module")
def remote(recall: Any) -> Iterator[RemoteModel]:
    server = Server(*recall)
    yield RemoteModel(server.url, "recall")
    server.stop()


def test_names_types_and_documentation_agree() -> None:
    types = {name: reference.__forward_arg__ for name, reference in Options.__annotations__.items()}
    assert types == Settings.__annotations__
    assert [field.name for field in fields(Settings)] == list(Options.__annotations__)
    documented = re.findall(r"^        (\w+): ", Options.__doc__ or "", flags=re.MULTILINE)
    assert documented == list(Options.__annotations__)


@pytest.mark.parametrize("method", [AttributionExplainer, *METHODS.values()])
def test_every_method_takes_all_options_and_shows_its_own_with_types(method: type) -> None:
    parameters = list(inspect.signature(method).parameters.values())
    assert [one.name for one in parameters[:2]] == ["model", "tokenizer"]
    assert parameters[1].default is None
    assert all(one.kind is one.KEYWORD_ONLY and one.annotation is not one.empty for one in parameters[2:-1])
    assert (parameters[-1].kind, parameters[-1].annotation) == (inspect.Parameter.VAR_KEYWORD, "Unpack[Options]")


def test_there_are_twenty_four_methods() -> None:
    assert len(METHODS) == 24


@pytest.mark.parametrize("method", METHODS.values())
def test_an_unknown_option_is_refused_with_all_that_exist(recall: Any, method: type[AttributionExplainer]) -> None:
    with pytest.raises(TypeError) as caught:
        method(*recall, granularty=Granularity.WORD)  # type: ignore[call-arg]
    message = str(caught.value)
    assert message.startswith(f"{method.__name__} has no option 'granularty'. Its options are: ")
    assert all(f" {name}" in message for name in Options.__annotations__)
    own = [one.name for one in inspect.signature(method).parameters.values() if one.kind is one.KEYWORD_ONLY]
    assert all(f" {name}," in message for name in own)


def test_unknown_options_of_the_other_calls(recall: Any) -> None:
    with pytest.raises(TypeError, match="AutoShapley has no option 'bugdet'"):
        explain(*recall, FACTS, bugdet=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"KernelShap has no option 'window', 'stride'.*size_effects, granularity, "):
        explain(*recall, FACTS, method=KernelShap, window=3, stride=2)  # type: ignore[call-arg]
    parts: dict[str, Any] = {"perturbator": KernelPerturbator(), "aggregator": KernelAggregator()}
    with pytest.raises(TypeError, match=r"AttributionExplainer has no option 'n_samples'.*: perturbator, aggregator, gran"):
        AttributionExplainer(*recall, **parts, n_samples=3)


def test_parts_of_one_explainer_are_no_others(recall: Any) -> None:
    plain, other = KernelShap(*recall), KernelShap(*recall, size_effects=False)
    assert plain.aggregator is not other.aggregator
    assert plain.perturbator is other.perturbator is KernelShap.perturbator


@pytest.mark.parametrize("method", [GaussianProcessShapley, AutoShapley])
def test_remote_models_need_no_tokenizer(remote: RemoteModel, method: type[AttributionExplainer]) -> None:
    options: Any = {
        "inference_mode": ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 3}),
        "granularity": Granularity.SENTENCE,
        "progress": False,
    }
    [exact] = ExactShapley(remote, **options)(FACTS)
    for [found] in (method(remote, **options)(FACTS), explain(remote, inputs=FACTS, method=method, **options)):
        assert found.attributions.allclose(exact.attributions)


def test_the_shortest_call_needs_inputs_and_takes_them_by_position(recall: Any) -> None:
    with pytest.raises(TypeError, match="Give a string, a chat"):
        explain(*recall)
    [found] = explain(recall[0], recall[1], "the apple is red .", " red", inference_mode=InferenceModes.LOGITS, progress=False)
    assert (found.mode, found.targets, found.method) == ("logits", ["red"], "ExactShapley")


@pytest.mark.parametrize("n", [3, 62, 63, 64, 1000, 5000])
def test_budgets_of_any_number_of_features(n: int) -> None:
    assert resolve_budget(KernelPerturbator(), n, 2**n) == 2**n
    assert resolve_budget(KernelPerturbator(), n, 2**n + 1) == 2**n
    if n < 25:
        assert resolve_budget(KernelPerturbator(), n, 1.0) == 2**n
        return
    with pytest.raises(ValueError, match=rf"fraction of the 2\^{n} coalitions .* Give the number of evaluations as an int"):
        resolve_budget(KernelPerturbator(), n, 1.0)
