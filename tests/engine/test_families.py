"""Every tiny family is a valid subject: it renders, encodes, reads, sees, hears, answers, and has the seam that is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.families import (
    AUDIO_TEXT,
    CHATTING,
    CLASSIFIERS,
    IMAGE_TEXT,
    QUESTION,
    REPRESENTATIVE,
    conversation,
    encoded,
    family,
)
from support.family_parts import RATE, Family, clip, picture
from support.quick import each

pytestmark = pytest.mark.vendor
ENOUGH = 1e-3
MULTI_AXIS = {"qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2_5_omni"}
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids")
TOKEN_TYPES = {
    "qwen2_vl": "mm_token_type_ids",
    "qwen2_5_vl": "mm_token_type_ids",
    "qwen3_vl": "mm_token_type_ids",
    "gemma3": "token_type_ids",
    "paligemma": "token_type_ids",
}
BOTH_WAYS = {"paligemma"}
NO_LOGITS_TO_KEEP = {"qwen2_audio", "qwen2_5_omni"}


@pytest.fixture(params=each(CHATTING, REPRESENTATIVE))
def subject(request: pytest.FixtureRequest) -> Family:
    return family(request.param)


def logits(subject: Family, *arguments: Any, **options: Any) -> torch.Tensor:
    """Of the plain forward over a conversation."""
    return forward(subject, encoded(subject, conversation(subject, *arguments, **options)))


def forward(subject: Family, encoding: Any) -> torch.Tensor:
    with torch.no_grad():
        return subject.model(**encoding).logits


def seen_by_decoder(subject: Family, encoding: Any) -> tuple[dict[str, Any], torch.Tensor]:
    """What the decoder's forward is given by keyword, and the logits of the model around it."""
    seen: dict[str, Any] = {}
    decoder = subject.model.get_decoder()
    hook = decoder.register_forward_pre_hook(lambda module, given, named: seen.update(named, nameless=given), with_kwargs=True)
    try:
        whole = forward(subject, encoding)
    finally:
        hook.remove()
    assert seen.pop("nameless") == ()
    seen.pop("past_key_values", None)
    return seen, whole


def test_names() -> None:
    assert set(IMAGE_TEXT) | set(AUDIO_TEXT) < set(CHATTING)
    for name in (*CHATTING, *CLASSIFIERS, "whisper"):
        assert family(name).name == name
        assert family(name) is family(name)
        assert not family(name).model.training
        assert {weight.dtype for weight in family(name).model.parameters()} == {torch.float32}


def test_the_chat_renders_a_placeholder_for_each_medium_and_the_words_as_written(subject: Family) -> None:
    text = subject.processor.apply_chat_template(conversation(subject), tokenize=False, add_generation_prompt=True)
    assert text.count(QUESTION) == 1
    for modality in subject.modalities:
        assert text.count(getattr(subject.processor, f"{modality}_token")) == 1
        assert text.index(getattr(subject.processor, f"{modality}_token")) < text.index(QUESTION)


def test_the_processor_takes_the_chat_directly(subject: Family) -> None:
    """Tokenising through the chat template gives what rendering and then encoding gives."""
    messages = conversation(subject)
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt"}
    direct = subject.processor.apply_chat_template(messages, **options)
    for name, value in encoded(subject, messages).items():
        torch.testing.assert_close(direct[name], value, rtol=0, atol=0)


def test_logits_change_with_each_medium_and_with_a_word(subject: Family) -> None:
    plain = logits(subject)[0, -1]
    assert plain.isfinite().all()
    changed = [{"question": QUESTION.replace("circle", "square")}]
    changed += [{"pictures": (7,)}] * ("image" in subject.modalities) + [{"clips": (7,)}] * ("audio" in subject.modalities)
    for change in changed:
        other = logits(subject, **change)[0, -1]
        assert other.isfinite().all()
        assert (other - plain).abs().max() > ENOUGH, change


def test_two_of_each_medium(subject: Family) -> None:
    plain = logits(subject, pictures=(0, 1), clips=(0, 1))[0, -1]
    for seeds in ((7, 1), (0, 7)):
        if "image" in subject.modalities:
            assert (logits(subject, pictures=seeds, clips=(0, 1))[0, -1] - plain).abs().max() > ENOUGH
        if "audio" in subject.modalities:
            assert (logits(subject, pictures=(0, 1), clips=seeds)[0, -1] - plain).abs().max() > ENOUGH


def test_generate(subject: Family) -> None:
    encoding = encoded(subject, conversation(subject))
    answer = subject.model.generate(**encoding, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    assert answer.shape == (1, encoding["input_ids"].shape[1] + 4)
    assert torch.equal(answer[:, :-4], encoding["input_ids"])
    assert answer[0, -4] == forward(subject, encoding)[0, -1].scatter(0, torch.tensor([1]), -torch.inf).argmax()


def test_soft_tokens_lie_where_the_processor_says(subject: Family) -> None:
    """Offsets of tokens, and of what took a placeholder's place, find every soft token; a lone medium has no others."""
    messages = conversation(subject)
    encoding = encoded(subject, messages, return_offsets_mapping=True, return_text_replacement_offsets=True)
    [replaced] = encoding["text_replacement_offsets"]
    assert [item["type"] for item in replaced] == list(subject.modalities)
    for item in replaced:
        soft = encoding["input_ids"][0] == getattr(subject.model.config, f"{item['type']}_token_id")
        start, end = item["new_span"]
        offsets = encoding["offset_mapping"][0]
        inside = (offsets[:, 0] >= start) & (offsets[:, 1] <= end)
        assert soft.any()
        assert (inside | ~soft).all()
        text = subject.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert item["text"] in text


def test_the_decoder_is_the_seam(subject: Family) -> None:
    encoding = encoded(subject, conversation(subject))
    seen, whole = seen_by_decoder(subject, encoding)
    length = encoding["input_ids"].shape[1]
    assert seen["inputs_embeds"].shape == (1, length, 32)
    positions = seen.get("position_ids")
    assert (positions is not None and positions.shape == (3, 1, length)) == (subject.name in MULTI_AXIS)
    assert ("deepstack_visual_embeds" in seen) == (subject.name == "qwen3_vl")
    with torch.no_grad():
        hidden = subject.model.get_decoder()(**seen).last_hidden_state
        assert torch.equal(subject.model.lm_head(hidden), whole)


@pytest.mark.parametrize("replaced", ["embeddings", "everything"])
def test_replacing_what_the_decoder_is_given_spares_the_encoders(subject: Family, replaced: str) -> None:
    """Without pixels and clips; the embeddings alone suffice where positions are plain."""
    encoding = encoded(subject, conversation(subject))
    seen, whole = seen_by_decoder(subject, encoding)
    put_back = seen if replaced == "everything" else {"inputs_embeds": seen["inputs_embeds"]}
    plain = {name: value for name, value in encoding.items() if name in PER_TOKEN}
    decoder = subject.model.get_decoder()
    hook = decoder.register_forward_pre_hook(lambda module, given, named: (given, named | put_back), with_kwargs=True)
    try:
        without = forward(subject, plain)
    finally:
        hook.remove()
    assert torch.equal(without, whole) == (replaced == "everything" or subject.name not in MULTI_AXIS)


def test_the_answer_appended(subject: Family) -> None:
    """Per-token tensors grow with the answer, and the prompt's logits stay: ones for PaliGemma, else zeros."""
    encoding = encoded(subject, conversation(subject))
    whole = forward(subject, encoding)
    types = [name for name in encoding if name.endswith("token_type_ids")]
    assert types == ([TOKEN_TYPES[subject.name]] if subject.name in TOKEN_TYPES else [])
    answer = subject.processor.tokenizer(" red", add_special_tokens=False, return_tensors="pt")["input_ids"]
    longer = dict(encoding)
    longer["input_ids"] = torch.cat([encoding["input_ids"], answer], 1)
    longer["attention_mask"] = torch.ones_like(longer["input_ids"])
    for kind in (0, 1) if subject.name in BOTH_WAYS else (0,):
        longer |= {name: torch.cat([encoding[name], torch.full_like(answer, kind)], 1) for name in types}
        same = torch.allclose(forward(subject, longer)[:, : whole.shape[1]], whole, atol=1e-5)
        assert same == (kind == (subject.name in BOTH_WAYS))


@pytest.mark.parametrize(
    ("name", "left_out", "noticed"),
    [
        ("qwen2_vl", "mm_token_type_ids", True),
        ("qwen3_vl", "mm_token_type_ids", True),
        ("qwen2_5_vl", "mm_token_type_ids", False),
        ("gemma3", "token_type_ids", False),
        ("qwen2_5_omni", "attention_mask", False),
    ],
)
def test_what_must_not_be_left_out(name: str, left_out: str, noticed: bool) -> None:
    """Some models say so, others give other logits."""
    subject = family(name)
    encoding = encoded(subject, conversation(subject))
    whole = forward(subject, encoding)
    less = {key: value for key, value in encoding.items() if key != left_out}
    if noticed:
        with pytest.raises(ValueError, match=left_out):
            forward(subject, less)
    else:
        assert (forward(subject, less) - whole).abs().max() > ENOUGH


@pytest.mark.parametrize("name", sorted(MULTI_AXIS))
def test_rope_deltas_are_remembered(name: str) -> None:
    subject = family(name)
    remembered = []
    for pictures in ((0,), (0, 1)):
        logits(subject, pictures=pictures)
        remembered.append(subject.model.model.rope_deltas.item())
    assert remembered[0] != remembered[1]


def test_logits_to_keep(subject: Family) -> None:
    encoding = encoded(subject, conversation(subject))
    kept = forward(subject, encoding | {"logits_to_keep": 2})
    whole = forward(subject, encoding)
    torch.testing.assert_close(kept, whole if subject.name in NO_LOGITS_TO_KEEP else whole[:, -2:], rtol=0, atol=1e-5)


def test_whisper() -> None:
    """The clip goes to the encoder, the text to the decoder; encoder_outputs stand for the clip."""
    subject = family("whisper")
    words = subject.processor.tokenizer

    def features(seed: int) -> torch.Tensor:
        return subject.processor(audio=clip(seed), sampling_rate=RATE, return_tensors="pt")["input_features"]

    def decoded(text: str, **options: Any) -> torch.Tensor:
        ids = words(text, return_tensors="pt", add_special_tokens=True)["input_ids"][:, :-1]
        assert ids[0, 0] == subject.model.config.decoder_start_token_id
        return forward(subject, {"decoder_input_ids": ids, **options})[0, -1]

    plain = decoded("the high tone", input_features=features(0))
    assert plain.isfinite().all()
    assert (decoded("the high tone", input_features=features(7)) - plain).abs().max() > ENOUGH
    assert (decoded("the low tone", input_features=features(0)) - plain).abs().max() > ENOUGH
    with torch.no_grad():
        encoder_outputs = subject.model.get_encoder()(features(0))
    assert torch.equal(decoded("the high tone", encoder_outputs=encoder_outputs), plain)
    assert decoded("the high tone", encoder_outputs=encoder_outputs, logits_to_keep=1).shape == plain.shape
    answer = subject.model.generate(features(0), max_new_tokens=4, min_new_tokens=4)
    assert answer.shape[1] >= 4


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str) -> None:
    subject = family(name)

    def scores(seed: int) -> torch.Tensor:
        if subject.modalities == ("image",):
            return forward(subject, subject.processor(picture(seed), return_tensors="pt"))[0]
        return forward(subject, subject.processor(clip(seed), sampling_rate=RATE, return_tensors="pt"))[0]

    assert scores(0).shape == (3,)
    assert scores(0).isfinite().all()
    assert (scores(0) - scores(7)).abs().max() > ENOUGH
