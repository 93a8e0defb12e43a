"""Models with an output for each position: every value is that of one plain forward of what is left of the prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from support.zoo import SMALL, plain_ids, wordpiece

from interpreto_mllm import Attribution, Contrast, Drop, ExactShapley, InferenceModes, Occlusion, Replace

TEXT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
TOKENIZER = wordpiece()


def model_of(kind: Any, **settings: Any) -> Any:
    torch.manual_seed(3)
    model = kind(hf.BertConfig(**SMALL, pad_token_id=0, max_position_embeddings=32, **settings)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(4.0)
    return model


def inputs_of(result: Attribution, ids: list[int], mask: bool) -> list[torch.Tensor]:
    """What is left of a prompt for each coalition."""
    replacement = [TOKENIZER.mask_token_id] if mask else None
    return [torch.tensor([plain_ids(ids, result.features, row, replacement)]) for row in result.coalitions.tolist()]


def test_words_at_masks() -> None:
    model = model_of(hf.BertForMaskedLM)
    prompt = "the sky is <mask> <mask>"
    target = TOKENIZER.encode("blue !", add_special_tokens=False)
    ids = TOKENIZER.encode(prompt)
    assert len(target) == ids.count(TOKENIZER.mask_token_id) == 2
    [result] = ExactShapley(model, TOKENIZER, progress=False)(prompt, "blue !")
    assert [feature.text for feature in result.features] == ["the", "sky", "is"]
    expected = []
    for left in inputs_of(result, ids, mask=False):
        with torch.no_grad():
            logits = model(input_ids=left).logits[0][left[0] == TOKENIZER.mask_token_id].log_softmax(-1)
        expected.append(logits[[0, 1], target])
    torch.testing.assert_close(result.values, torch.stack(expected).double(), **CLOSE)
    [own] = ExactShapley(model, TOKENIZER, inference_mode=InferenceModes.SOFTMAX, progress=False)(prompt)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, 4:6].softmax(-1)
    torch.testing.assert_close(own.full, logits.amax(-1).double(), **CLOSE)


@pytest.mark.parametrize(
    ("prompt", "target", "message"),
    [
        (TEXT, "blue", "has no mask for it to fill: write '<mask>'"),
        ("the sky is <mask>", "blue !", r"has 2 token\(s\), the prompt 1 mask\(s\) '<mask>': write one mask for each token"),
        ("the sky is <mask>", [512], "out of range"),
    ],
)
def test_masks_that_do_not_fit_the_target(prompt: str, target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Occlusion(model_of(hf.BertForMaskedLM), TOKENIZER)(prompt, target)


def test_masks_cannot_be_both_question_and_occlusion() -> None:
    with pytest.raises(ValueError, match="absent features cannot be replaced by that token"):
        Occlusion(model_of(hf.BertForMaskedLM), TOKENIZER, occlusion=Replace())


def test_labels_of_tokens() -> None:
    model = model_of(hf.BertForTokenClassification, num_labels=4, id2label={0: "O", 1: "LOC", 2: "PER", 3: "ORG"})
    ids = TOKENIZER.encode(TEXT)
    place = 1 + TOKENIZER.tokenize(TEXT).index("sky")
    [result] = ExactShapley(model, TOKENIZER, progress=False)(TEXT, [("sky", "LOC"), (place, 2)])
    assert result.targets == ["sky: LOC", "sky: PER"]
    with torch.no_grad():
        logits = [model(input_ids=left).logits[0, place].log_softmax(-1) for left in inputs_of(result, ids, mask=True)]
    torch.testing.assert_close(result.values, torch.stack(logits)[:, 1:3].double(), **CLOSE)
    [own] = Occlusion(model, TOKENIZER, progress=False)(TEXT)
    with torch.no_grad():
        best = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()[1:-1]
    assert [target.split(": ")[1] for target in own.targets] == [model.config.id2label[label] for label in best if label]
    with pytest.raises(ValueError, match="'the' is in the prompt 2 times: give token positions"):
        Occlusion(model, TOKENIZER)("the sky the sea", [("the", "LOC")])
    with pytest.raises(ValueError, match=r"no label 'X'; the model's labels are \['O', 'LOC', 'PER', 'ORG'\]"):
        Occlusion(model, TOKENIZER)(TEXT, [("sky", "X")])
    with pytest.raises(TypeError, match="a list of pairs of a word"):
        Occlusion(model, TOKENIZER)(TEXT, "LOC")
    with pytest.raises(ValueError, match="this occlusion moves them: use Replace"):
        Occlusion(model, TOKENIZER, occlusion=Drop())


def test_where_an_answer_starts_and_ends() -> None:
    model = model_of(hf.BertForQuestionAnswering)
    pair = TOKENIZER("what is blue", "the sky and the sea", return_tensors="pt", return_token_type_ids=True)
    ids = pair["input_ids"][0].tolist()
    start, end = (ids.index(TOKENIZER.convert_tokens_to_ids(token)) for token in ("sky", "sea"))
    [result] = Occlusion(model, TOKENIZER, progress=False)(pair, "sky and the sea")
    assert result.targets == ["start: sky", "end: sea"]
    expected = []
    for left in inputs_of(result, ids, mask=True):
        with torch.no_grad():
            output = model(input_ids=left, token_type_ids=pair["token_type_ids"])
        expected.append(torch.stack([output.start_logits[0].log_softmax(-1)[start], output.end_logits[0].log_softmax(-1)[end]]))
    torch.testing.assert_close(result.values, torch.stack(expected).double(), **CLOSE)
    [by_position] = Occlusion(model, TOKENIZER, progress=False)(pair, (start, end))
    assert by_position.values.equal(result.values)
    [why] = Occlusion(model, TOKENIZER, progress=False)(pair, Contrast("sky", "sea"))
    assert why.unit == "contrast"
    [own] = Occlusion(model, TOKENIZER, progress=False)(pair)
    with torch.no_grad():
        output = model(**pair)
    sums = output.start_logits[0][:, None] + output.end_logits[0][None]
    best = max(sums[first, last] for first in range(len(ids)) for last in range(first, len(ids)))
    normal = output.start_logits[0].logsumexp(-1) + output.end_logits[0].logsumexp(-1)
    torch.testing.assert_close(own.full.sum(), (best - normal).double(), **CLOSE)
