"""Conversations about images and clips that go on: token for token what the raw models say, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from support.by_hand import left, without_words
from support.families import conversation, family
from support.family_parts import Family
from support.multimodal import NEW_TOKENS, generated
from support.quick import each

from interpreto_mllm import (
    Attribution,
    Blur,
    DropImage,
    ExactShapley,
    Fill,
    HierarchicalShapley,
    KernelShap,
    Patches,
    ResponseSimilarity,
    WholeImage,
    Windows,
)
from interpreto_mllm.aggregators import OwenAggregator
from interpreto_mllm.similarity import ExactMatch
from interpreto_mllm.testbed import load_sight, sample_scene_prompts

QUESTION, NEXT = "What is red ?", "or not so"
MODE = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": NEW_TOKENS})
CUTS: dict[str, Any] = {"image_granularity": Patches(1, 2), "audio_granularity": Windows(300), "budget": 24, "progress": False}


def by_hand(
    subject: Family,
    turns: Sequence[list[dict]],
    features: Sequence[Any],
    coalition: Sequence[bool],
    roles: Sequence[str] = ("user",),
) -> list[tuple[int, ...]]:
    """The ids of what the raw model says in every turn."""
    messages: list[dict] = []
    said: list[tuple[int, ...]] = []
    for turn in turns:
        messages += turn
        mine = [(f, there) for f, there in zip(features, coalition, strict=True) if f.turn < len(messages)]
        encoding = without_words(subject, *left(messages, [f for f, _ in mine], [there for _, there in mine], roles))
        said.append(generated(subject, encoding))
        text = subject.processor.tokenizer.decode(said[-1], skip_special_tokens=True).strip()
        messages.append({"role": "assistant", "content": [{"type": "text", "text": text}]})
    return said


def check_by_hand(result: Attribution, subject: Family, turns: Sequence[list[dict]]) -> None:
    assert result.responses is not None
    for coalition, history, [answer] in zip(
        result.coalitions.tolist(), result.responses.history, result.responses.answers, strict=True
    ):
        assert [*(one.ids for one in history), answer.ids] == by_hand(subject, turns, result.features, coalition)


@pytest.mark.parametrize("name", each(("llava", "qwen2_5_vl", "qwen2_5_omni", "qwen2_audio"), ("llava", "qwen2_audio")))
def test_every_family_goes_on(name: str, tmp_path: Path) -> None:
    subject = family(name)
    first_turn, second_turn = conversation(subject, QUESTION), conversation(subject, NEXT, (1,), (1,))
    explainer = KernelShap(subject.model, subject.processor, inference_mode=MODE, **CUTS)
    [first] = explainer(first_turn)
    second = explainer.extend(first, second_turn)
    check_by_hand(second, subject, [first_turn, second_turn])
    assert second.features[: first.n] == first.features
    assert [feature.turn for feature in second.features] == sorted(feature.turn or 0 for feature in second.features)
    assert len(second.media) == 2 * len(first.media)
    second.save(tmp_path / "second.json")
    again = Attribution.load(tmp_path / "second.json")
    third = explainer.extend(again, MORE := [{"role": "user", "content": [{"type": "text", "text": "go"}]}])
    check_by_hand(third, subject, [first_turn, second_turn, MORE])
    assert third.counts.answers_reused > 0
    assert third.conversation is not None and third.media[0] is again.media[0]


def test_an_image_may_be_left_out_of_every_turn() -> None:
    subject = family("llava")
    turns = [conversation(subject, QUESTION), conversation(subject, NEXT, (1,))]
    options: dict[str, Any] = {"inference_mode": MODE, "image_granularity": WholeImage(), "image_occlusion": DropImage()}
    explainer = ExactShapley(subject.model, subject.processor, pinned=lambda feature: feature.modality == "text", **options)
    [first] = explainer(turns[0])
    second = explainer.extend(first, turns[1])
    assert second.responses is not None
    assert (len(second.coalitions), second.counts.answers_reused) == (4, 2)
    for coalition, history, [answer] in zip(
        second.coalitions.tolist(), second.responses.history, second.responses.answers, strict=True
    ):
        kept = [
            [{"role": "user", "content": turn[0]["content"][0 if there else 1 :]}]
            for turn, there in zip(turns, coalition, strict=True)
        ]
        assert [history[0].ids, answer.ids] == by_hand(subject, kept, [], [], ())


def test_how_a_loaded_picture_disappears_is_as_it_was(tmp_path: Path) -> None:
    subject = family("llava")
    turn = conversation(subject, QUESTION)
    explainer = KernelShap(subject.model, subject.processor, inference_mode=MODE, image_occlusion=Blur(2.0), **CUTS)
    [first] = explainer(turn)
    first.save(tmp_path / "first.json")
    again = Attribution.load(tmp_path / "first.json")
    other = KernelShap(subject.model, subject.processor, inference_mode=MODE, image_occlusion=Fill("red"), **CUTS)
    expected, result = explainer.extend(first, NEXT), other.extend(again, NEXT)
    assert expected.responses is not None and result.responses is not None
    assert result.responses.history == expected.responses.history
    assert result.responses.answers == expected.responses.answers


def test_the_tree_of_a_longer_conversation_has_the_same_players() -> None:
    """Its prompt has pieces of all images before the words of all turns, its players come turn by turn."""
    model, processor = load_sight()
    [prompt] = sample_scene_prompts(1, seed=3)
    options: dict[str, Any] = {"inference_mode": MODE, "image_granularity": Patches(2, 2), "budget": 60, "progress": False}
    explainer = HierarchicalShapley(model, processor, **options)
    [first] = explainer(prompt.messages)
    second = explainer.extend(first, [{"role": "user", "content": prompt.messages[-1]["content"]}])
    assert [feature.turn for feature in second.features] == [0] * first.n + [2] * first.n

    def leaves(branch: Any) -> list[int]:
        return [leaf for one in branch for leaf in leaves(one)] if isinstance(branch, list) else [branch]

    tree = cast(OwenAggregator, second.aggregator).groups
    assert sorted(leaves(tree)) == list(range(second.n))
    kinds = [{(second.features[leaf].turn, second.features[leaf].modality) for leaf in leaves(branch)} for branch in tree]
    assert sorted(kinds, key=str) == [{(0, "image")}, {(0, "text")}, {(2, "image")}, {(2, "text")}]
