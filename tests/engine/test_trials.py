"""What a model does is tried on it: batches, caches and masks are used only where they give plain forwards' numbers."""

from __future__ import annotations

import functools
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf
from support.zoo import IDS, SMALL, VOCABULARY, build, byte_bpe, plain_ids, plain_logits, plain_values, wordpiece

from interpreto_mllm import Attend, Drop, ExactShapley, InferenceModes, KernelShap, ResponseSimilarity
from interpreto_mllm.engine.preserved_state import preserved_state
from interpreto_mllm.similarity import ExactMatch

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
PROMPT = "the sky is blue and green"
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
CONTEXT = "the sky is blue and the sea is green ! " * 4
EQUAL, ALONE = "batches hold rows of one length", "each is computed by itself"


def scaled(model: Any, scale: float = 4.0) -> Any:
    """With weights so large that what is read matters."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2 and "conv" not in name and "A_log" not in name:
                weight.mul_(scale)
    return model.eval()


def made(kind: Any, config: Any, scale: float = 4.0) -> Any:
    torch.manual_seed(0)
    return scaled(kind(config), scale)


def counted(model: Any) -> list[int]:
    """The rows of each forward from now on."""
    rows: list[int] = []
    forward = model.forward

    @functools.wraps(forward)
    def watched(*positional: Any, **named: Any) -> Any:
        rows.append(len(named["input_ids"]))
        return forward(*positional, **named)

    model.forward = watched
    return rows


def xlnet() -> Any:
    config = hf.XLNetConfig(vocab_size=VOCABULARY, d_model=32, n_layer=2, n_head=4, d_inner=64, num_labels=3, pad_token_id=0)
    return made(hf.XLNetForSequenceClassification, config)


def mobile_bert() -> Any:
    sizes = {"embedding_size": 32, "intra_bottleneck_size": 32, "true_hidden_size": 32, "num_feedforward_networks": 1}
    model = made(
        hf.MobileBertForSequenceClassification,
        hf.MobileBertConfig(vocab_size=VOCABULARY, **BERT, **sizes, num_labels=3, max_position_embeddings=64),
    )
    with torch.no_grad():
        model.mobilebert.embeddings.word_embeddings.weight[0].normal_()
    return model


def canine() -> Any:
    config = hf.CanineConfig(**BERT, num_labels=3, max_position_embeddings=64, local_transformer_stride=16, num_hash_buckets=64)
    return made(hf.CanineForSequenceClassification, config)


def perceiver() -> Any:
    config = hf.PerceiverConfig(
        num_latents=8, d_latents=32, d_model=32, num_blocks=1, num_self_attends_per_block=1, num_self_attention_heads=4,
        num_cross_attention_heads=4, vocab_size=VOCABULARY, max_position_embeddings=64, num_labels=3,
    )  # fmt: skip
    return made(hf.PerceiverForSequenceClassification, config)


def quantised(family: str = "bert") -> Any:
    """Activations share a scale with all that is read in a forward."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(build(family), {torch.nn.Linear}, dtype=torch.qint8)


CLASSIFIERS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "xlnet": (xlnet, EQUAL),
    "mobile bert": (mobile_bert, EQUAL),
    "canine": (canine, EQUAL),
    "perceiver": (perceiver, None),
    "quantised": (quantised, ALONE),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifiers_values_are_those_of_rows_alone(name: str) -> None:
    make, note = CLASSIFIERS[name]
    model, tokenizer = make(), wordpiece()
    prompts = [PROMPT, "it was red ; it is green"]
    options: dict[str, Any] = {"occlusion": Drop(), "inference_mode": InferenceModes.LOGITS, "pinned": range(2)}
    explainer = KernelShap(model, tokenizer, budget=24, progress=False, **options)
    for prompt, result in zip(prompts, explainer(prompts, [[0, 1, 2]] * 2), strict=True):
        ids = tokenizer(prompt)["input_ids"]
        expected = [
            plain_logits(model, plain_ids(ids, result.features, row), [0])[0].double() for row in result.coalitions.tolist()
        ]
        torch.testing.assert_close(result.values, torch.stack(expected), **CLOSE)
        assert [EQUAL in " ".join(result.notes), ALONE in " ".join(result.notes)] == [note == EQUAL, note == ALONE]


def test_all_classes_of_a_row_come_from_one_forward() -> None:
    model, tokenizer = build("bert"), wordpiece()
    explainer = ExactShapley(model, tokenizer, progress=False, batch_size=64)
    [every], [one] = explainer(PROMPT, [0, 1, 2]), explainer(PROMPT, 2)
    assert every.counts.forwards == one.counts.forwards and every.counts.tokens == one.counts.tokens
    torch.testing.assert_close(every.values[:, 2:], one.values, atol=0, rtol=0)


def longrope() -> Any:
    rope = {
        "rope_type": "longrope", "rope_theta": 1e4, "factor": 8.0, "original_max_position_embeddings": 16,
        "short_factor": [1.0] * 4, "long_factor": [1.0, 2.0, 4.0, 8.0],
    }  # fmt: skip
    config = hf.Phi3Config(
        **SMALL, num_key_value_heads=2, max_position_embeddings=128, original_max_position_embeddings=16,
        rope_parameters=rope, **IDS,
    )  # fmt: skip
    return made(hf.Phi3ForCausalLM, config)


def minimax() -> Any:
    layers = ["linear_attention", "full_attention"]
    config = hf.MiniMaxConfig(**SMALL, num_key_value_heads=2, head_dim=8, layer_types=layers, num_local_experts=4, **IDS)
    return made(hf.MiniMaxForCausalLM, config)


def mixtral() -> Any:
    return made(hf.MixtralForCausalLM, hf.MixtralConfig(**SMALL, num_key_value_heads=2, num_local_experts=4, **IDS))


CAUSAL = {
    "longrope": (longrope, EQUAL),
    "minimax": (minimax, None),
    "mixtral": (mixtral, None),
    "quantised": (lambda: quantised("llama"), ALONE),
}


@pytest.mark.parametrize("share_prefixes", [True, False])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_language_models_values_are_those_of_rows_alone(name: str, share_prefixes: bool) -> None:
    make, note = CAUSAL[name]
    model, tokenizer = make(), byte_bpe()
    prompt = "it was the best of times , it was the worst of times . the sky is blue and the sea"
    explainer = KernelShap(
        model, tokenizer, budget=24, batch_size=3, pinned=range(8), share_prefixes=share_prefixes, progress=False
    )
    [result] = explainer(prompt, " red apple")
    ids = tokenizer(prompt)["input_ids"]
    target = tokenizer(" red apple", add_special_tokens=False)["input_ids"]
    expected = [plain_values(model, plain_ids(ids, result.features, row), target) for row in result.coalitions.tolist()]
    torch.testing.assert_close(result.values, torch.stack(expected), **CLOSE)
    assert [EQUAL in " ".join(result.notes), ALONE in " ".join(result.notes)] == [note == EQUAL, note == ALONE]


def test_a_model_that_reads_in_both_directions_is_refused_with_the_fix() -> None:
    model = made(hf.BertLMHeadModel, hf.BertConfig(vocab_size=VOCABULARY, **BERT, max_position_embeddings=64))
    explainer = ExactShapley(model, byte_bpe(), progress=False)
    with pytest.raises(ValueError, match=r"BertLMHeadModel\.from_pretrained\(\.\.\., is_decoder=True\)"):
        explainer("the sky is", " blue")
    decoder = made(
        hf.BertLMHeadModel, hf.BertConfig(vocab_size=VOCABULARY, **BERT, max_position_embeddings=64, is_decoder=True)
    )
    [result] = ExactShapley(decoder, byte_bpe(), progress=False)("the sky is", " blue")
    assert result.notes == ()


@pytest.mark.parametrize("kind", [hf.ProphetNetForCausalLM, hf.ProphetNetForConditionalGeneration])
def test_a_model_that_counts_what_follows_is_refused(kind: Any) -> None:
    """ProphetNet's predictions change with the number of tokens after them, whatever these are."""
    config = hf.ProphetNetConfig(
        vocab_size=VOCABULARY, hidden_size=32, encoder_ffn_dim=64, decoder_ffn_dim=64, num_encoder_layers=1,
        num_decoder_layers=1, num_encoder_attention_heads=4, num_decoder_attention_heads=4, max_position_embeddings=64,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    explainer = ExactShapley(made(kind, config, 8.0), wordpiece(), occlusion=Drop(), progress=False)
    with pytest.raises(ValueError, match="reads from left to right"):
        explainer("the sky is", "blue")


def test_a_decoder_is_tried_again_with_a_longer_answer() -> None:
    model, tokenizer = build("t5"), wordpiece()
    forward = model.forward

    @functools.wraps(forward)
    def looking_back_from_far(*positional: Any, **named: Any) -> Any:
        output, read = forward(*positional, **named), named["decoder_input_ids"]
        if read.shape[1] > 9:
            output.logits[:, 0, : VOCABULARY // 2] += 0.01 * read[:, -1:]
        return output

    model.forward = looking_back_from_far
    explainer = ExactShapley(model, tokenizer, progress=False)
    explainer("the sky is", "blue")
    with pytest.raises(ValueError, match="reads from left to right"):
        explainer("the sky is", "blue and green and red and blue and green and red")


def test_a_note_says_how_far_experts_changed_values() -> None:
    model, tokenizer = mixtral().to(torch.bfloat16), byte_bpe()
    [result] = KernelShap(model, tokenizer, budget=16, progress=False)("it was the best of times , it was", " red")
    [said] = [note for note in result.notes if "experts" in note]
    [most, rows] = re.findall(r"by up to ([\d.e-]+) in (\d+) rows that were compared", said)[0]
    assert 0 <= float(most) < 0.5 and int(rows) == 16, "all of them, as they were computed"
    for share in (True, False):
        plainly = ExactShapley(model, tokenizer, batch_size=1, share_prefixes=share, progress=False)
        [result] = plainly("it was the best", " red")
        assert any("share_prefixes=False, or float32, rule that out" in note for note in result.notes) == share


def rwkv() -> Any:
    """States of several rows, one after the other, are not those of each."""
    config = hf.RwkvConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, attention_hidden_size=32, **IDS)
    return made(hf.RwkvForCausalLM, config, 8.0)


@pytest.mark.parametrize("make", [rwkv, longrope])
def test_answers_are_those_of_prompts_alone(make: Callable[[], Any]) -> None:
    model, tokenizer = make(), byte_bpe()
    prompt = "it was the best of times , the sky is blue"
    mode = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": 4})
    [result] = ExactShapley(model, tokenizer, inference_mode=mode, pinned=range(7), progress=False)(prompt, " red")
    ids = tokenizer(prompt)["input_ids"]
    assert result.responses is not None
    for index, row in enumerate(result.coalitions.tolist()):
        left = torch.tensor([plain_ids(ids, result.features, row) or [tokenizer.bos_token_id]])
        asked = {"input_ids": left, "attention_mask": torch.ones_like(left), "max_new_tokens": 4, "pad_token_id": 0}
        with torch.no_grad():
            said = model.generate(**asked, do_sample=False)[0, left.shape[1] :]
        assert result.responses[index][0].ids == tuple(token for token in said.tolist() if token > 2)


@pytest.mark.parametrize("family", ["t5", "fnet"])
def test_attend_is_refused_where_masked_tokens_are_read(family: str) -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4, "decoder_start_token_id": 0}
    if family == "t5":
        model = made(
            hf.T5ForSequenceClassification,
            hf.T5Config(vocab_size=VOCABULARY, **sizes, num_labels=3, pad_token_id=0, eos_token_id=1),
        )
    else:
        config = hf.FNetConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=1, intermediate_size=64, num_labels=3)
        model = made(hf.FNetForSequenceClassification, config)
    with pytest.raises(ValueError, match=r"reads tokens that the attention mask hides.*use Drop\(\) or Replace"):
        ExactShapley(model, wordpiece(), occlusion=Attend(), progress=False)


def test_a_prompt_of_which_nothing_is_seen_has_the_anchor() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    model.set_attn_implementation("eager")
    explainer = KernelShap(model, tokenizer, occlusion=Attend(), budget=24, progress=False)
    [alone] = explainer("the sky is blue", " red")
    [beside, _] = explainer(["the sky is blue", "it was the best of times , it was the worst"], [" red"] * 2)
    ids = tokenizer("the sky is blue")["input_ids"]
    mask = torch.tensor([[1] + [0] * (len(ids) - 1)])
    target = tokenizer(" red", add_special_tokens=False)["input_ids"]
    expected = plain_values(
        model, [tokenizer.bos_token_id, *ids[1:]], target, attention_mask=mask, position_ids=torch.arange(len(ids))[None]
    )
    torch.testing.assert_close(alone.empty, expected, **CLOSE)
    torch.testing.assert_close(beside.empty, expected, **CLOSE)
    assert "which is read even where Attend() hides it" in alone.notes[0]


class Failing:
    """A model's forward that fails where it is told to."""

    def __init__(self, model: Any, fails: Callable[[dict[str, Any]], bool], error: Exception):
        forward = model.forward

        @functools.wraps(forward)
        def failing(*positional: Any, **named: Any) -> Any:
            if fails(named):
                raise error
            return forward(*positional, **named)

        model.forward = failing


def caches(named: dict[str, Any]) -> bool:
    past = named.get("past_key_values")
    return past is not None and len(named["input_ids"]) > 4


@pytest.mark.parametrize("where", ["caches", "batches"])
def test_a_crash_of_a_faster_way_leads_to_a_plainer_one(where: str) -> None:
    prompt, tokenizer = CONTEXT + "it was red and green", byte_bpe()
    options: dict[str, Any] = {"budget": 40, "pinned": range(36), "batch_size": 8, "progress": False}
    [expected] = KernelShap(build("lfm2"), tokenizer, **options)(prompt, " red")
    model = build("lfm2")
    Failing(model, caches if where == "caches" else lambda named: len(named["input_ids"]) > 1, RuntimeError("a shape"))
    [result] = KernelShap(model, tokenizer, **options)(prompt, " red")
    torch.testing.assert_close(result.values, expected.values, **CLOSE)


def test_a_crash_of_the_model_itself_is_called_that() -> None:
    model = build("llama")
    Failing(model, lambda named: True, RuntimeError("a shape"))
    with pytest.raises(RuntimeError, match="a shape") as raised:
        ExactShapley(model, byte_bpe(), progress=False)("the sky", " red")
    assert "a plain forward over one row" in raised.value.__notes__[0]


def test_memory_that_runs_out_in_a_trial_says_nothing_about_caches() -> None:
    prompt, tokenizer = CONTEXT + "it was red and green", byte_bpe()
    options: dict[str, Any] = {"budget": 40, "pinned": range(36), "batch_size": 8, "progress": False}
    model, failures = build("lfm2"), [0]

    def once(named: dict[str, Any]) -> bool:
        failures[0] += named.get("past_key_values") is not None
        return failures[0] == 1 and named.get("past_key_values") is not None

    Failing(model, once, torch.OutOfMemoryError("out of memory"))
    explainer = KernelShap(model, tokenizer, **options)
    [result] = explainer(prompt, " red")
    assert failures[0] > 4, "caches are continued"
    [expected] = KernelShap(build("lfm2"), tokenizer, share_prefixes=False, **options)(prompt, " red")
    torch.testing.assert_close(result.values, expected.values, **CLOSE)


def test_what_is_known_of_a_model_is_not_tried_again() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    options: dict[str, Any] = {"share_prefixes": False, "progress": False}
    rows = counted(model)
    [first] = ExactShapley(model, tokenizer, **options)(PROMPT, " red")
    tried = first.counts.trials
    assert len(rows) == first.counts.forwards + tried
    assert tried == 2 + 2 + 3 + 3, "two of logits, two of what follows, and two batches of which two rows each are compared"
    rows.clear()
    [again] = ExactShapley(model, tokenizer, **options)(PROMPT, " red")
    assert len(rows) == again.counts.forwards == first.counts.forwards and again.counts.trials == 0
    with torch.no_grad():
        model.lm_head.weight.mul_(1.5)
    rows.clear()
    ExactShapley(model, tokenizer, **options)(PROMPT, " red")
    assert len(rows) == tried + first.counts.forwards, "another model now"


def test_the_last_to_use_a_model_gives_it_back() -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout()).train()
    model[1].eval()
    inside, leave = threading.Event(), threading.Event()

    def use_a_part() -> None:
        with preserved_state(model[0]):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=use_a_part)

    def fail_meanwhile() -> None:
        with preserved_state(model):
            thread.start()
            inside.wait(10)
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        fail_meanwhile()
    assert not model[0].training and model.training and not model[1].training, "the other thread still uses it"
    leave.set()
    thread.join()
    assert model[0].training and model.training and not model[1].training and torch.is_grad_enabled()


def test_words_at_masks_are_those_of_rows_alone() -> None:
    """Quantised activations share a scale with all that is read in a forward."""
    torch.manual_seed(0)
    plain = scaled(hf.BertForMaskedLM(hf.BertConfig(vocab_size=VOCABULARY, **BERT, max_position_embeddings=64)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(plain, {torch.nn.Linear}, dtype=torch.qint8)
    tokenizer = wordpiece()
    [result] = ExactShapley(model, tokenizer, progress=False)("the sky is <mask> and green", "blue")
    ids, [target] = tokenizer("the sky is <mask> and green")["input_ids"], tokenizer.encode("blue", add_special_tokens=False)
    for row, value in zip(result.coalitions.tolist(), result.values[:, 0], strict=True):
        left = torch.tensor([plain_ids(ids, result.features, row)])
        with torch.no_grad():
            logits = model(input_ids=left).logits[0][left[0] == tokenizer.mask_token_id].log_softmax(-1)
        torch.testing.assert_close(value, logits[0, target].double(), **CLOSE)
    assert any(ALONE in note for note in result.notes)


def test_a_little_of_the_future_is_found_in_half_precision() -> None:
    """What follows changes predictions by less than roundings of unlike forwards; like forwards round alike."""
    config = hf.BertConfig(vocab_size=VOCABULARY, **BERT, max_position_embeddings=64)
    model = made(hf.BertLMHeadModel, config, 2.0).to(torch.bfloat16)
    with pytest.raises(ValueError, match="when others follow it"):
        ExactShapley(model, byte_bpe(), progress=False)("the sky is blue and green and", " red")
    decoder = made(hf.BertLMHeadModel, hf.BertConfig(**{**config.to_dict(), "is_decoder": True}), 2.0).to(torch.bfloat16)
    ExactShapley(decoder, byte_bpe(), progress=False)("the sky is blue and green and", " red")


def test_prompts_are_read_whole_where_inputs_of_layers_are_quantised_as_the_model_runs() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    model.lm_head.weight.act_quant_kwargs = "as torchao's weights have"
    [result] = KernelShap(model, tokenizer, budget=24, progress=False)(PROMPT, [20])
    [plain] = KernelShap(build("llama"), tokenizer, budget=24, progress=False, share_prefixes=False)(PROMPT, [20])
    assert (result.counts.forwards, result.counts.tokens) == (plain.counts.forwards, plain.counts.tokens)
    assert "This model quantises what its layers read" in " ".join(result.notes)
    assert torch.equal(result.values, plain.values) and not plain.notes
