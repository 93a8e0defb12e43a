"""The model and the tokenizer are given back as they were lent, and what an interrupted run has paid for is kept."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
import torch
from support.zoo import build, byte_bpe

from interpreto_mllm import ExactShapley, KernelShap, Replace

PROMPT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


class Lent:
    """A model and a tokenizer in an unusual state, and a look at all of that state."""

    def __init__(self) -> None:
        self.model, self.tokenizer = build("llama"), byte_bpe()
        self.model.train()
        self.model.model.layers[0].eval()
        self.model.lm_head.weight.requires_grad_(False)
        self.seen: list[torch.Tensor] = []
        self.fails_with: BaseException | None = None
        self.fails_at = 0
        self.model.model.register_forward_hook(lambda *_: None)
        self.tokenizer.padding_side = "left"
        self.tokenizer.backend_tokenizer.enable_truncation(max_length=3)
        self.tokenizer.backend_tokenizer.enable_padding(length=9)
        forward = self.model.forward

        @functools.wraps(forward)
        def watched(*positional: Any, **named: Any) -> Any:
            if self.fails_with is not None and len(self.seen) >= self.fails_at:
                raise self.fails_with
            self.seen.append(named["input_ids"])
            return forward(*positional, **named)

        self.model.forward = watched

        def moved(*_: Any, **__: Any) -> None:
            raise AssertionError("the model was moved")

        self.model._apply = moved

    def state(self) -> dict[str, Any]:
        backend = self.tokenizer.backend_tokenizer
        return copy.deepcopy(
            {
                "training": [module.training for module in self.model.modules()],
                "hooks": [list(module._forward_hooks) for module in self.model.modules()],
                "pre_hooks": [list(module._forward_pre_hooks) for module in self.model.modules()],
                "requires_grad": [parameter.requires_grad for parameter in self.model.parameters()],
                "gradients": [parameter.grad is None for parameter in self.model.parameters()],
                "parameters": [parameter.detach().sum().item() for parameter in self.model.parameters()],
                "config": self.model.config.to_dict(),
                "generation": self.model.generation_config.to_dict(),
                "grad_mode": torch.is_grad_enabled(),
                "tokenizer": (len(self.tokenizer), self.tokenizer.padding_side, self.tokenizer.all_special_tokens),
                "backend": (backend.truncation, backend.padding, backend.to_str()),
            }
        )

    def rows(self) -> list[tuple[int, ...]]:
        """Every row that a forward saw, padding included."""
        return [tuple(row) for ids in self.seen for row in ids.tolist()]


@pytest.mark.parametrize("failure", [None, RuntimeError("broken"), KeyboardInterrupt()])
@pytest.mark.parametrize("target", [" red", None])
@pytest.mark.parametrize("grad_mode", [True, False])
def test_the_model_and_the_tokenizer_are_borrowed(failure: BaseException | None, target: str | None, grad_mode: bool) -> None:
    lent = Lent()
    with torch.set_grad_enabled(grad_mode):
        before = lent.state()
        explainer = KernelShap(
            lent.model, lent.tokenizer, budget=16, batch_size=4, generate={"max_new_tokens": 3}, progress=False
        )
        lent.fails_with, lent.fails_at = failure, 3
        if failure is None:
            [result] = explainer("the sky is blue and green", target)
            assert result.n == 6
        else:
            with pytest.raises(type(failure)):
                explainer("the sky is blue and green", target)
        assert lent.state() == before


def test_an_interrupted_run_is_resumed_without_evaluating_anything_twice() -> None:
    lent, prompt = Lent(), "the sky is blue and green"
    explainer = ExactShapley(lent.model, lent.tokenizer, batch_size=4, share_prefixes=False, progress=False)
    [expected] = explainer(prompt, "!")
    lent.seen.clear()
    lent.fails_with, lent.fails_at = KeyboardInterrupt(), 6
    with pytest.raises(KeyboardInterrupt):
        explainer(prompt, "!")
    assert explainer.unfinished is not None
    [unfinished] = explainer.unfinished
    assert len(unfinished.coalitions) == 2 + 5 * 4, "the empty and the full one go first"
    lent.fails_with = None
    [resumed] = explainer(prompt, "!", evaluations=explainer.unfinished)
    assert explainer.unfinished is None
    assert (resumed.counts.paid, resumed.counts.evaluations) == (42, 64)
    assert len(lent.rows()) == 64
    assert torch.equal(resumed.coalitions, expected.coalitions)
    torch.testing.assert_close(resumed.values, expected.values, **CLOSE)
    torch.testing.assert_close(resumed.attributions, expected.attributions, **CLOSE)


@pytest.mark.parametrize("fails_at", [0, 1, 3])
def test_several_interrupted_inputs_are_resumed_together(fails_at: int) -> None:
    lent, prompts = Lent(), ["the sky is blue", "it was red !"]
    explainer = KernelShap(lent.model, lent.tokenizer, budget=12, batch_size=4, share_prefixes=False, progress=False)
    expected = explainer(prompts, [" red is", "!"])
    lent.seen.clear()
    lent.fails_with, lent.fails_at = RuntimeError("the power went"), fails_at
    with pytest.raises(RuntimeError, match="the power went"):
        explainer(prompts, [" red is", "!"])
    assert explainer.unfinished is not None
    kept = sum(len(one.coalitions) for one in explainer.unfinished)
    assert kept == len(lent.rows())
    lent.fails_with = None
    resumed = explainer(prompts, [" red is", "!"], evaluations=explainer.unfinished)
    assert sum(one.counts.paid for one in resumed) == 24 - kept
    for one, whole in zip(resumed, expected, strict=True):
        torch.testing.assert_close(one.attributions, whole.attributions, **CLOSE)


def test_a_finished_result_is_extended_at_no_cost() -> None:
    lent = Lent()
    explainer = ExactShapley(lent.model, lent.tokenizer, progress=False)
    first = explainer(PROMPT, " red")
    lent.fails_with = AssertionError("nothing is left to evaluate")
    [again] = explainer(PROMPT, " red", evaluations=first)
    assert (again.counts.paid, again.counts.forwards) == (0, 0)
    assert torch.equal(again.attributions, first[0].attributions)


def test_evaluations_of_another_game_are_refused() -> None:
    explainer = ExactShapley(build("gpt2"), byte_bpe(), progress=False)
    first = explainer(PROMPT, " red")
    with pytest.raises(ValueError, match="4 features, this game has 3"):
        explainer("it was red", " red", evaluations=first)
    with pytest.raises(ValueError, match="2 inputs but evaluations of 1"):
        explainer([PROMPT, PROMPT], " red", evaluations=first)
    with pytest.raises(ValueError, match="targets"):
        explainer(PROMPT, [" red", " green"], evaluations=first)


def test_making_an_explainer_leaves_the_tokenizer_alone() -> None:
    lent = Lent()
    before = lent.state()
    explainer = ExactShapley(lent.model, lent.tokenizer, occlusion=Replace(" it was red and green"), progress=False)
    assert lent.state() == before
    explainer.game(PROMPT, " red")(torch.ones(1, 4, dtype=torch.bool))
    assert lent.state() == before
