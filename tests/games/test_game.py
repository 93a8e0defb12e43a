"""Games on models: targets, inference modes and occlusions, against plain forwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from support.zoo import VOCABULARY, build, byte_bpe, plain_ids, plain_logits, plain_values, sentencepiece_like, wordpiece

from interpreto_mllm import Attend, Attribution, Contrast, Drop, ExactShapley, InferenceModes, KernelShap, Replace

PROMPT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def margin(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A mode of a user's own: the logit above the mean one."""
    return logits.gather(-1, targets[..., None])[..., 0] - logits.mean(-1)


def by_hand(
    result: Attribution, model: Any, ids: list[int], target: list[int], replacement: list[int] | None = None
) -> torch.Tensor:
    rows = [plain_ids(ids, result.features, row, replacement) or [1] for row in result.coalitions.tolist()]
    return torch.stack([plain_values(model, row, target) for row in rows])


@pytest.mark.parametrize("mode", [InferenceModes.LOGITS, InferenceModes.SOFTMAX, InferenceModes.LOG_SOFTMAX, margin])
@pytest.mark.parametrize("family", ["llama", "t5", "bert"])
def test_inference_modes(family: str, mode: Any) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()
    given = 2 if family == "bert" else tokenizer.encode(" is Paris")
    target = [2] if family == "bert" else given
    replacement = [tokenizer.mask_token_id] if family == "bert" else None
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, progress=False)(PROMPT, given)
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        left = plain_ids(tokenizer.encode(PROMPT), result.features, coalition, replacement) or [tokenizer.bos_token_id]
        logits = plain_logits(model, left, target)
        pick = torch.arange(len(target)), torch.tensor(target)
        expected = {
            InferenceModes.LOGITS: logits[pick],
            InferenceModes.SOFTMAX: logits.softmax(-1)[pick],
            InferenceModes.LOG_SOFTMAX: logits.log_softmax(-1)[pick],
            margin: logits[pick] - logits.mean(-1),
        }[mode]
        torch.testing.assert_close(value, expected.double(), **CLOSE)


def test_a_vocabulary_larger_than_the_tokenizer_counts_in_full() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    assert len(tokenizer) < VOCABULARY
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT, [VOCABULARY - 1, 20])
    torch.testing.assert_close(result.values, by_hand(result, model, tokenizer.encode(PROMPT), [VOCABULARY - 1, 20]), **CLOSE)


def test_attend_is_dropping_with_positions_kept() -> None:
    model, tokenizer = build("llama"), sentencepiece_like()
    prompt = f"{PROMPT} and green ."
    [result] = ExactShapley(model, tokenizer, occlusion=Attend(), pinned=["."], progress=False)(prompt, " red is")
    ids, target = tokenizer.encode(prompt), tokenizer.encode(" red is", add_special_tokens=False)
    moved = 0.0
    for coalition, value in zip(result.coalitions.tolist(), result.values, strict=True):
        absent = {p for f, there in zip(result.features, coalition, strict=True) if not there for p in f.positions}
        kept = [position for position in range(len(ids)) if position not in absent]
        positions = torch.tensor([[*kept, *range(len(ids), len(ids) + len(target) - 1)]])
        left = [ids[position] for position in kept]
        torch.testing.assert_close(value, plain_values(model, left, target, position_ids=positions), **CLOSE)
        moved = max(moved, float((value - plain_values(model, left, target)).abs().max()))
    assert moved > 1e-3, "closing the gaps is another game"


@pytest.mark.parametrize("family", ["lfm2", "mamba"])
def test_attend_is_refused_by_recurrent_layers(family: str) -> None:
    with pytest.raises(ValueError, match=r"attention mask hides.*Drop\(\) or Replace"):
        ExactShapley(build(family), byte_bpe(), occlusion=Attend())


def falcon(alibi: bool) -> Any:
    return hf.FalconForCausalLM(
        hf.FalconConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=alibi)
    )


def opt_classifier() -> Any:
    sizes = {"hidden_size": 32, "word_embed_proj_dim": 32, "ffn_dim": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return hf.OPTForSequenceClassification(hf.OPTConfig(vocab_size=VOCABULARY, max_position_embeddings=256, **sizes))


CLOSING = {"bloom": lambda: build("bloom"), "falcon": lambda: falcon(True), "opt classifier": opt_classifier}


@pytest.mark.parametrize("make", CLOSING.values(), ids=CLOSING.keys())
def test_attend_is_refused_where_masked_tokens_close_up(make: Any) -> None:
    model = make().eval()
    ids = torch.tensor([[5, 6, 7, 8, 9, 10]])
    seen = torch.tensor([[1, 1, 0, 0, 1, 1]])
    with torch.no_grad():
        masked, dropped = model(input_ids=ids, attention_mask=seen).logits, model(input_ids=ids[:, [0, 1, 4, 5]]).logits
    masked, dropped = (logits if logits.ndim == 2 else logits[:, -1] for logits in (masked, dropped))
    torch.testing.assert_close(masked, dropped, **CLOSE)  # were it not so, there would be nothing to refuse
    with pytest.raises(ValueError, match=r"counts positions by the attention mask.*Drop\(\) or Replace"):
        ExactShapley(model, byte_bpe(), occlusion=Attend())


def test_attend_is_accepted_where_masked_tokens_keep_their_places() -> None:
    for model in (falcon(False), build("opt"), build("gpt2_classifier")):
        ExactShapley(model.eval(), byte_bpe(), occlusion=Attend())


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral_sliding", "gemma3_text", "t5", "bart", "bert"])
def test_attend_without_a_beginning_stays_finite(family: str) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()
    [result] = ExactShapley(model, tokenizer, occlusion=Attend(), progress=False)(PROMPT, 1 if family == "bert" else " red")
    assert result.values.isfinite().all()
    game = ExactShapley(model, tokenizer, occlusion=Attend(), batch_size=1, share_prefixes=False).game(
        PROMPT, 1 if family == "bert" else " red"
    )
    torch.testing.assert_close(result.values, game(result.coalitions).double(), **CLOSE)


@pytest.mark.parametrize("given", [None, "red", " a lorry carries", 7])
@pytest.mark.parametrize("family", ["llama", "bert", "bart"])
def test_replace_puts_something_else_there(family: str, given: str | int | None) -> None:
    model, tokenizer = build(family), byte_bpe() if family != "bert" else wordpiece()
    if family != "bert":
        tokenizer.mask_token = "<mask>"
    if isinstance(given, str):
        replacement = tokenizer.encode(given, add_special_tokens=False)
    else:
        replacement = [tokenizer.mask_token_id if given is None else given]
    target = [1] if family == "bert" else tokenizer.encode(" Paris")
    prompt = "the rooftop owners sell sushi"
    [result] = ExactShapley(model, tokenizer, occlusion=Replace(given), progress=False)(
        prompt, 1 if family == "bert" else target
    )
    assert any(len(feature.positions) > 1 for feature in result.features)
    torch.testing.assert_close(result.values, by_hand(result, model, tokenizer.encode(prompt), target, replacement), **CLOSE)


def test_classifiers_drop_on_request() -> None:
    model, tokenizer = build("bert"), wordpiece()
    [result] = ExactShapley(model, tokenizer, occlusion=Drop(), progress=False)(PROMPT, 0)
    torch.testing.assert_close(result.values, by_hand(result, model, tokenizer.encode(PROMPT), [0]), **CLOSE)


@pytest.mark.parametrize("family", ["llama", "gpt2", "t5"])
def test_no_target_means_the_models_own_answer(family: str) -> None:
    model, tokenizer = build(family), byte_bpe()
    ids = tokenizer.encode(PROMPT)
    [result] = ExactShapley(model, tokenizer, generate={"max_new_tokens": 4}, progress=False)(PROMPT)
    row = torch.tensor([ids])
    generated = model.generate(input_ids=row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=4)[
        0
    ].tolist()
    said = generated[1:] if family == "t5" else generated[len(ids) :]
    while said[-1] in tokenizer.all_special_ids:
        said = said[:-1]
    torch.testing.assert_close(result.values, by_hand(result, model, ids, said), **CLOSE)
    assert "".join(result.targets) == tokenizer.decode(said)


def test_no_target_means_the_predicted_class() -> None:
    model, tokenizer = build("bert"), wordpiece()
    best = int(plain_logits(model, tokenizer.encode(PROMPT), [0])[0].argmax())
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT)
    assert result.targets == [f"LABEL_{best}"]
    assert result.values.shape == (16, 1)


def test_a_target_as_text_ids_tensor_or_array_is_the_same_target() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    ids = tokenizer.encode(" Paris lorry")
    explainer = ExactShapley(model, tokenizer, progress=False)
    expected = by_hand(explainer(PROMPT, ids)[0], model, tokenizer.encode(PROMPT), ids)
    for target in (" Paris lorry", ids, tuple(ids), torch.tensor(ids), torch.tensor(ids).numpy()):
        torch.testing.assert_close(explainer(PROMPT, target)[0].values, expected, **CLOSE)


def test_classes_by_index_name_and_several_at_once() -> None:
    model, tokenizer = build("roberta"), wordpiece()
    explainer = ExactShapley(model, tokenizer, progress=False)
    [result] = explainer(PROMPT, [2, "LABEL_0", torch.tensor(1), Contrast(0, "LABEL_2")])
    each = [by_hand(result, model, tokenizer.encode(PROMPT), [c], [tokenizer.mask_token_id])[:, 0] for c in range(3)]
    torch.testing.assert_close(result.values, torch.stack([each[2], each[0], each[1], each[0] - each[2]], 1), **CLOSE)
    assert result.targets == ["LABEL_2", "LABEL_0", "LABEL_1", "LABEL_0 − LABEL_2"]


def test_a_contrast_is_the_difference_of_whole_log_probabilities() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT, [Contrast(" Paris lorry", " red"), " red", " green"])
    ids, (paris, red, green) = tokenizer.encode(PROMPT), map(tokenizer.encode, (" Paris lorry", " red", " green"))
    assert len(paris) != len(red)
    values = [by_hand(result, model, ids, target) for target in (paris, red, green)]
    contrast = values[0].sum(1, keepdim=True) - values[1].sum(1, keepdim=True)
    torch.testing.assert_close(result.values, torch.cat([contrast, values[1], values[2]], 1), **CLOSE)


def test_one_target_per_input() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    results = ExactShapley(model, tokenizer, progress=False)([PROMPT, "it was red"], [" Paris", [" green", " red"]])
    for result, prompt, targets in zip(results, (PROMPT, "it was red"), ([" Paris"], [" green", " red"]), strict=True):
        expected = [by_hand(result, model, tokenizer.encode(prompt), tokenizer.encode(target)) for target in targets]
        torch.testing.assert_close(result.values, torch.cat(expected, 1), **CLOSE)


def test_spans_add_log_probabilities() -> None:
    model, tokenizer = build("gpt2"), byte_bpe()
    [result] = ExactShapley(model, tokenizer, progress=False)(PROMPT, " Paris lorry carries")
    values = by_hand(result, model, tokenizer.encode(PROMPT), tokenizer.encode(" Paris lorry carries"))
    torch.testing.assert_close(result.span(1, 3).values[:, 0], values[:, 1:3].sum(1), **CLOSE)
    torch.testing.assert_close(result.span().values[:, 0], values.sum(1), **CLOSE)


@pytest.mark.parametrize(
    "inputs, targets, error, words",
    [
        ([PROMPT, PROMPT], [" a", " b", " c"], ValueError, "2 inputs but 3 targets"),
        (PROMPT, [], ValueError, "targets is empty"),
        (PROMPT, "", ValueError, "target is empty"),
        (PROMPT, [VOCABULARY], ValueError, "out of range"),
        (PROMPT, 3.5, TypeError, "text, token ids, a Contrast or None"),
        (PROMPT, " red" * 300, ValueError, "nothing is truncated"),
        (PROMPT * 90, " red", ValueError, "nothing is truncated"),
    ],
)
def test_targets_that_cannot_be_scored_are_refused(inputs: Any, targets: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        KernelShap(build("gpt2"), byte_bpe(), budget=64, progress=False)(inputs, targets)


@pytest.mark.parametrize("target, words", [(3, "out of range"), (-1, "out of range"), ("cat", "no class named 'cat'")])
def test_classes_that_do_not_exist_are_refused(target: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ExactShapley(build("bert"), wordpiece(), progress=False)(PROMPT, target)
