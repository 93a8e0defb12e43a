"""One backward pass through the output layer for all tokens of an answer, where their values are of one position each."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support import zoo

from interpreto_mllm.engine.output_layer import OutputLayer
from interpreto_mllm.engine.site import Site

MODEL = zoo.build("llama")
IDS = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])
WHOLE = MODEL.get_input_embeddings()(IDS).detach()


def apart(logits: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1)[:, -4:, 3]


def mixed(logits: torch.Tensor) -> torch.Tensor:
    """Values that depend on all positions."""
    return apart(logits) * apart(logits).sum(1, keepdim=True)


def first(logits: torch.Tensor) -> torch.Tensor:
    """Values of other positions than the last ones."""
    return logits[:, :4, 3]


def same(logits: torch.Tensor) -> torch.Tensor:
    """Values that are all of the last position."""
    return logits[:, -1, 3:7].softmax(-1)


@pytest.mark.parametrize("values, passes", [(apart, 2), (mixed, 6), (first, 6), (same, 6)])
def test_gradients_are_those_of_one_pass_for_each_value(values: Callable[..., torch.Tensor], passes: int) -> None:
    leaf = WHOLE.clone().requires_grad_()
    columns = values(MODEL(inputs_embeds=leaf).logits).sum(0)
    plain = [torch.autograd.grad(column, leaf, retain_graph=True)[0] for column in columns]
    made: list[None] = []

    def count(module: torch.nn.Module, args: tuple, output: torch.Tensor) -> None:
        output.register_hook(lambda gradient: made.append(None))

    layer, handle = OutputLayer(MODEL), MODEL.lm_head.register_forward_hook(count)
    try:
        with layer.parted():
            columns = values(MODEL(inputs_embeds=leaf).logits).sum(0)
        found = [one for [one] in layer.gradients(columns, [leaf])]
    finally:
        handle.remove()
    for one, other in zip(found, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert len(made) == passes
    assert not MODEL.lm_head._forward_pre_hooks


def test_what_goes_past_the_output_layer_is_not_lost() -> None:
    """As where a value adds something of the states or of the input to the logits."""
    leaf, unused = WHOLE.clone().requires_grad_(), torch.ones(1, requires_grad=True)
    layer = OutputLayer(MODEL)
    with layer.parted():
        logits = MODEL(inputs_embeds=leaf).logits
    columns = (apart(logits) + leaf[:, -4:].square().sum(-1)).sum(0)
    plain = (apart(MODEL(inputs_embeds=leaf).logits) + leaf[:, -4:].square().sum(-1)).sum(0)
    for column, (one, other) in zip(plain, layer.gradients(columns, [leaf, unused]), strict=True):
        torch.testing.assert_close(one, torch.autograd.grad(column, leaf, retain_graph=True)[0], rtol=1e-5, atol=1e-5)
        assert other is None


def test_forwards_in_other_threads_are_left_alone() -> None:
    """The user may train the model meanwhile."""
    leaf = WHOLE.clone().requires_grad_()
    layer, site = OutputLayer(MODEL), Site(MODEL.get_input_embeddings(), "the embedding")
    with layer.parted(), site.replaced(torch.zeros_like(WHOLE), WHOLE.shape[1]), ThreadPoolExecutor(1) as other:
        elsewhere = other.submit(lambda: MODEL(input_ids=IDS, output_hidden_states=True)).result()
        theirs = other.submit(lambda: MODEL(inputs_embeds=leaf).logits).result()
        MODEL(input_ids=IDS)
    assert elsewhere.hidden_states[0].equal(WHOLE)
    [found] = torch.autograd.grad(theirs[0, -1, 3], leaf)
    [expected] = torch.autograd.grad(MODEL(inputs_embeds=leaf).logits[0, -1, 3], leaf)
    assert found.equal(expected)


def test_models_without_an_output_layer_and_constant_states_are_left_alone() -> None:
    leaf = WHOLE.clone().requires_grad_()
    for model in (None, torch.nn.Identity()):
        layer = OutputLayer(model)
        with layer.parted():
            columns = leaf.square().sum((0, 1))[:3]
        sums = torch.stack([one.sum() for [one] in layer.gradients(columns, [leaf])])
        torch.testing.assert_close(sums, 2 * leaf.detach().sum((0, 1))[:3])
