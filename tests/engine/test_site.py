"""Where gradients are taken: which call of a module is the one that reads the prompt."""

from __future__ import annotations

import torch

from interpreto_mllm.engine.site import Site


def test_a_module_that_reads_the_same_twice_gives_the_same_twice() -> None:
    """As the embedding of Granite Speech, which embeds the prompt, forgets that, and embeds it again beside the clip."""
    embedding = torch.nn.Embedding(9, 4)
    ids, others = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]])
    states, tails = torch.ones(1, 2, 4), []
    with Site(embedding, "the embedding").replaced(states, 3, tails):
        first, again, different = embedding(ids), embedding(input=ids), embedding(others)
    assert first.equal(again) and first[:, :2].equal(states)
    assert different.equal(embedding(others))
    assert len(tails) == 1 and tails[0].equal(embedding(ids)[:, 2:])
    [tail] = torch.autograd.grad(first.sum() + again.sum(), tails)
    assert tail.equal(torch.full((1, 1, 4), 2.0))
    assert not embedding._forward_hooks
