"""The model's own answer: drawn from the seed, after the beginning that its decoder is given, and not cut in silence."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from support.families_audio import whisper
from support.family_parts import clip
from support.scripted import Scripted
from support.server import Server
from support.zoo import IDS, SMALL, build, byte_bpe, plain_values, wordpiece

from interpreto_mllm import ExactShapley, Granularity, Occlusion, RemoteModel, Replace, ResponseSimilarity
from interpreto_mllm.similarity import ExactMatch, TfIdf

TEXT = "the sky is blue"
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
TURN: dict[str, Any] = {"granularity": Granularity.TURN, "progress": False}


def drawn(seed: int, model: Any) -> list[str]:
    generate = {"do_sample": True, "max_new_tokens": 12, "temperature": 3.0, "top_k": 0}
    [result] = Occlusion(model, byte_bpe(), seed=seed, generate=generate, **TURN)(TEXT)
    return result.targets


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_drawn_answer_follows_the_seed_alone(family: str) -> None:
    model = build(family)
    state = torch.random.get_rng_state()
    first = drawn(7, model)
    assert torch.random.get_rng_state().equal(state), "torch's generator is the user's"
    torch.rand(3)
    assert drawn(7, model) == first
    assert drawn(8, model) != first


def test_an_answer_cut_at_the_limit_is_noted() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    for mode in ({}, {"inference_mode": ResponseSimilarity(similarity=TfIdf())}):
        [result] = Occlusion(model, tokenizer, generate={"max_new_tokens": 6}, **mode, **TURN)(TEXT)
        assert any("cut at 6 tokens: raise generate={'max_new_tokens': …}" in note for note in result.notes)
    [given] = Occlusion(model, tokenizer, generate={"max_new_tokens": 6}, **TURN)(TEXT, " Paris")
    assert given.notes == ()


def test_an_answer_that_ends_by_itself_is_not_noted(recall: Any) -> None:
    [result] = Occlusion(*recall, **TURN)("the apple is red . what is the apple ?")
    assert result.notes == ()


@pytest.mark.parametrize(
    ("prompt", "answer", "thinking"),
    [
        (TEXT, "<think>the sky", True),
        (TEXT + "<think>", "the sky is", True),
        (TEXT, "<think>the</think>the sea is", False),
        (TEXT + "<think>", "the</think>the sea is", False),
    ],
)
def test_an_answer_cut_in_its_thinking_is_noted(prompt: str, answer: str, thinking: bool) -> None:
    tokenizer = byte_bpe()
    torch.manual_seed(0)
    model = Scripted(build("llama").config).eval()
    model.says, model.begin = tokenizer.encode(answer), len(tokenizer.encode(prompt))
    explainer = Occlusion(model, tokenizer, generate={"max_new_tokens": len(model.says)}, **TURN)
    [note] = [note for note in explainer(prompt)[0].notes if "cut at" in note]
    assert "max_new_tokens" in note
    assert ("within its thinking" in note) == thinking


@pytest.mark.parametrize(
    ("prompt", "answer", "within"),
    [(TEXT, "<think>the sky", True), (TEXT + "<think>", "the sky", True), (TEXT, "</think> a", False)],
)
def test_answers_to_coalitions_that_end_in_their_thinking_are_noted(prompt: str, answer: str, within: bool) -> None:
    """Also where the original was given, which says nothing of the others. Replaced tokens keep the length: all are alike."""
    tokenizer = byte_bpe()
    torch.manual_seed(0)
    model = Scripted(build("llama").config).eval()
    model.says, model.begin = tokenizer.encode(answer), len(tokenizer.encode(prompt))
    similar = ResponseSimilarity(similarity=ExactMatch(), generate={"max_new_tokens": len(model.says)})
    [result] = ExactShapley(model, tokenizer, inference_mode=similar, occlusion=Replace(50), **TURN)(prompt, "blue")
    assert set(result.responses.texts) == {answer.strip()}
    noted = [note for note in result.notes if note.startswith("2 of 2 answers to coalitions end within the model's thinking")]
    assert len(noted) == within == len(result.notes)


def test_an_answer_that_does_not_fit_is_refused_before_the_first_forward() -> None:
    model, tokenizer = build("llama"), byte_bpe()
    forwards: list[int] = []
    hook = model.register_forward_hook(lambda *_: forwards.append(1))
    with pytest.raises(ValueError, match=r"answer of up to 300 need \d+ positions, the model has 256: .*lower max_new_tokens"):
        Occlusion(model, tokenizer, generate={"max_new_tokens": 300}, **TURN)(TEXT)
    hook.remove()
    assert not forwards
    long = [*[40] * 250]
    [result] = Occlusion(model, tokenizer, **TURN)({"input_ids": long})
    assert result.t <= 6
    assert any("where its context ends" in note for note in result.notes) == (result.t == 6)


@pytest.mark.parametrize("kind", [hf.RobertaForSequenceClassification, hf.XLMRobertaForSequenceClassification])
def test_positions_of_the_roberta_family(kind: Any) -> None:
    tokenizer = wordpiece()
    config = kind.config_class(**SMALL, max_position_embeddings=34, type_vocab_size=1, **{**IDS, "pad_token_id": 1})
    explainer = Occlusion(kind(config).eval(), tokenizer, **TURN)
    assert explainer(" ".join(["sky"] * 30), 0)[0].full.isfinite().all()
    for words in (31, 32, 33):
        with pytest.raises(ValueError, match=f"The prompt has {words + 2} tokens, the model reads 32: shorten it"):
            explainer(" ".join(["sky"] * words), 0)


def test_positions_of_a_causal_roberta() -> None:
    tokenizer, model = byte_bpe(), build("roberta_causal")
    target = [50] * 6
    [result] = Occlusion(model, tokenizer, **TURN)({"input_ids": [40] * 251}, target)
    torch.testing.assert_close(result.full, plain_values(model, [40] * 251, target), **CLOSE)
    with pytest.raises(ValueError, match="need 258 positions, the model has 257"):
        Occlusion(model, tokenizer, **TURN)({"input_ids": [40] * 252}, target)


def expected_of(model: Any, inputs: dict[str, Any], sequence: list[int], start: int, special: Any) -> torch.Tensor:
    with torch.no_grad():
        logits = model(**inputs, decoder_input_ids=torch.tensor([sequence[:-1]])).logits[0].log_softmax(-1)
    places = [place for place in range(start, len(sequence)) if sequence[place] not in special]
    return torch.stack([logits[place - 1, sequence[place]] for place in places]).double()


@pytest.mark.parametrize("begin", [[50, 51], [2, 50, 51]])
def test_what_a_decoder_is_given_to_start_with_is_read_and_not_scored(begin: list[int]) -> None:
    model, tokenizer = build("bart"), byte_bpe()
    given = {"decoder_input_ids": torch.tensor([begin]), "max_new_tokens": 4}
    [result] = Occlusion(model, tokenizer, generate=given, **TURN)(TEXT)
    inputs = tokenizer(TEXT, return_tensors="pt")
    sequence = model.generate(**inputs, **given, do_sample=False)[0].tolist()
    start = 3
    assert sequence[:start] == [2, 50, 51]
    expected = expected_of(model, inputs, sequence, start, tokenizer.all_special_ids)
    torch.testing.assert_close(result.full, expected, **CLOSE)
    both = ResponseSimilarity(similarity=ExactMatch(), generate=given, log_probability=True)
    [answered] = Occlusion(model, tokenizer, inference_mode=both, **TURN)(TEXT)
    assert answered.targets == [tokenizer.decode(sequence[start:], skip_special_tokens=True).strip()]
    torch.testing.assert_close(answered.responses.original_log_probabilities[1].sum(), expected.sum(), **CLOSE)


def test_whispers_prompt_is_read_and_not_scored() -> None:
    subject = whisper()
    processor, model = subject.processor, subject.model
    words = processor.tokenizer
    prompt = torch.tensor([words.convert_tokens_to_ids("<|startofprev|>"), *words.encode("the high", add_special_tokens=False)])
    given = {"prompt_ids": prompt, "max_new_tokens": 5}
    [result] = Occlusion(model, processor, generate=given, progress=False)({"audio": clip(0)})
    features = dict(processor(audio=clip(0), sampling_rate=16_000, return_tensors="pt"))
    whole = model.generate(**features, **given, return_dict_in_generate=True, force_unique_generate_call=True)
    sequence = whole.sequences[0].tolist()
    start = len(prompt) + 1
    assert sequence[: len(prompt)] == prompt.tolist()
    expected = expected_of(model, features, sequence, start, words.all_special_ids)
    torch.testing.assert_close(result.full, expected, **CLOSE)
    similar = ResponseSimilarity(similarity=ExactMatch(), generate=given)
    [answered] = Occlusion(model, processor, inference_mode=similar, progress=False)({"audio": clip(0)})
    assert answered.targets == ["".join(result.targets).strip()]


@pytest.mark.parametrize("begin", [[50, 51], [2, 50, 51]])
def test_a_given_answer_is_read_after_what_its_decoder_is_given_to_start_with(begin: list[int]) -> None:
    model, tokenizer = build("bart"), byte_bpe()
    given = {"decoder_input_ids": torch.tensor([begin])}
    ids = tokenizer(text_target=" Paris lorry")["input_ids"]
    expected = expected_of(model, tokenizer(TEXT, return_tensors="pt"), [2, 50, 51, *ids], 3, tokenizer.all_special_ids)
    for target in (" Paris lorry", ids):
        [result] = Occlusion(model, tokenizer, generate=given, **TURN)(TEXT, target)
        torch.testing.assert_close(result.full, expected, **CLOSE)
    both = ResponseSimilarity(similarity=ExactMatch(), generate={**given, "max_new_tokens": 3}, log_probability=True)
    [answered] = Occlusion(model, tokenizer, inference_mode=both, **TURN)(TEXT, ids)
    assert answered.targets == ["Paris lorry"]
    torch.testing.assert_close(answered.responses.original_log_probabilities[1].sum(), expected.sum(), **CLOSE)


def test_a_given_answer_is_read_after_whispers_prompt() -> None:
    subject = whisper()
    processor, model = subject.processor, subject.model
    words = processor.tokenizer
    prompt = torch.tensor([words.convert_tokens_to_ids("<|startofprev|>"), *words.encode("the high", add_special_tokens=False)])
    answer = words.encode("the low tone", add_special_tokens=False)
    features = dict(processor(audio=clip(0), sampling_rate=16_000, return_tensors="pt"))
    sequence = [*prompt.tolist(), model.config.decoder_start_token_id, *answer]
    expected = expected_of(model, features, sequence, len(prompt) + 1, words.all_special_ids)
    explainer = Occlusion(model, processor, generate={"prompt_ids": prompt}, progress=False)
    for target in ("the low tone", answer):
        [result] = explainer({"audio": clip(0)}, target)
        torch.testing.assert_close(result.full, expected, **CLOSE)


def test_positions_of_a_decoder() -> None:
    """Whisper's has 64; the encoder's are those of sound."""
    subject = whisper()
    model, processor = subject.model, subject.processor
    explainer = Occlusion(model, processor, progress=False)
    [result] = explainer({"audio": clip(0)}, [50] * 64)
    features = dict(processor(audio=clip(0), sampling_rate=16_000, return_tensors="pt"))
    sequence = [model.config.decoder_start_token_id, *[50] * 64]
    torch.testing.assert_close(result.full, expected_of(model, features, sequence, 1, []), **CLOSE)
    prompt = torch.tensor([50] * 40)
    forwards: list[int] = []
    hook = model.register_forward_hook(lambda *_: forwards.append(1))
    with pytest.raises(ValueError, match=r"The target \(65 tokens.* needs 65 positions, the decoder has 64: shorten it"):
        explainer({"audio": clip(0)}, [50] * 65)
    for mode in ({}, {"inference_mode": ResponseSimilarity(similarity=ExactMatch())}):
        explainer = Occlusion(model, processor, generate={"max_new_tokens": 30, "prompt_ids": prompt}, progress=False, **mode)
        with pytest.raises(ValueError, match=r"answer of up to 30 need 71 positions, the decoder has 64: lower max_new_tokens"):
            explainer({"audio": clip(0)})
    hook.remove()
    assert not forwards


def test_an_answer_that_a_server_cut_in_its_thinking_is_not_an_empty_answer() -> None:
    server = Server()
    server.thinks = lambda body: "sky" not in str(body["messages"])
    similar = ResponseSimilarity(similarity=ExactMatch())
    explainer = ExactShapley(RemoteModel(server.url, "m"), inference_mode=similar, progress=False)
    try:
        with pytest.raises(ValueError, match=r"cut an answer at 32 tokens before its text began.*raise generate="):
            explainer("the sky sea")
        assert explainer.unfinished is not None
        with pytest.raises(ValueError, match=r"cut an answer at 32 tokens before its text began"):
            explainer("the sea is")
    finally:
        server.stop()
