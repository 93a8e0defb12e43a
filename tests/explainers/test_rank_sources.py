"""Which sources an answer came from, and which sentences of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interpreto_mllm import Chat, ExactShapley, Granularity, KernelShap, Sources, aggregators, perturbators, rank_sources
from interpreto_mllm.explainers.play import play
from interpreto_mllm.results.ranking import ranking

PAGES = {
    "market": "hello . the apple is red .",
    "logbook": "the sky is blue . it rains today .",
    "house": "the door is green .",
}
QUESTION = "what is the sky ?"
PROMPT = " ".join([*PAGES.values(), QUESTION])
DOCUMENTS = (
    "{{ bos_token }}{% for d in documents or [] %}<|user|>\n{{ d.title }} {{ d.text }}<|end|>\n{% endfor %}"
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}<|assistant|>\n"
)


def test_the_chunk_comes_first_and_then_its_sentence(recall: Any) -> None:
    found = rank_sources(*recall, PROMPT, PAGES, " blue", method=ExactShapley, progress=False)
    assert found.sources[0].label == "logbook" == found.strongest[0]
    assert [piece.text for piece in found.sentences] == ["the sky is blue .", "it rains today ."]
    [chunks] = ExactShapley(*recall, granularity=Sources(PAGES), progress=False)(PROMPT, " blue")
    sentences = Sources({"logbook": PAGES["logbook"]}, by=Granularity.SENTENCE)
    [within] = ExactShapley(*recall, granularity=sentences, progress=False)(PROMPT, " blue")
    assert found.of_sources.values.equal(chunks.values) and found.of_sentences.values.equal(within.values)
    assert found.sources[0].score == float(chunks.attributions.max()) and found.sources[0].places == (1, 1)
    assert "2 other sources" in found.fixed and found.fixed in repr(found) and "logbook: the sky is blue ." in repr(found)


def test_several_of_the_strongest_are_cut(recall: Any) -> None:
    found = rank_sources(*recall, PROMPT, list(PAGES.values()), " blue", within=3, method=KernelShap, progress=False)
    assert found.sources[0].label == "source 2" and len(found.sentences) == 5
    assert found.sentences[0].text == "the sky is blue ." and found.fixed == "always present: everything but the sources"


def test_chunks_that_are_not_in_the_question_are_written_before_it(recall: Any) -> None:
    found = rank_sources(*recall, QUESTION, PAGES, method=KernelShap, progress=False)
    asked = [{"role": "user", "content": "\n\n".join([*PAGES.values(), QUESTION])}]
    [same] = KernelShap(*recall, granularity=Sources(PAGES), progress=False)(asked)
    assert found.of_sources.targets == same.targets == ["blue"] and found.of_sources.values.equal(same.values)
    with pytest.raises(ValueError, match="does not occur"):
        rank_sources(*recall, f"the door is green . {QUESTION}", PAGES, progress=False)


def test_documents_of_a_chat_are_sources(recall: Any) -> None:
    model, tokenizer = recall
    kept, tokenizer.chat_template = tokenizer.chat_template, DOCUMENTS
    try:
        documents = [{"id": name, "title": "hello .", "text": text} for name, text in PAGES.items()]
        chat = Chat([{"role": "user", "content": QUESTION}], documents=documents)
        found = rank_sources(model, tokenizer, chat, target="blue", method=KernelShap, progress=False)
    finally:
        tokenizer.chat_template = kept
    assert [found.sources[0].label, found.of_sources.n] == ["logbook", 3] and found.strongest == ("logbook",)
    assert found.sentences[0].text == "the sky is blue ." and {piece.label for piece in found.sentences} == {"logbook"}


def test_sources_of_a_chat_may_stand_in_any_message(recall: Any) -> None:
    chat = [{"role": "system", "content": PAGES["logbook"]}, {"role": "user", "content": f"{PAGES['market']} {QUESTION}"}]
    found = rank_sources(*recall, chat, [PAGES["market"], PAGES["logbook"]], "blue", method=KernelShap, progress=False)
    assert found.sources[0].text == PAGES["logbook"]


def test_intervals_decide_which_places_are_open() -> None:
    def noisy(coalitions: torch.Tensor) -> torch.Tensor:
        present = coalitions.double()
        triple = present[:, 4] * present[:, 5] * (present[:, 6] + present[:, 7] - 2 * present[:, 3])
        return 9 * present[:, 0] + 0.5 * triple

    result = play(
        noisy, perturbators.KernelPerturbator(), aggregators.KernelAggregator(), n_features=9, budget=120, progress=False
    )
    ranked = ranking(result)
    low, high = result.interval()
    assert ranked[0].places == (1, 1) and ranked[0].text == "0"
    for piece in ranked:
        one = int(piece.text)
        others = [other for other in range(9) if other != one]
        first = 1 + sum(float(low[0, other]) > float(high[0, one]) for other in others)
        last = 9 - sum(float(high[0, other]) < float(low[0, one]) for other in others)
        assert piece.places == (first, last) and piece.interval == (float(low[0, one]), float(high[0, one]))
    undecided = [piece for piece in ranked if piece.places and piece.places[0] < piece.places[1]]
    assert undecided and "–" in repr(undecided[0])


def test_what_is_no_ranking_is_refused(recall: Any) -> None:
    with pytest.raises(ValueError, match="takes no granularity"):
        rank_sources(*recall, PROMPT, PAGES, granularity=Granularity.WORD)
    with pytest.raises(ValueError, match="within"):
        rank_sources(*recall, PROMPT, PAGES, within=0)
    with pytest.raises(ValueError, match="no sources"):
        rank_sources(*recall, PROMPT)
