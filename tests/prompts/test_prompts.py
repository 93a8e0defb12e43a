"""Chats, encodings, templates, pins and groups: who the players are and what is read without some of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from support import zoo

from interpreto_mllm import (
    Attend,
    Drop,
    ExactShapley,
    Granularity,
    KernelShap,
    OtherModalities,
    Replace,
    StopPhrases,
    Template,
    punctuation,
)
from interpreto_mllm.core.feature import Feature
from interpreto_mllm.prompts.processing import Processing
from interpreto_mllm.prompts.reader import PromptReader

TOKENIZER = zoo.byte_bpe()
STRIPPING = zoo.CHAT.replace("m.content", "m.content | trim")
LLAMA = zoo.build("llama")


def reader(
    tokenizer=TOKENIZER, granularity=Granularity.WORD, occlusion=None, roles=("user",), pinned=(), groups=None
) -> PromptReader:
    occlusion = (occlusion or Drop()).prepared(tokenizer)
    return PromptReader(Processing(tokenizer, None), granularity, occlusion, roles, pinned, groups)


def texts_of(prompt) -> list[str]:
    return [feature.text for feature in prompt.features]


def with_template(template: str | None):
    tokenizer = zoo.byte_bpe()
    tokenizer.chat_template = template
    return tokenizer


def say(*contents: str) -> list[dict[str, str]]:
    """A chat of these contents: user, assistant, user, …."""
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


def left(prompt, *present: bool) -> list[int]:
    [[reading]] = prompt.inputs_for(torch.tensor([present]))
    return reading.ids.tolist()


CHATS = {
    "plain": say("the sky", "is blue", "the sea"),
    "names of roles": say("user", "assistant", "assistant user"),
    "repeated": say("the sky", "the sky", "the sky"),
    "markup-like": say("say <|end|>", "ok <|user|>", "m.content {{ m }} <b>"),
    "spaces": say("  the sky ", "\nis blue\n", " the sea\n\n"),
    "one in another": say("sky", "the sky is sky", "sky"),
}


@pytest.mark.parametrize("template", [zoo.CHAT, STRIPPING], ids=["plain", "stripping"])
@pytest.mark.parametrize("chat", CHATS.values(), ids=CHATS.keys())
def test_messages_are_found_where_they_are(chat, template):
    """Every word lies in its own message, found by an independent walk over the rendered text."""
    tokenizer = with_template(template)
    rendered = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    [prompt] = reader(tokenizer, roles=("user", "assistant")).read(chat)
    [plain] = reader(tokenizer).read(chat)
    assert prompt.text == rendered
    assert prompt.whole.ids.tolist() == tokenizer(rendered, add_special_tokens=False)["input_ids"]
    assert prompt.whole.ids.tolist() == tokenizer.apply_chat_template(chat, add_generation_prompt=True)["input_ids"]
    assert rendered.endswith("<|assistant|>")
    place = 0
    for turn, message in enumerate(chat):
        place += len(f"<|{message['role']}|>")
        content = message["content"].strip() if template is STRIPPING else message["content"]
        mine = [feature for feature in prompt.features if feature.turn == turn]
        assert mine
        assert all(feature.role == message["role"] for feature in mine)
        for feature in mine:
            [(start, end)] = feature.spans
            assert place <= start < end <= place + len(content)
            assert rendered[start:end] == feature.text
        place += len(content) + len("<|end|>\n")
    assert plain.features == [feature for feature in prompt.features if feature.role == "user"]


def test_markup_and_other_roles_are_never_taken_out():
    chat = [{"role": "system", "content": "be kind"}, *say("the sky", "is blue", "the sea")]
    [prompt] = reader().read(chat)
    none = TOKENIZER.decode(left(prompt, False, False, False, False))
    assert none == "<|system|>be kind<|end|>\n<|user|><|end|>\n<|assistant|>is blue<|end|>\n<|user|><|end|>\n<|assistant|>"
    assert texts_of(prompt) == ["the", "sky", "the", "sea"]
    assert [feature.turn for feature in prompt.features] == [1, 1, 3, 3]


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (("user",), ["the sky", "the sea"]),
        (("system",), ["be kind"]),
        (["assistant"], ["is blue"]),
        ({"system", "user", "assistant"}, ["be kind", "the sky", "is blue", "the sea"]),
    ],
)
def test_roles_and_turns(roles, expected):
    chat = [{"role": "system", "content": "be kind"}, *say("the sky", "is blue", "the sea")]
    [prompt] = reader(granularity=Granularity.TURN, roles=roles).read(chat)
    assert texts_of(prompt) == expected


def test_a_list_of_chats():
    prompts = reader().read([say("the sky"), say("the", "sea", "is blue")])
    assert [texts_of(prompt) for prompt in prompts] == [["the", "sky"], ["the", "is", "blue"]]


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "no chat template: give the prompt as a string"),
        (zoo.CHAT.replace("m.content", "m.content | upper"), "rewrites the message 'the sky'"),
        (zoo.CHAT + "{{ messages | length if messages[0].content == 'the sky' }}", "renders these messages differently"),
    ],
)
def test_templates_that_do_not_work(template, message):
    with pytest.raises(ValueError, match=message):
        reader(with_template(template)).read(say("the sky"))


@pytest.mark.parametrize(
    ("chat", "roles", "message"),
    [
        (say("the sky", "is blue"), ("user",), "ends with an assistant message: leave it out and give its text as the target"),
        (say("the sky"), ("system",), r"roles=\['system'\], the chat has \['user'\]"),
        (say(""), ("user",), "messages to explain are empty"),
        ([{"role": "user"}], ("user",), "Message 0 needs a text under 'content'"),
        ([{"role": "user", "content": ["a"]}], ("user",), "Message 0 needs a text under 'content'"),
    ],
)
def test_chats_that_cannot_be_explained(chat, roles, message):
    with pytest.raises(ValueError, match=message):
        reader(roles=roles).read(chat)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("tensors", [None, "pt", "np"])
def test_encodings_are_read_as_they_are(side, tensors):
    tokenizer = zoo.byte_bpe(bos=True)
    tokenizer.padding_side = side
    texts = ["the sky is blue 🙂", "it's the sea", "東 sushi"]
    prompts = reader(tokenizer).read(tokenizer(texts, padding=True, return_tensors=tensors))
    for prompt, text in zip(prompts, texts, strict=True):
        [plain] = reader(tokenizer).read(text)
        assert prompt.whole.ids.tolist() == tokenizer(text)["input_ids"]
        assert texts_of(prompt) == texts_of(plain)
        assert [f.positions for f in prompt.features] == [f.positions for f in plain.features]
        assert all(prompt.text[a:b] == f.text for f in prompt.features for a, b in f.spans)


def test_one_row_and_ids_no_text_would_give():
    ids = [TOKENIZER.convert_tokens_to_ids(token) for token in ["t", "h", "e", "Ġs", "k", "y"]]
    assert ids != TOKENIZER("the sky")["input_ids"]
    for encoding in ({"input_ids": ids}, {"input_ids": torch.tensor(ids)}, {"input_ids": np.array([ids])}):
        [prompt] = reader().read(encoding)
        assert prompt.whole.ids.tolist() == ids
        assert [(f.text, f.positions) for f in prompt.features] == [("the", (0, 1, 2)), ("sky", (3, 4, 5))]
        assert left(prompt, False, True) == ids[3:]


def test_segments_leave_with_their_tokens():
    tokenizer = zoo.wordpiece()
    encoding = tokenizer("the sky", "is blue", return_token_type_ids=True)
    [prompt] = reader(tokenizer).read(encoding)
    assert texts_of(prompt) == ["the", "sky", "is", "blue"]
    [[reading]] = prompt.inputs_for(torch.tensor([[False, True, True, False]]))
    kept = [i for i, token in enumerate(encoding["input_ids"]) if tokenizer.decode([token]) not in ("the", "blue")]
    assert reading.ids.tolist() == [encoding["input_ids"][i] for i in kept]
    assert reading.segments.tolist() == [encoding["token_type_ids"][i] for i in kept]


def test_occlusions():
    text = "the sky is"
    ids = TOKENIZER(text)["input_ids"]
    [attend] = reader(occlusion=Attend()).read(text)
    [[seen]] = attend.inputs_for(torch.tensor([[True, False, True]]))
    assert seen.ids.tolist() == ids
    assert [bool(s) for s in seen.seen] == [i not in attend.features[1].positions for i in range(len(ids))]
    [one] = reader(occlusion=Replace(7)).read(text)
    assert left(one, True, False, True) == [7 if i in one.features[1].positions else x for i, x in enumerate(ids)]
    [whole] = reader(occlusion=Replace(" sea, sea")).read("the apples is")
    sea = TOKENIZER(" sea, sea")["input_ids"]
    assert len(sea) > 1
    assert left(whole, True, False, False) == TOKENIZER("the")["input_ids"] + sea + sea


BASELINES = {
    "fixed": ({"name": "He", "place": "town"}, [("He", "town")]),
    "joint": ([{"name": "He", "place": "town"}, {"name": "We", "place": "woods"}], [("He", "town"), ("We", "woods")]),
}


@pytest.mark.parametrize(("baselines", "rows"), BASELINES.values(), ids=BASELINES.keys())
def test_a_template_is_worth_the_mean_over_its_baselines(baselines, rows):
    template = Template("{name} lives in {place} and {name} is red", {"name": "Ada", "place": "Rome"}, baselines)
    explainer = ExactShapley(LLAMA, TOKENIZER)
    every = torch.tensor(list(itertools.product([False, True], repeat=2)))
    expected = []
    for name, place in every.tolist():
        texts = [f"{'Ada' if name else n} lives in {'Rome' if place else p} and {'Ada' if name else n} is red" for n, p in rows]
        expected.append(np.mean([log_probability(text, " blue") for text in texts]))
    [explanation] = explainer(template, " blue")
    assert explainer.game(template, " blue")(every).sum(1).tolist() == pytest.approx(expected, abs=1e-4)
    v = expected
    by_hand = [(v[2] - v[0] + v[3] - v[1]) / 2, (v[1] - v[0] + v[3] - v[2]) / 2]
    assert explanation.span().attributions[0].tolist() == pytest.approx(by_hand, abs=1e-4)
    assert explanation.text == "Ada lives in Rome and Ada is red"
    assert [(f.text, f.spans) for f in explanation.features] == [("Ada", ((0, 3), (22, 25))), ("Rome", ((13, 17),))]


def test_slots_are_pinned_and_grouped():
    slots = {"name": "Ada", "place": "Rome", "time": "now"}
    away = {"name": "He", "place": "town", "time": "then"}
    template = Template("{name} lives in {place} {time}", slots, away)
    both = torch.tensor([[False], [True]])
    pinned = ExactShapley(LLAMA, TOKENIZER, pinned=["Ada", 2])
    expected = [log_probability(f"Ada lives in {place} now", " red") for place in ("town", "Rome")]
    assert pinned.game(template, " red")(both).sum(1).tolist() == pytest.approx(expected, abs=1e-4)
    [explanation] = pinned(template, " red")
    assert [feature.text for feature in explanation.features] == ["Rome"]

    grouped = ExactShapley(LLAMA, TOKENIZER, groups=["who", "where", "who"])
    [explanation] = grouped(template, " red")
    assert [(feature.text, feature.spans) for feature in explanation.features] == [
        ("Ada now", ((0, 3), (18, 21))),
        ("Rome", ((13, 17),)),
    ]
    one = grouped.game(template, " red")(torch.tensor([[False, True], [True, False]])).sum(1).tolist()
    expected = [log_probability(text, " red") for text in ("He lives in Rome then", "Ada lives in town now")]
    assert one == pytest.approx(expected, abs=1e-4)


def test_random_baselines_are_drawn_once():
    lists = {"name": ["He", "We", "She", "It"], "place": ["town", "woods", "bed", "time", "vain", "all", "fun"]}
    template = Template("{name} in {place}", {"name": "Ada", "place": "Rome"}, lists, draws=5, seed=3)
    drawn = template.filled([False, False])
    assert len(drawn) == 5
    assert len(set(drawn)) > 1
    assert set(drawn) <= {f"{n} in {p}" for n in lists["name"] for p in lists["place"]}
    assert template.filled([True, False]) == [f"Ada in {text.split()[-1]}" for text in drawn]
    assert template.filled([True, True]) == ["Ada in Rome"] * 5
    value = ExactShapley(LLAMA, TOKENIZER).game(template, " red")(torch.tensor([[False, False]])).sum()
    assert float(value) == pytest.approx(np.mean([log_probability(text, " red") for text in drawn]), abs=1e-4)


@pytest.mark.parametrize(("draws", "expected"), [(1, 1), (2, 2), (3, 6), (8, 6), (50, 6)])
def test_combinations_of_baselines_are_enumerated_where_they_are_few(draws, expected):
    lists = {"name": ["He", "We", "She"], "place": ["town", "woods"]}
    template = Template("{name} in {place}", {"name": "Ada", "place": "Rome"}, lists, draws=draws)
    rows = template.filled([False, False])
    assert len(rows) == expected
    assert bool(template.notes) == (expected < 6)
    if expected == 6:
        assert sorted(rows) == sorted(f"{n} in {p}" for n in lists["name"] for p in lists["place"])


def test_each_baseline_comes_equally_often():
    lists = {"a": list("bcde"), "b": list("fghijkl"), "c": ["m"], "d": list("nopq")}
    values = dict.fromkeys("abcd", "x")
    for draws, equal in [(8, "ad"), (14, "abd"), (9, "")]:
        rows = Template("{a} {b} {c} {d}", values, lists, draws=draws, seed=draws).baseline_rows
        assert len(rows) == (28 if draws == 14 else draws)
        for slot, texts in lists.items():
            counts = [sum(row[slot] == text for row in rows) for text in texts]
            assert max(counts) - min(counts) <= (slot not in equal and slot != "c")
    assert "28 of the 112 combinations of baselines" in Template("{a} {b} {c} {d}", values, lists, draws=14).notes[0]


def test_independent_baselines_weigh_the_same():
    """The scores under a list of three baselines are the means of those under each of them."""
    jobs, values = ["pilot", "cook", "farmer"], {"name": "Ada", "job": "queen"}
    explainer = ExactShapley(LLAMA, TOKENIZER, progress=False)

    def scores(job):
        return explainer(Template("{name} is a {job}", values, {"name": "He", "job": job}), " red")[0].attributions

    torch.testing.assert_close(scores(jobs), torch.stack([scores(job) for job in jobs]).mean(0), atol=1e-5, rtol=0)


def log_probability(text: str, target: str) -> float:
    """One plain forward over the whole text."""
    prompt, answer = TOKENIZER(text)["input_ids"], TOKENIZER(target)["input_ids"]
    with torch.no_grad():
        logits = LLAMA(torch.tensor([prompt + answer])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(answer))


@pytest.mark.parametrize(
    ("text", "values", "baselines", "message"),
    [
        ("no slots", {}, {}, "has no slots; write them in braces"),
        ("{a} b", {"b": "x"}, {"a": "y"}, r"slots are \['a'\], but values has \['b'\]"),
        ("{a} b", {"a": "x"}, {"a": "y", "b": "z"}, r"slots are \['a'\], but baselines has \['a', 'b'\]"),
        ("{a} b", {"a": "x"}, [], "at least one baseline"),
        ("{a} b", {"a": "x"}, {"a": []}, "slot 'a' has no baselines"),
    ],
)
def test_templates_with_missing_parts(text, values, baselines, message):
    with pytest.raises(ValueError, match=message):
        Template(text, values, baselines)


@pytest.mark.parametrize(
    ("pinned", "kept"),
    [
        ((), ["The", "sky", ",", "the", "sea", "!"]),
        (["the"], ["sky", ",", "sea", "!"]),
        ([1, "SEA"], ["The", ",", "the", "!"]),
        (punctuation, ["The", "sky", "the", "sea"]),
        (StopPhrases("the", "of"), ["sky", ",", "sea", "!"]),
        (lambda feature: len(feature.text) < 3, ["The", "sky", "the", "sea"]),
    ],
)
def test_pinned_features_are_always_there(pinned, kept):
    text = "The sky, the sea!"
    [prompt] = reader(pinned=pinned).read(text)
    [free] = reader().read(text)
    assert texts_of(prompt) == kept
    gone = {position for feature in prompt.features for position in feature.positions}
    expected = [int(token) for i, token in enumerate(free.whole.ids) if i not in gone]
    assert left(prompt, *[False] * len(kept)) == expected


def test_only_the_modalities_that_are_named_are_explained():
    features = [Feature("sky"), Feature("!"), Feature("patch", modality="image"), Feature("clip", modality="audio")]
    kept = {
        modalities: [feature.text for feature in features if not OtherModalities(*modalities)(feature)]
        for modalities in [("text",), ("image",), ("audio", "text")]
    }
    assert kept == {("text",): ["sky", "!"], ("image",): ["patch"], ("audio", "text"): ["sky", "!", "clip"]}
    assert [f.text for f in features if not OtherModalities("text", "image", also=punctuation)(f)] == ["sky", "patch"]
    for wrong in [(), ("smell",)]:
        with pytest.raises(ValueError, match="Modalities are text, image, audio"):
            OtherModalities(*wrong)


@pytest.mark.parametrize("pinned", [["moon"], [6], [-1]])
def test_a_pin_must_be_a_feature(pinned):
    with pytest.raises(
        ValueError, match=f"pinned names {pinned[0]!r}, which is not a feature of this prompt; its features are"
    ):
        reader(pinned=pinned).read("The sky, the sea!")


@pytest.mark.parametrize("groups", [["a", "b", "b", "a"], lambda features: [len(f.text) > 2 for f in features]])
def test_groups_are_one_player(groups):
    [prompt] = reader(groups=groups).read("is sky blue it")
    assert texts_of(prompt) == ["is it", "sky blue"]
    assert prompt.features[0].spans == ((0, 2), (12, 14))
    assert TOKENIZER.decode(left(prompt, True, False)) == "is it"
    assert TOKENIZER.decode(left(prompt, False, True)) == " sky blue"


def test_groups_need_a_label_per_feature():
    with pytest.raises(ValueError, match="4 features, 2 labels"):
        reader(groups=["a", "b"]).read("is sky blue it")


def test_pins_and_groups_together():
    [explanation] = KernelShap(LLAMA, TOKENIZER, pinned=["is"], groups=["a", "b", "b", "a"])("is sky blue it", " red")
    assert [feature.text for feature in explanation.features] == ["sky blue", "it"]
    assert explanation.efficiency_gap.abs().max() < 1e-6
