"""Relevance is gradient times input under the rules: equal to layer-wise propagation by hand, and none of it is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import relevance_by_hand
from support.ruled_models import MAKERS, make
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers.activations import ACT2FN

from interpreto_mllm.engine.relevance.mode import recomputing
from interpreto_mllm.engine.relevance.rules import relevance_rules
from interpreto_mllm.engine.relevance.trial import conservation, require_rules

IDS = torch.tensor([[3, 14, 15, 9, 26, 5, 35, 8]])
WITHOUT_RULES = {"mamba": "exp", "mixtral": "div_", "bloom": "loses"}
QUICK = ("gemma2",)
"""A gated model with capped scores; the explainer's tests have one with biases."""


def forward(model: Any, embeddings: Tensor | None = None) -> Callable[[], tuple[Tensor, list[Tensor]]]:
    """Runs a model on some tokens; the value is a logit of its last output."""
    inputs = model.get_input_embeddings()(IDS) if embeddings is None else embeddings
    inputs = inputs.detach().requires_grad_()

    def run() -> tuple[Tensor, list[Tensor]]:
        more = {"decoder_input_ids": IDS[:, :3]} if model.config.is_encoder_decoder else {}
        logits = model(inputs_embeds=inputs, **more).logits
        return logits[0, 1] if logits.ndim == 2 else logits[0, -1, 7], [inputs]

    return run


def relevance(model: Any, embeddings: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The value, and the relevance of each number of the embeddings."""
    with relevance_rules(model):
        value, [inputs] = forward(model, embeddings)()
    [gradient] = torch.autograd.grad(value, [inputs])
    return value.detach(), (inputs * gradient).detach()[0]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_relevance_is_that_of_propagation_by_hand(family: str) -> None:
    model = make(family).double()
    if family == "llama":
        for part in model.modules():  # by hand there are no biases
            if isinstance(part, torch.nn.Linear):
                part.bias = None
    embeddings = model.get_input_embeddings()(IDS).detach()
    with torch.no_grad():
        by_hand = getattr(relevance_by_hand, family)(model, embeddings[0], 7)
    _, found = relevance(model, embeddings)
    torch.testing.assert_close(found, by_hand, atol=1e-5, rtol=1e-5)
    assert by_hand.abs().sum(-1).min() > 1e-3  # every position matters


def check_conservation(family: str) -> None:
    model = make(family)
    run = forward(model)
    found = conservation(model, run)
    value, numbers = relevance(model)
    assert found.value == pytest.approx(float(run()[0].detach()), abs=1e-5) and found.value == float(value)
    assert found.inputs == pytest.approx(float(numbers.sum()), abs=1e-5)
    size = sum(map(abs, (found.value, found.inputs, *found.kept.values())))
    assert abs(found.lost) < 1e-5 * size
    require_rules(model, run)


@pytest.mark.parametrize("family", QUICK)
def test_relevance_is_conserved(family: str) -> None:
    check_conservation(family)


@pytest.mark.thorough
@pytest.mark.parametrize("family", sorted({*MAKERS} - {*QUICK} - {*WITHOUT_RULES}))
def test_relevance_is_conserved_in_other_families(family: str) -> None:
    check_conservation(family)


@pytest.mark.thorough
def test_without_biases_positions_and_softmax_nothing_is_kept() -> None:
    model = make("llama")
    for part in model.modules():
        if isinstance(part, torch.nn.Linear):
            part.bias = None
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()  # scores of zero: the softmax has nothing to keep
    value, numbers = relevance(model)
    attention = conservation(model, forward(model)).kept["softmax"]
    assert float(numbers.sum()) + attention == pytest.approx(float(value), abs=1e-5)


def test_attention_of_both_kinds_has_the_same_rules() -> None:
    model = make("llama")
    _, kernel = relevance(model)
    model.set_attn_implementation("eager")
    _, products = relevance(model)
    torch.testing.assert_close(kernel, products, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["mamba", "bloom", pytest.param("mixtral", marks=pytest.mark.thorough)])
def test_other_families_are_refused_with_what_is_supported(family: str) -> None:
    model = make(family)
    with pytest.raises(TypeError, match=f"(?s){WITHOUT_RULES[family]}.*Llama, Mistral, Qwen 2 and 3, Gemma.*GPT-2.*BERT"):
        require_rules(model, forward(model))


def state(model: Any) -> list[Any]:
    modules = [(id(module), sorted(vars(module)), dict(module._forward_hooks), dict(module._forward_pre_hooks))
               for module in model.modules()]  # fmt: skip
    weights = [(parameter.requires_grad, parameter.grad, parameter._version) for parameter in model.parameters()]
    return [modules, weights, model.config.to_dict(), model.config._attn_implementation, model.training]


@pytest.mark.parametrize("broken", [False, True])
def test_the_model_is_left_as_it_was(broken: bool) -> None:
    model = make("gpt2")
    before, plain = state(model), forward(model)
    expected = torch.autograd.grad(plain()[0], plain()[1])[0]
    with pytest.raises(RuntimeError) if broken else relevance_rules(model), relevance_rules(model):
        value, _ = plain()
        if broken:
            raise RuntimeError
    assert state(model) == before
    value, inputs = plain()
    assert torch.equal(torch.autograd.grad(value, inputs)[0], expected)


def test_other_threads_and_models_have_their_own_gradients() -> None:
    model, other = make("gpt2"), make("gpt2")
    run = forward(model)
    expected = torch.autograd.grad(run()[0], run()[1])[0]
    found: list[Tensor] = []

    def elsewhere() -> None:
        for one in (model, other):
            value, inputs = forward(one)()
            found.extend(torch.autograd.grad(value, inputs))

    with relevance_rules(model):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert all(parameter.requires_grad for parameter in model.parameters())
    assert len(found) == 2 and all(torch.allclose(one, expected, atol=1e-6) for one in found)


def test_two_threads_may_take_the_relevance_of_one_model() -> None:
    model = make("gpt2")
    prompts = [model.get_input_embeddings()(ids).detach() for ids in (IDS, IDS.flip(1)[:, 3:])]
    alone = [relevance(model, prompt)[1] for prompt in prompts]
    start = threading.Barrier(2)

    def work(prompt: Tensor) -> list[Tensor]:
        start.wait()
        return [relevance(model, prompt)[1] for _ in range(5)]

    with ThreadPoolExecutor(2) as pool:
        for found, expected in zip(pool.map(work, prompts), alone, strict=True):
            assert all(torch.equal(one, expected) for one in found)


def test_layers_computed_twice_have_the_same_rules() -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.LayerNorm(4), torch.nn.Linear(4, 1))
    x = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
    found = []
    for kept in (True, False):
        with relevance_rules(layers):
            value = layers(x) if kept else checkpoint(layers, x, use_reentrant=False, context_fn=recomputing)
            found += torch.autograd.grad(value, x)
    assert torch.equal(*found)


def test_rules_within_rules_are_applied_once() -> None:
    x = torch.tensor([0.5, -1.5, 2.0], requires_grad=True)
    activation = ACT2FN["gelu_new"]
    with relevance_rules(torch.nn.Identity()), relevance_rules(activation):
        [gradient] = torch.autograd.grad((x * activation(x)).sum(), x)
    torch.testing.assert_close(gradient, activation(x).detach())


def test_half_precision_keeps_its_values() -> None:
    model = make("llama").bfloat16()
    require_rules(model, forward(model))
    assert torch.equal(relevance(model)[0], forward(model)()[0].detach())


@pytest.mark.parametrize(
    "operation, expected",
    [
        (lambda x: x * x.detach().exp(), "all"),
        (lambda x: (x @ x.T).sum(), "all"),
        (lambda x: torch.einsum("ij,kj->", x, x), "all"),
        (lambda x: F.layer_norm(x, (3,)), "all"),
        (lambda x: F.rms_norm(x, (3,), torch.tensor([1.0, 2.0, 3.0])), "all"),
        (lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6), "all"),
        (lambda x: x * torch.pow((x**2).mean(-1, keepdim=True), -0.5), "all"),
        (lambda x: F.silu(x) * x.sigmoid(), "all"),
        (lambda x: F.glu(x, 0), "all"),
        (lambda x: torch.tanh(x / 3) * 3, "all"),
        (lambda x: x.relu().max(-1).values, "all"),
        (lambda x: x.masked_fill(x > 0, 0.0), "all"),
        (lambda x: x + 1, "constants"),
        (lambda x: x.softmax(-1)[:, 0], "softmax"),
        (lambda x: x.exp(), "exp"),
        (lambda x: x / x.norm(), "div"),
        (lambda x: x[0] / x[1], "div"),
        (lambda x: x.cos(), "cos"),
        (lambda x: x**3, "lost"),
    ],
)
def test_every_operation_passes_on_its_relevance_or_is_refused(operation: Callable[[Tensor], Tensor], expected: str) -> None:
    x = torch.tensor([[0.5, -1.5, 2.0], [1.0, 0.25, -0.75]], requires_grad=True)

    def run() -> tuple[Tensor, list[Tensor]]:
        return operation(x).sum(), [x]

    module = torch.nn.Identity()
    if expected not in ("all", "constants", "softmax", "lost"):
        with pytest.raises(TypeError, match=f"computes `{expected}`"):
            conservation(module, run)
        return
    found = conservation(module, run)
    if expected == "lost":
        assert abs(found.lost) > 1
        return
    assert found.lost == pytest.approx(0, abs=1e-5)
    assert {kind for kind, kept in found.kept.items() if abs(kept) > 1e-6} == {expected} - {"all"}


def test_shares_are_those_of_the_paper() -> None:
    """An activation passes all of its relevance on, each factor of a product half of it."""
    x, y = torch.tensor([0.5, -1.5], requires_grad=True), torch.tensor([2.0, 3.0], requires_grad=True)
    with relevance_rules(torch.nn.Identity()):
        value = (F.gelu(x) * y).sum()
    of_x, of_y = torch.autograd.grad(value, [x, y])
    parts = (F.gelu(x) * y / 2).detach()
    torch.testing.assert_close(of_x * x.detach(), parts)
    torch.testing.assert_close(of_y * y.detach(), parts)
