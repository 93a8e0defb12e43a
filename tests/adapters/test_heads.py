"""What a model returns decides how it is explained: one class of several, labels, or tokens, wrapped or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from support.zoo import SMALL, build, byte_bpe, plain_values, wordpiece

from interpreto_mllm import Attend, Contrast, ExactShapley, Granularity, InferenceModes, KernelShap, Occlusion

TEXT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
CHAT = [{"role": "user", "content": "What is the apple?"}, {"role": "assistant", "content": "It is red."}]


def grown(model: Any, factor: float = 4.0) -> Any:
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.mul_(factor)
    return model.eval()


@pytest.fixture(scope="module")
def labels() -> Any:
    torch.manual_seed(5)
    config = hf.BertConfig(**SMALL, pad_token_id=0, num_labels=3, problem_type="multi_label_classification")
    return grown(hf.BertForSequenceClassification(config))


def logits_of(model: Any, tokenizer: Any, text: str) -> torch.Tensor:
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits[0]


def log_probability(model: Any, tokenizer: Any, text: str, index: int) -> torch.Tensor:
    return logits_of(model, tokenizer, text).log_softmax(-1)[index : index + 1].double()


@pytest.mark.parametrize(
    "mode, expected",
    [
        (InferenceModes.SOFTMAX, torch.sigmoid),
        (InferenceModes.LOG_SOFTMAX, torch.nn.functional.logsigmoid),
        (InferenceModes.LOGITS, lambda logits: logits),
    ],
)
def test_labels_that_do_not_exclude_one_another_have_the_sigmoids_probabilities(labels: Any, mode: Any, expected: Any) -> None:
    tokenizer = wordpiece()
    [result] = ExactShapley(labels, tokenizer, inference_mode=mode)(TEXT, [0, 1, 2])
    torch.testing.assert_close(result.full, expected(logits_of(labels, tokenizer, TEXT)).double())
    assert any("sigmoid" in note for note in result.notes) == (mode is not InferenceModes.LOGITS)
    [difference] = ExactShapley(labels, tokenizer, inference_mode=mode)(TEXT, Contrast(0, 1))
    torch.testing.assert_close(difference.full[0], result.full[0] - result.full[1])


@pytest.mark.parametrize("shift, expected", [([1.0, -1.0, 1.0], [0, 2]), ([-3.0, -1.0, -2.0], [1])])
def test_without_a_target_all_likely_labels_are_explained(labels: Any, shift: list[float], expected: list[int]) -> None:
    tokenizer = wordpiece()
    bias = labels.classifier.bias
    kept = bias.detach().clone()
    with torch.no_grad():
        bias += torch.tensor(shift) - logits_of(labels, tokenizer, TEXT)
    [result] = Occlusion(labels, tokenizer)(TEXT)
    with torch.no_grad():
        bias.copy_(kept)
    assert result.targets == [f"LABEL_{index}" for index in expected]
    assert any("no label a probability above one half" in note for note in result.notes) == (len(expected) == 1)


def test_one_label_that_applies_or_not(labels: Any) -> None:
    torch.manual_seed(0)
    config = hf.BertConfig(**SMALL, pad_token_id=0, num_labels=1)
    model, tokenizer = grown(hf.BertForSequenceClassification(config)), wordpiece()
    with pytest.raises(ValueError, match=r"one number, which has no probability by itself: use .*LOGITS.*problem_type"):
        ExactShapley(model, tokenizer)
    model.config.problem_type = "multi_label_classification"
    [result] = ExactShapley(model, tokenizer, inference_mode=InferenceModes.SOFTMAX)(TEXT)
    torch.testing.assert_close(result.full, logits_of(model, tokenizer, TEXT).sigmoid().double())


class MyModel(hf.LlamaForCausalLM):
    """A subclass of another name, whose forward answers as many models do: with more than the logits of its tokens."""

    def forward(self, input_ids: Any = None, attention_mask: Any = None, logits_to_keep: Any = 0, **others: Any) -> Any:
        start = torch.full((len(input_ids), 2), 7)
        mask = None if attention_mask is None else torch.nn.functional.pad(attention_mask, (2, 0), value=1)
        return super().forward(torch.cat([start, input_ids], 1), mask, logits_to_keep=logits_to_keep)


class Judge(hf.LlamaForSequenceClassification):
    """A classifier whose name says nothing."""


def test_a_model_that_returns_more_logits_than_ids_is_read_from_the_end() -> None:
    tokenizer = byte_bpe()
    torch.manual_seed(0)
    model = grown(MyModel(build("llama").config))
    answer = tokenizer.encode(" Paris lorry", add_special_tokens=False)
    [result] = ExactShapley(model, tokenizer)(TEXT, answer)
    ids = tokenizer.encode(TEXT)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids + answer])).logits[0, -1 - len(answer) : -1]
    torch.testing.assert_close(result.full, logits.log_softmax(-1)[range(len(answer)), answer].double(), **CLOSE)


def test_classifiers_are_known_by_their_logits() -> None:
    tokenizer = byte_bpe()
    model = Judge(build("llama_classifier").config)
    [result] = ExactShapley(grown(model), tokenizer)(TEXT, 2)
    torch.testing.assert_close(result.full, log_probability(model, tokenizer, TEXT, 2), **CLOSE)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_compiled_models_get_the_arguments_that_they_take_uncompiled() -> None:
    model, tokenizer = build("bert"), wordpiece()
    pair = tokenizer(TEXT, "the sea is green", return_tensors="pt", return_token_type_ids=True)
    assert pair["token_type_ids"].any()
    model.bert.embeddings.token_type_embeddings.weight.data.mul_(20)
    [expected] = Occlusion(model, tokenizer)(pair, 1)
    with torch.compiler.set_stance("force_eager"):
        [result] = Occlusion(torch.compile(model), tokenizer)(pair, 1)
    torch.testing.assert_close(result.values, expected.values)


def soft_prompt(model: Any, task: str | None, kind: str = "PromptTuningConfig", **settings: Any) -> Any:
    peft = pytest.importorskip("peft")
    torch.manual_seed(1)
    return peft.get_peft_model(model, getattr(peft, kind)(task_type=task, **settings)).eval()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*", "ignore:Position ids are not supported")
@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PrefixTuningConfig"])
def test_answers_after_a_tuned_prompt(kind: str) -> None:
    tokenizer = byte_bpe()
    model = soft_prompt(build("llama"), "CAUSAL_LM", kind, num_virtual_tokens=5)
    answer = tokenizer.encode(" Paris lorry", add_special_tokens=False)
    for text in ("the sky is blue and green", CHAT[:1]):
        [result] = KernelShap(model, tokenizer, budget=20, progress=False)(text, answer)
        rendered = (
            text if isinstance(text, str) else tokenizer.apply_chat_template(text, tokenize=False, add_generation_prompt=True)
        )
        ids = tokenizer.encode(rendered, add_special_tokens=False)
        with torch.no_grad():
            output = model(input_ids=torch.tensor([ids + answer]), attention_mask=torch.ones(1, len(ids + answer)))
        expected = output.logits[0, -1 - len(answer) : -1].log_softmax(-1)[range(len(answer)), answer]
        torch.testing.assert_close(result.full, expected.double(), **CLOSE)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
def test_classifiers_after_a_tuned_prompt(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = byte_bpe()
    for family in ("bert", "llama_classifier"):
        model = soft_prompt(build(family), "SEQ_CLS", num_virtual_tokens=5)
        [result] = ExactShapley(model, tokenizer, progress=False)([TEXT, "the sea"], 1)[:1]
        torch.testing.assert_close(result.full, log_probability(model, tokenizer, TEXT, 1), **CLOSE)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
@pytest.mark.parametrize("task", ["SEQ_CLS", None])
def test_adapters_on_a_classifier_without_padding_token(task: str | None) -> None:
    tokenizer, base = byte_bpe(), build("llama_classifier")
    base.config.pad_token_id = None
    model = soft_prompt(base, task, "LoraConfig", target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    [result] = ExactShapley(model, tokenizer, progress=False)(TEXT, 1)
    torch.testing.assert_close(result.full, log_probability(model, tokenizer, TEXT, 1), **CLOSE)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*")
def test_adapters_without_a_task_on_a_language_model() -> None:
    tokenizer = byte_bpe()
    model = soft_prompt(build("llama"), None, "LoraConfig", target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    answer = tokenizer.encode(" Paris", add_special_tokens=False)
    [result] = ExactShapley(model, tokenizer, progress=False)(TEXT, answer)
    expected = plain_values(model, tokenizer.encode(TEXT), answer)
    torch.testing.assert_close(result.full, expected, **CLOSE)
    bloom = soft_prompt(build("bloom"), None, "LoraConfig", target_modules=["query_key_value"])
    with pytest.raises(ValueError, match="counts positions by the attention mask"):
        ExactShapley(bloom, tokenizer, occlusion=Attend())


def test_classifiers_read_finished_chats() -> None:
    tokenizer = byte_bpe()
    torch.manual_seed(0)
    config = build("llama_classifier").config
    config.num_labels = 1
    model = grown(hf.LlamaForSequenceClassification(config))
    explainer = ExactShapley(
        model, tokenizer, inference_mode=InferenceModes.LOGITS, granularity=Granularity.TURN, roles=("user", "assistant")
    )
    for chat in (CHAT[:1], CHAT):
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        [result] = explainer(chat, 0)
        assert result.n == len(chat)
        torch.testing.assert_close(result.full, logits_of(model, tokenizer, text).double(), **CLOSE)


def test_a_judge_that_writes_its_verdict_reads_answered_chats() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    explainer = Occlusion(model, tokenizer, granularity=Granularity.TURN, roles=("assistant",))
    [result] = explainer(CHAT, "unsafe")
    ids = tokenizer.encode(tokenizer.apply_chat_template(CHAT, tokenize=False, add_generation_prompt=True))
    target = tokenizer.encode("unsafe", add_special_tokens=False)
    torch.testing.assert_close(result.full, plain_values(model, ids, target), **CLOSE)
    with pytest.raises(ValueError, match=r"ends with an assistant message.*judges answers, give its verdict as the target"):
        explainer(CHAT)
    with pytest.raises(ValueError, match="ends with an assistant message"):
        Occlusion(model, tokenizer, inference_mode=InferenceModes.SIMILARITY)(CHAT, "unsafe")


@pytest.mark.parametrize("kind", [torch.tensor, np.array, tuple])
def test_classes_as_tensors_and_arrays(kind: Any) -> None:
    explainer = Occlusion(build("bert"), wordpiece(), progress=False)
    texts = [TEXT, "the sea is green"]
    assert [result.targets for result in explainer(texts, kind([1, 2]))] == [["LABEL_1"], ["LABEL_2"]]
    assert [result.targets for result in explainer(texts, list(kind([1, 2])))] == [["LABEL_1"], ["LABEL_2"]]
    [both] = explainer(TEXT, kind([1, 2]))
    assert both.targets == ["LABEL_1", "LABEL_2"]
    [one] = explainer(TEXT, kind([1, 2])[0])
    assert one.targets == ["LABEL_1"]
    with pytest.raises(ValueError, match="2 inputs but 3 targets"):
        explainer(texts, kind([1, 2, 0]))


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_token_ids_as_tensors_and_arrays(kind: Any) -> None:
    explainer = Occlusion(build("llama"), byte_bpe(), granularity=Granularity.TURN, progress=False)
    texts = [TEXT, "the sea is green"]
    [expected, _] = explainer(texts, [50, 51])
    for given in (kind([50, 51]), list(kind([50, 51])), kind([[50, 51], [50, 51]])):
        assert explainer(texts, given)[0].full.equal(expected.full)
    with pytest.raises(TypeError, match="is a text, token ids"):
        explainer(TEXT, kind([1.5, 2.5]))


class AcrossLayers(hf.LlamaForCausalLM):
    """Looks at images from within its layers, as Mllama does."""

    def forward(self, input_ids: Any = None, cross_attention_mask: Any = None, **others: Any) -> Any:
        raise AssertionError("not before it is refused")


def test_models_whose_images_are_more_than_tokens_are_refused() -> None:
    processor = hf.BlipProcessor(hf.BlipImageProcessorPil(), byte_bpe())
    with pytest.raises(TypeError, match="AcrossLayers reads 'cross_attention_mask', which its processor makes of the text"):
        ExactShapley(AcrossLayers(build("llama").config), processor)


@pytest.mark.parametrize(
    "build_model, words",
    [
        (lambda: hf.BertModel(hf.BertConfig(**SMALL)), "without a head"),
        (lambda: hf.BertForMultipleChoice(hf.BertConfig(**SMALL)), "chooses between several texts"),
    ],
)
def test_other_models_are_refused_in_words(build_model: Any, words: str) -> None:
    with pytest.raises(TypeError, match=rf"neither generates text nor classifies.*{words}"):
        ExactShapley(build_model(), wordpiece())


def in_place(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probabilities without the last entry, by edits of what it is given."""
    logits[..., -1] = -1e9
    logits -= logits.logsumexp(-1, keepdim=True)
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    targets.zero_()
    return chosen


@pytest.mark.parametrize("family, given", [("bert", [0, 1, 0]), ("llama", [50, 51, 52]), ("t5", [50, 51, 52])])
def test_modes_that_edit_logits_in_place_change_nothing_of_other_rows(family: str, given: list[int]) -> None:
    model, tokenizer = build(family), wordpiece() if family == "bert" else byte_bpe()

    def pure(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return in_place(logits.contiguous().clone(), targets.clone())

    edited, expected = (ExactShapley(model, tokenizer, inference_mode=mode, progress=False) for mode in (in_place, pure))
    assert edited(TEXT, given)[0].values.equal(expected(TEXT, given)[0].values)
