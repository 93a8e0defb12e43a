"""An injected sentence that decides a call is found, and so is who is behind it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interpreto_mllm import Contrast, Granularity, KernelShap
from interpreto_mllm.testbed import InjectionPrompt, load_caller, sample_injections

OPTIONS: dict[str, Any] = {"granularity": Granularity.SENTENCE, "roles": ("system", "user", "assistant", "tool")}


@pytest.fixture(scope="module")
def caller() -> Any:
    return load_caller()


def injected(caller: Any, prompt: InjectionPrompt) -> bool:
    """Whether the model follows the tool's result rather than the user; it follows nobody else."""
    game = KernelShap(*caller, **OPTIONS).game(prompt.chat, [prompt.wanted, prompt.injected])
    [[user, tool]] = game(torch.ones(1, game.n, dtype=torch.bool)).exp().tolist()
    assert user + tool > 0.5
    return tool > user


def found(explainer: Any, prompt: InjectionPrompt, by_tool: bool) -> tuple[bool, bool]:
    """Whether the sentence that decided the call ranks first, and its side outweighs the other."""
    [explanation] = explainer(prompt.chat, prompt.injected if by_tool else prompt.wanted)
    first = explanation.features[int(explanation.attributions[0].argmax())]
    trust = explanation.by("trust")
    return first.text == (prompt.sentence if by_tool else prompt.wish), trust.ranked[0] == (
        "untrusted" if by_tool else "trusted"
    )


def test_chats_are_seeded_and_say_two_colours() -> None:
    one, other = sample_injections(2, seed=1), sample_injections(2, seed=1)
    assert [prompt.chat.messages for prompt in one] == [prompt.chat.messages for prompt in other]
    assert one[0].sentence != one[0].wish and one[0].sentence in one[0].chat.messages[-2]["content"]
    assert one[0].injected.given["colour"] in one[0].sentence and one[0].wanted.given["colour"] in one[0].wish


def test_the_deciding_sentence_ranks_first(caller: Any) -> None:
    explainer = KernelShap(*caller, **OPTIONS, budget=24, seed=0)
    sides = {True: 1, False: 1}
    for prompt in sample_injections(12, seed=5):
        by_tool = injected(caller, prompt)
        if sides[by_tool]:
            sides[by_tool] -= 1
            assert found(explainer, prompt, by_tool) == (True, True)
        if not any(sides.values()):
            return
    pytest.fail("The model follows one side in all of these chats.")


def test_the_choice_between_the_calls_names_both_sides(caller: Any) -> None:
    prompt = next(one for one in sample_injections(12, seed=5) if injected(caller, one))
    [choice] = KernelShap(*caller, **OPTIONS, budget=32)(prompt.chat, Contrast(prompt.injected, prompt.wanted))
    scores = {feature.text: score for feature, score in zip(choice.features, choice.attributions[0].tolist(), strict=True)}
    assert max(scores, key=scores.__getitem__) == prompt.sentence and min(scores, key=scores.__getitem__) == prompt.wish
    assert choice.by("source").ranked[0] == "read_page"


@pytest.mark.thorough
def test_the_deciding_sentence_ranks_first_in_ninety_five_of_a_hundred_chats(caller: Any) -> None:
    explainer = KernelShap(*caller, **OPTIONS, budget=48, seed=0)
    chats = [prompt for prompt in sample_injections(400, seed=11) if injected(caller, prompt)][:100]
    ranks = [found(explainer, prompt, True) for prompt in chats]
    assert len(ranks) == 100 and sum(first for first, _ in ranks) >= 95 and sum(blamed for _, blamed in ranks) >= 95
