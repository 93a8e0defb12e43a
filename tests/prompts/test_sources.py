"""Sources: some pieces of a prompt are the features, the rest is fixed."""

from __future__ import annotations

import pytest
import torch

from interpreto_mllm import (
    Attribution,
    AttributionExplainer,
    ExactShapley,
    Granularity,
    InferenceModes,
    KernelShap,
    Lasso,
    Sources,
)

FACTS = ["the apple is red .", "the sky is blue .", "the door is green ."]
QUESTION = "what is the sky ?"
PROMPT = " ".join([*FACTS, QUESTION])
NAMED = {"market": FACTS[0], "sailor": FACTS[1], "house": FACTS[2]}


def test_sources_are_the_features_and_the_rest_is_fixed(recall):
    model, tokenizer = recall
    explainer = ExactShapley(model, tokenizer, granularity=Sources(NAMED), progress=False)
    [explanation] = explainer(PROMPT, " blue")
    assert [(one.label, one.text) for one in explanation.features] == list(NAMED.items())
    assert explanation.features[0].name == "market: the apple is red ."
    game = explainer.game(PROMPT, " blue")
    [[only_question]] = game.prompt.inputs_for(torch.zeros(1, 3, dtype=torch.bool))
    assert tokenizer.decode(only_question.ids) == f"<bos> {QUESTION}"
    [[one]] = game.prompt.inputs_for(torch.tensor([[False, True, False]]))
    assert tokenizer.decode(one.ids) == f"<bos> {FACTS[1]} {QUESTION}"
    assert int(explanation.attributions[0].argmax()) == 1


def test_they_are_the_spans_of_a_plain_prompt(recall):
    spans = [(PROMPT.index(fact), PROMPT.index(fact) + len(fact)) for fact in FACTS]
    options = {"progress": False}
    [expected] = ExactShapley(*recall, granularity=spans, **options)(PROMPT, " blue")
    for sources in (FACTS, spans, dict(zip("abc", spans, strict=True)), [FACTS[2], FACTS[0], FACTS[1]]):
        [found] = ExactShapley(*recall, granularity=Sources(sources), **options)(PROMPT, " blue")
        assert found.attributions.equal(expected.attributions)
    [listed] = ExactShapley(*recall, granularity=Sources(FACTS), **options)(PROMPT, " blue")
    assert [one.label for one in listed.features] == ["source 1", "source 2", "source 3"]
    assert Sources(FACTS)(PROMPT) == spans


def test_a_chat_is_searched_in_the_explained_messages(recall):
    chat = [{"role": "system", "content": FACTS[0]}, {"role": "user", "content": f"{FACTS[1]} {QUESTION}"}]
    options = {"granularity": Sources({"told": FACTS[0], "said": FACTS[1]}), "progress": False}
    [explanation] = ExactShapley(*recall, roles=("system", "user"), **options)(chat, " blue")
    assert [(one.label, one.role, one.text) for one in explanation.features] == [
        ("told", "system", FACTS[0]),
        ("said", "user", FACTS[1]),
    ]
    with pytest.raises(ValueError, match=r"'told' does not occur in the prompt.*only messages of the explained roles"):
        ExactShapley(*recall, **options)(chat, " blue")
    with pytest.raises(ValueError, match=r"'source 1' is \(0, 4\), and spans lie in a plain prompt"):
        ExactShapley(*recall, granularity=Sources([(0, 4)]), progress=False)(chat, " blue")


def test_sources_can_be_cut_into_sentences(recall):
    sources = Sources({"notes": " ".join(FACTS[:2]), "house": FACTS[2]}, by=Granularity.SENTENCE)
    [explanation] = ExactShapley(*recall, granularity=sources, progress=False)(PROMPT, " blue")
    assert [(one.label, one.text.strip()) for one in explanation.features] == [
        ("notes", FACTS[0]),
        ("notes", FACTS[1]),
        ("house", FACTS[2]),
    ]
    by_source = lambda features: [one.label for one in features]  # noqa: E731
    [grouped] = ExactShapley(*recall, granularity=sources, groups=by_source, progress=False)(PROMPT, " blue")
    assert [one.label for one in grouped.features] == ["notes", "house"]


def test_labels_are_shown_saved_and_made_again(recall, tmp_path):
    [explanation] = KernelShap(*recall, granularity=Sources(NAMED), progress=False)(PROMPT, " blue")
    explanation.save(tmp_path / "sources.json")
    loaded = Attribution.load(tmp_path / "sources.json")
    assert loaded.features == explanation.features
    assert "sailor: the sky" in repr(loaded)
    assert explanation.to_frame().label.tolist() == list(NAMED)
    [again] = AttributionExplainer.from_settings(*recall, loaded.settings)(PROMPT, " blue")
    assert again.attributions.equal(explanation.attributions) and again.features == explanation.features


def test_the_pieces_of_contextcite_together(recall):
    options = {"granularity": Sources(NAMED), "inference_mode": InferenceModes.ANSWER_LOGIT, "progress": False}
    [explanation] = Lasso(*recall, penalty=0.01, budget=8, **options)(PROMPT, " blue")
    assert explanation.t == 1 and explanation.estimand == "surrogate weights"
    assert explanation.features[int(explanation.attributions[0].argmax())].label == "sailor"


def test_sources_that_cannot_be_found_are_refused(recall):
    def explain(sources):
        ExactShapley(*recall, granularity=Sources(sources), progress=False)(PROMPT, " blue")

    with pytest.raises(ValueError, match="'source 1' does not occur in the prompt"):
        explain(["the moon is yellow ."])
    with pytest.raises(ValueError, match="'source 1' occurs 4 times in the prompt: give a longer piece"):
        explain(["the"])
    with pytest.raises(ValueError, match="'source 1' and 'source 2' overlap"):
        explain([FACTS[0], "red . the sky"])
    with pytest.raises(ValueError, match=r"'source 1' is \(3, 900\), and spans lie in a plain prompt, of"):
        explain([(3, 900)])


def test_what_is_no_source_is_refused(unchecked):
    for wrong in ("a text", 3, None):
        with pytest.raises(TypeError, match="a list of texts or spans"):
            Sources(wrong)
    for wrong in (["  "], [(4, 3)], [(1, 2, 3)], [None], [("a", "b")]):
        with pytest.raises(TypeError, match="A source is a text"):
            Sources(wrong)
    with pytest.raises(ValueError, match="sources is empty"):
        Sources([])
    with pytest.raises(ValueError, match=r"by is Granularity\.WORD"):
        Sources(["a"], by=Granularity.TOKEN)
