"""Parts of answers as targets, against the tokens of the whole answer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.server import Server
from support.zoo import build, byte_bpe

from interpreto_mllm import (
    AnswerSpan,
    Contrast,
    ExactShapley,
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    RemoteModel,
)
from interpreto_mllm.testbed import load_recall

RECALL = load_recall()
PROMPT = "the apple is red . what is the apple ?"
OPTIONS: dict[str, Any] = {"progress": False, "pinned": [".", "the", "is", "what"]}
CLOSE = {"atol": 2e-5, "rtol": 1e-4}


@pytest.mark.parametrize(("span", "tokens"), [("sky is", [1, 2]), ((0, 4), [0]), ((8, 15), [2, 3]), ("blue .", [3, 4])])
def test_a_part_is_worth_its_tokens_in_the_answer(span, tokens):
    answer = "the sky is blue ."
    [whole] = ExactShapley(*RECALL, **OPTIONS)(PROMPT, answer)
    [part] = ExactShapley(*RECALL, **OPTIONS)(PROMPT, AnswerSpan(answer, span))
    assert "".join(part.targets) == "".join(whole.targets[token] for token in tokens).strip()
    torch.testing.assert_close(part.values, whole.values[:, tokens], **CLOSE)
    [row] = ExactShapley(*RECALL, **OPTIONS, rows="answer")(PROMPT, AnswerSpan(answer, span))
    torch.testing.assert_close(row.values[:, 0], whole.values[:, tokens].sum(1), **CLOSE)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_parts_within_words_are_the_tokens_that_they_touch(family):
    model, tokenizer = build(family), byte_bpe()
    answer = " é🙂 greenish zoo."
    [whole] = ExactShapley(model, tokenizer, progress=False)("the sky", answer)
    [part] = ExactShapley(model, tokenizer, progress=False)("the sky", AnswerSpan(answer, "🙂"))
    place = [number for number, label in enumerate(whole.targets) if "🙂" in label]
    torch.testing.assert_close(part.values, whole.values[:, place], **CLOSE)
    assert 0 < part.t < whole.t


def test_a_part_of_the_models_own_answer():
    [own] = ExactShapley(*RECALL, **OPTIONS)(PROMPT)
    [part] = ExactShapley(*RECALL, **OPTIONS)(PROMPT, AnswerSpan(None, "red"))
    torch.testing.assert_close(part.attributions, own.attributions[:1], **CLOSE)
    [both] = KernelShap(*RECALL, **OPTIONS, budget=14)(
        PROMPT, Contrast(AnswerSpan("it is red", "red"), AnswerSpan("it is blue", "blue"))
    )
    assert both.targets == ["red − blue"] and both.unit == "contrast"


def test_gradients_and_servers_have_them_too():
    target = AnswerSpan("the sky is blue .", "blue")
    [gradients] = IntegratedGradients(*RECALL, progress=False, steps=4)(PROMPT, target)
    assert gradients.targets == ["blue"]
    server = Server(*RECALL)
    server.offers = {"prompt_logprobs", "echo", "logprobs"}
    try:
        remote = RemoteModel(server.url, "recall", route="completion")
        [there] = KernelShap(remote, **OPTIONS, budget=10)(PROMPT, AnswerSpan(" the sky is blue .", "blue"))
        [here] = KernelShap(*RECALL, **OPTIONS, budget=10)(PROMPT, AnswerSpan(" the sky is blue .", "blue"))
        torch.testing.assert_close(there.values.double(), here.values.double(), **CLOSE)
    finally:
        server.stop()


def test_parts_that_are_not_there_are_refused():
    explainer = KernelShap(*RECALL, progress=False)
    with pytest.raises(ValueError, match="'green' does not occur in the answer 'red red'"):
        AnswerSpan("red red", "green")
    with pytest.raises(ValueError, match=r"occurs 2 times in the answer 'red red': give \(start, end\)"):
        AnswerSpan("red red", "red")
    with pytest.raises(ValueError, match=r"The span \(3, 9\) holds no text of the answer 'red', which has 3 characters"):
        AnswerSpan("red", (3, 9))
    with pytest.raises(ValueError, match="span must be a text in the answer"):
        AnswerSpan("red", (0, 1, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'green' does not occur in the answer 'red"):
        explainer(PROMPT, AnswerSpan(None, "green"))
    similar = KernelShap(*RECALL, progress=False, inference_mode=InferenceModes.SIMILARITY)
    with pytest.raises(TypeError, match="parts are of the log-probabilities of answers"):
        similar(PROMPT, AnswerSpan("red .", "red"))
