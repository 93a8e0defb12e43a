"""What joins a long prompt together: turns, then paragraphs and sources, then sentences."""

from __future__ import annotations

from support.zoo import build, byte_bpe

from interpreto_mllm import Granularity, KernelShap, ScreenedShapley, Sources
from interpreto_mllm.explainers.screened import groups


def test_paragraphs_are_groups_of_their_sentences():
    text = "One is here. Two is there.\n\nThree is far.\n\nFour is near. Five is off. Six is on."
    prompt = KernelShap(build("llama"), byte_bpe(), granularity=Granularity.SENTENCE).game(text, "x").prompt
    assert [feature.text.strip() for feature in prompt.features][2] == "Three is far."
    assert groups(prompt) == [[[0, 1], 2, [3, 4, 5]]]


def test_sources_are_groups_of_their_sentences():
    first, second = "One is here. Two is there.", "Three is far. Four is near."
    sources = Sources({"a": first, "b": second}, by=Granularity.SENTENCE)
    prompt = KernelShap(build("llama"), byte_bpe(), granularity=sources).game(f"{first} {second} What is far?", "x").prompt
    assert groups(prompt) == [[[0, 1], [2, 3]]]


def test_a_prompt_of_one_paragraph_is_its_hierarchy():
    explainer = ScreenedShapley(build("llama"), byte_bpe(), budget=40)
    prompt = explainer.game("the sky is blue. the sea is green. what is it?", "x").prompt
    assert groups(prompt) == prompt.hierarchy()
    assert len(explainer.parts(prompt)) == 2
