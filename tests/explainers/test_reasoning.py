"""Answers with thoughts: direct and total effects are those of plain forwards, and what cannot be asked is refused."""

from __future__ import annotations

import copy
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
import transformers as hf
from support.quick import each
from support.scripted import Scripted
from support.zoo import CHAT, SMALL, byte_bpe

from interpreto_mllm import (
    Attend,
    Attribution,
    Callback,
    Chat,
    Contrast,
    Drop,
    DropImage,
    ExactShapley,
    Granularity,
    InferenceModes,
    IntegratedGradients,
    KernelShap,
    Occlusion,
    Reasoned,
    Replace,
    ResponseSimilarity,
    Template,
    ThoughtMarks,
    ToolCall,
    Trace,
    WholeImage,
    trace,
)
from interpreto_mllm.explainers.planned import Planned
from interpreto_mllm.similarity import TfIdf
from interpreto_mllm.testbed import load_sight, sample_scene_prompts
from interpreto_mllm.thoughts.thinker import Thinker

PROMPT = ["The sky is blue.", "What is the sea?"]
CHAT_PROMPT = [{"role": "user", "content": " ".join(PROMPT)}]
SENTENCES = ["The sky is blue.", "The sea is green!"]
THOUGHTS, ANSWER = " ".join(SENTENCES), "green"
OPTIONS: dict[str, Any] = {"granularity": Granularity.SENTENCE, "progress": False}
GIVEN = Reasoned(thoughts=THOUGHTS, answer=ANSWER)
LIMIT = 12


class Rambling(hf.LlamaForCausalLM):
    """Writes what comes to its mind, and closes its thoughts at a token that its random weights often reach."""

    closing: int
    eagerness: float = 0.0

    def forward(self, *args: Any, **others: Any) -> Any:
        output = super().forward(*args, **others)
        output.logits[..., self.closing] += self.eagerness
        return output


@cache
def thinking() -> tuple[Rambling, Any]:
    tokenizer = byte_bpe()
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.chat_template = CHAT + "{# <think> #}"
    torch.manual_seed(1)
    model = Rambling(hf.LlamaConfig(**{**SMALL, "vocab_size": len(tokenizer)}, initializer_range=0.3)).eval()
    model.closing, model.eagerness = tokenizer.convert_tokens_to_ids("</think>"), 1.6
    return model, tokenizer


def ids_of(text: str) -> list[int]:
    return thinking()[1].encode(text, add_special_tokens=False)


def prompt_ids(present: tuple[bool, ...]) -> list[int]:
    """Sentences are left out with the blank before them; at the beginning of a message no token of a blank is left."""
    first, second = present
    then = ids_of(" " + PROMPT[1])
    then = then if first or thinking()[1].decode(then[:1]).strip() else then[1:]
    return [
        *ids_of("<|user|>"),
        *(ids_of(PROMPT[0]) if first else []),
        *(then if second else []),
        *ids_of("<|end|>\n<|assistant|>"),
    ]


@torch.no_grad()
def log_probability(ids: list[int], answer: list[int]) -> float:
    logits = thinking()[0](torch.tensor([[*ids, *answer]])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(ids) + place - 1, token]) for place, token in enumerate(answer))


def rows_of(n: int) -> torch.Tensor:
    return torch.tensor([*product([False, True], repeat=n)])


def test_direct_effects_are_of_thoughts_that_are_further_features() -> None:
    game = ExactShapley(*thinking(), **OPTIONS).game(CHAT_PROMPT, GIVEN)
    assert [(one.text, one.part, one.role, one.turn, one.label) for one in game.features[2:]] == [
        (SENTENCES[0], "thoughts", "assistant", 1, "thought 1"),
        (SENTENCES[1], "thoughts", "assistant", 1, "thought 2"),
    ]
    expected = []
    for first, second, *thought in rows_of(4).tolist():
        kept = [ids_of((" " if place else "") + SENTENCES[place]) for place in range(2) if thought[place]]
        ids = [*ids_of("<think>\n"), *(token for part in kept for token in part), *ids_of("\n</think>\n\n")]
        expected.append(log_probability([*prompt_ids((first, second)), *ids], ids_of(ANSWER)))
    values = game(rows_of(4)).sum(1)
    assert values.tolist() == pytest.approx(expected, abs=2e-4)


@torch.no_grad()
def thought_after(ids: list[int]) -> tuple[list[int], bool]:
    """What the model thinks, by plain greedy steps, and whether it was cut."""
    model, tokenizer = thinking()
    written: list[int] = []
    while len(written) < LIMIT:
        token = int(model(torch.tensor([[*ids, *written]])).logits[0, -1].argmax())
        if token == model.closing:
            return written, False
        written.append(token)
    while written and not tokenizer.decode(written[-1:]).strip():
        written.pop()
    return written, True


def test_total_effects_are_of_thoughts_that_are_thought_anew() -> None:
    target = Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=LIMIT)
    [result] = ExactShapley(*thinking(), **OPTIONS)(CHAT_PROMPT, target)
    expected, cut, thoughts = {}, 0, set()
    for present in rows_of(2).tolist():
        begun = [*prompt_ids(tuple(present)), *ids_of("<think>\n")]
        thought, was_cut = thought_after(begun)
        expected[tuple(present)] = log_probability([*begun, *thought, *ids_of("\n</think>\n\n")], ids_of(ANSWER))
        cut, thoughts = cut + was_cut, thoughts | {tuple(thought)}
    found = {
        tuple(row): value for row, value in zip(result.coalitions.tolist(), result.span().values[:, 0].tolist(), strict=True)
    }
    assert found == pytest.approx(expected, abs=2e-4)
    assert len(thoughts) > 1, "different coalitions think differently"
    assert 0 < cut < 4
    [note] = [note for note in result.notes if "were cut" in note]
    assert note.startswith(f"{cut} of 4 thoughts were cut at {LIMIT} tokens: they were closed there")


def test_the_result_says_which_question_was_asked(tmp_path: Any) -> None:
    explainer = ExactShapley(*thinking(), **OPTIONS)
    [direct] = explainer(CHAT_PROMPT, GIVEN)
    [total] = explainer(CHAT_PROMPT, Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=LIMIT))
    [plain] = explainer(CHAT_PROMPT, ANSWER)
    assert (direct.effect, total.effect, plain.effect) == ("direct", "total", "")
    assert (direct.n, total.n) == (4, 2)
    for result in (direct, total):
        assert f"Shapley value, {result.effect} effects" in repr(result)
        assert f"Shapley value, {result.effect} effects" in result._repr_html_()
        assert any(note.startswith(f"{result.effect.capitalize()} effects: ") for note in result.notes)
        result.save(tmp_path / "result.json")
        loaded = Attribution.load(tmp_path / "result.json")
        assert (loaded.effect, loaded.span().effect, loaded.features) == (result.effect, result.effect, result.features)
    assert direct.fingerprint != total.fingerprint
    with pytest.raises(ValueError, match="another game"):
        explainer(CHAT_PROMPT, Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=5), evaluations=[total])


def test_thoughts_and_spans_are_targets_too() -> None:
    """Before a span stands what the model wrote before it; only whole features of thoughts before it are features."""
    explainer = ExactShapley(*thinking(), **OPTIONS)
    for part, n, before, scored in [
        ("thoughts", 2, "<think>\n", THOUGHTS),
        (SENTENCES[1], 3, f"<think>\n{SENTENCES[0]}", f" {SENTENCES[1]}"),
        ("green!", 3, f"<think>\n{SENTENCES[0]} The sea is", " green!"),
        ("answer", 4, f"<think>\n{THOUGHTS}\n</think>\n\n", ANSWER),
    ]:
        game = explainer.game(CHAT_PROMPT, Reasoned(part, thoughts=THOUGHTS, answer=ANSWER))
        whole = float(game(torch.ones(1, n, dtype=torch.bool)).sum())
        assert game.n == n
        assert whole == pytest.approx(log_probability([*prompt_ids((True, True)), *ids_of(before)], ids_of(scored)), abs=2e-4)


def test_two_answers_are_told_apart_after_the_same_thoughts() -> None:
    explainer = ExactShapley(*thinking(), **OPTIONS)
    [contrast] = explainer(CHAT_PROMPT, Reasoned(thoughts=THOUGHTS, answer=Contrast("green", "blue")))
    [green], [blue] = (explainer(CHAT_PROMPT, Reasoned(thoughts=THOUGHTS, answer=one)) for one in ("green", "blue"))
    difference = green.span().attributions - blue.span().attributions
    assert contrast.attributions.tolist() == [pytest.approx(difference[0].tolist(), abs=1e-4)]


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_a_call_after_thoughts_is_an_answer(effect: Any) -> None:
    """Scored as the template writes it, behind the thoughts; so is one of its arguments."""
    model, tokenizer = thinking()
    tokenizer = copy.deepcopy(tokenizer)
    writes = "{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments.city }}){% endfor %}"
    tokenizer.chat_template = tokenizer.chat_template.replace("{{ m.content }}", "{{ m.content or '' }}" + writes)
    explainer = ExactShapley(model, tokenizer, **OPTIONS)
    call = ToolCall("look", {"city": "Paris"}, argument="city")
    values: list[float] = []
    for answer in (
        call,
        ToolCall("look", {"city": "Paris"}),
        Contrast(call, ToolCall("look", {"city": "sea"}, argument="city")),
    ):
        game = explainer.game(CHAT_PROMPT, Reasoned(effect=effect, thoughts=THOUGHTS, answer=answer, max_tokens=3))
        values.append(float(game(torch.ones(1, game.n, dtype=torch.bool)).sum()))
    [[full]] = game.inputs(torch.ones(1, game.n, dtype=torch.bool))
    ids = full.ids.tolist()
    assert "<think>" in tokenizer.decode(ids)
    before = ids_of("look(")
    assert values[0] == pytest.approx(log_probability([*ids, *before], ids_of("Paris")), abs=2e-4)
    assert values[1] == pytest.approx(log_probability(ids, ids_of("look(Paris)")), abs=2e-4)
    assert values[2] == pytest.approx(values[0] - log_probability([*ids, *before], ids_of("sea")), abs=4e-4)


def test_thoughts_are_cut_into_words_and_pinned_by_filters() -> None:
    explainer = KernelShap(
        *thinking(), budget=12, granularity=Granularity.TURN, pinned=lambda one: one.text == "is", progress=False
    )
    game = explainer.game(CHAT_PROMPT, Reasoned(thoughts="The sea is green", answer=ANSWER, by=Granularity.WORD))
    assert [feature.text for feature in game.features] == [" ".join(PROMPT), "The", "sea", "green"]


@pytest.mark.parametrize(
    "occlusion", each([Drop(), Drop(retokenize=True), Replace("_"), Replace("a b")], [Drop(retokenize=True)])
)
def test_every_occlusion_leaves_the_marks(occlusion: Any) -> None:
    """As it plays a text in which the thoughts stand as they are."""
    game = ExactShapley(*thinking(), occlusion=occlusion, **OPTIONS).game(CHAT_PROMPT, GIVEN)
    [[empty], [full]] = game.inputs(torch.tensor([[False] * 4, [True] * 4]))
    tokenizer = thinking()[1]
    assert tokenizer.decode(full.ids).endswith(f"<|assistant|><think>\n{THOUGHTS}\n</think>\n\n")
    left = tokenizer.decode(empty.ids)
    assert "<think>" in left and left.endswith("\n</think>\n\n")
    assert not any(word in left for word in ("sky", "sea"))


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_hidden_sentences_keep_their_places_before_thoughts(effect: Any) -> None:
    """Under `Attend()` a value is that of a plain forward with a mask, over the prompt and the thoughts behind it."""
    model, tokenizer = thinking()
    target = Reasoned(effect=effect, thoughts=THOUGHTS, answer=ANSWER, max_tokens=4)
    game = ExactShapley(model, tokenizer, occlusion=Attend(), **OPTIONS).game(CHAT_PROMPT, target)
    coalition = torch.tensor([[True, False, True, False][: game.n]])
    [[input]] = game.inputs(coalition)
    assert input.seen is not None and len(input.seen) == len(input.ids) and input.seen[-1]
    hidden = tokenizer.decode(input.ids[~input.seen])
    assert PROMPT[1] in hidden and (SENTENCES[1] in hidden) == (effect == "direct")
    ids, answer = torch.tensor([[*input.ids.tolist(), *ids_of(ANSWER)]]), ids_of(ANSWER)
    mask = torch.tensor([[*input.seen.tolist(), *[True] * len(answer)]]).long()
    with torch.no_grad():
        logits = (
            model(ids, attention_mask=mask, position_ids=torch.arange(ids.shape[1])[None]).logits[0].double().log_softmax(-1)
        )
    expected = sum(float(logits[len(input.ids) + place - 1, token]) for place, token in enumerate(answer))
    assert float(game(coalition).sum()) == pytest.approx(expected, abs=2e-4)


def test_repeated_thoughts_are_averaged_and_their_spread_is_an_error() -> None:
    target = Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=6, repeats=3)
    [result] = ExactShapley(*thinking(), seed=3, **OPTIONS)(CHAT_PROMPT, target)
    [again] = ExactShapley(*thinking(), seed=3, **OPTIONS)(CHAT_PROMPT, target)
    assert torch.equal(result.values, again.values)
    assert result.evaluations.repeats is not None
    assert torch.allclose(result.evaluations.repeats.mean(0), result.values)
    assert float(result.standard_errors.max()) > 0
    assert any("thought 3 times" in note for note in result.notes)


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_answers_are_compared_where_they_are_generated_anew(effect: Any) -> None:
    similar = ResponseSimilarity(similarity=TfIdf(), generate={"max_new_tokens": 4})
    target = Reasoned(effect=effect, thoughts=THOUGHTS, answer="green sea", max_tokens=LIMIT)
    [result] = ExactShapley(*thinking(), inference_mode=similar, **OPTIONS)(CHAT_PROMPT, target)
    assert result.effect == effect
    assert result.responses.originals[0].text == "green sea"
    if effect == "direct":
        ids = [*prompt_ids((True, True)), *ids_of(f"<think>\n{THOUGHTS}\n</think>\n\n")]
        said = thinking()[0].generate(torch.tensor([ids]), max_new_tokens=4, do_sample=False, pad_token_id=0)[0, len(ids) :]
        assert result.responses.texts[1] == thinking()[1].decode(said, skip_special_tokens=True).strip()


def test_gradients_are_taken_with_thoughts_held_fixed() -> None:
    explainer = IntegratedGradients(*thinking(), whole_answer=True, steps=8, **OPTIONS)
    [result] = explainer(CHAT_PROMPT, GIVEN)
    assert result.n == 4
    with pytest.raises(ValueError, match="written anew have no gradients"):
        explainer(CHAT_PROMPT, Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER))


def test_a_plan_counts_thoughts() -> None:
    explainer = ExactShapley(*thinking(), **OPTIONS)
    total = explainer.plan(CHAT_PROMPT, Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=20, repeats=2))
    length = len(prompt_ids((True, True)))
    assert (total.evaluations, total.requests, total.thought_tokens) == (4, 16, 4 * 2 * 20)
    assert total.prompt_tokens == 8 * length + 8 * (length + 20)
    assert total.cost(prompt=0.0, answer=1e6) == 160
    game = explainer.game(CHAT_PROMPT, Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=20, repeats=2))
    assert Planned.of(game.prompt) == Planned(game.prompt.prompt, True, 20, 2), "of which a call says what it may spend"
    direct = explainer.plan(CHAT_PROMPT, GIVEN)
    assert (direct.evaluations, direct.thought_tokens) == (16, 0)
    with pytest.raises(ValueError, match="not known before it has thought"):
        explainer.plan(CHAT_PROMPT, Reasoned())


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (Reasoned("sky", effect="total", thoughts=THOUGHTS, answer=ANSWER), "occurs 1 times|lies within the thoughts"),
        ([Reasoned(), Reasoned("thoughts")], "only target"),
        (Reasoned(thoughts=THOUGHTS, answer=ANSWER, max_tokens=5000, effect="total"), "need .* positions, the model has"),
        (Reasoned(max_tokens=2), "cut at 2 tokens|without thoughts"),
    ],
)
def test_what_cannot_be_asked_is_refused(target: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ExactShapley(*thinking(), **OPTIONS)(CHAT_PROMPT, target)


def test_thoughts_of_a_model_that_has_none_are_refused() -> None:
    model, tokenizer = thinking()
    bare = byte_bpe()
    explainer = Occlusion(model, bare, **OPTIONS)
    with pytest.raises(ValueError, match="has no thoughts: neither its chat template nor its tokenizer"):
        explainer(CHAT_PROMPT, Reasoned())
    told = Reasoned(thoughts=THOUGHTS, answer=ANSWER, marks=ThoughtMarks("[T]", "[/T]"))
    assert explainer(CHAT_PROMPT, told)[0].n == 4
    with pytest.raises(ValueError, match="The model answered without thoughts between '<think>' and '</think>'"):
        Occlusion(model, tokenizer, generate={"max_new_tokens": 2}, **OPTIONS)("the sky", Reasoned(max_tokens=3))
    off = byte_bpe()
    off.chat_template = CHAT + "<think>\n\n</think>\n\n"
    with pytest.raises(ValueError, match="has turned the model's thoughts off"):
        Occlusion(model, off, **OPTIONS)(CHAT_PROMPT, Reasoned())
    with pytest.raises(ValueError, match="a Template is filled in several ways"):
        ExactShapley(model, tokenizer, **OPTIONS)(Template("a {b}", {"b": "c"}, {"b": "d"}), GIVEN)


def test_an_answer_is_traced_through_its_thoughts(tmp_path: Any) -> None:
    """Each sentence is explained by what is before it, as it is when it is asked about alone."""
    explainer = ExactShapley(*thinking(), **OPTIONS)
    found = trace(explainer, CHAT_PROMPT, GIVEN)
    assert (found.n, found.k) == (2, 2)
    [direct] = explainer(CHAT_PROMPT, GIVEN)
    assert torch.allclose(found.answer.attributions, direct.span().attributions)
    for sentence, part in zip(found.sentences, SENTENCES, strict=True):
        [alone] = explainer(CHAT_PROMPT, Reasoned(part, thoughts=THOUGHTS, answer=ANSWER))
        assert torch.allclose(sentence.attributions, alone.span().attributions, atol=1e-4)
    whole = float(found.answer.full - found.answer.empty)
    assert float(found.total.sum() + found.kept.sum()) == pytest.approx(whole)
    assert "2 parts of the prompt → 2 thoughts → 'green', in nats" in repr(found)
    frame = found.to_frame()
    assert frame["direct"].sum() == pytest.approx(whole, abs=1e-4)
    assert frame[frame["part"] == "prompt"]["total"].sum() + frame["kept"].sum() == pytest.approx(whole, abs=1e-4)
    found.save(tmp_path / "trace.json")
    loaded = Trace.load(tmp_path / "trace.json")
    assert torch.equal(loaded.total, found.total) and torch.equal(loaded.kept, found.kept)
    assert (repr(loaded), loaded.answer.effect) == (repr(found), "direct")
    found.to_html(tmp_path / "trace.html")
    page = (tmp_path / "trace.html").read_text()
    assert "<svg" in page and all(sentence in page for sentence in [*PROMPT, *SENTENCES])


def test_a_trace_of_something_else_is_refused() -> None:
    explainer = ExactShapley(*thinking(), **OPTIONS)
    with pytest.raises(ValueError, match="made of direct effects"):
        trace(explainer, CHAT_PROMPT, Reasoned(effect="total"))
    with pytest.raises(ValueError, match="one input at a time; got 2"):
        trace(explainer, [CHAT_PROMPT, CHAT_PROMPT], GIVEN)
    with pytest.raises(ValueError, match="inference_mode is logits"):
        trace(ExactShapley(*thinking(), inference_mode=InferenceModes.LOGITS, **OPTIONS), CHAT_PROMPT, GIVEN)
    with pytest.raises(TypeError, match="trace takes an explainer, an input and a Reasoned target"):
        trace(explainer, CHAT_PROMPT, "green")  # type: ignore[arg-type]


def test_a_begun_message_goes_on_within_its_thoughts() -> None:
    """What is begun is a part of the prompt, and the rest of the thoughts follows."""
    begun = Chat([*CHAT_PROMPT, {"role": "assistant", "content": f"<think>\n{SENTENCES[0]}"}], continue_final_message=True)
    game = ExactShapley(*thinking(), **OPTIONS).game(begun, Reasoned(thoughts=SENTENCES[1], answer=ANSWER))
    assert [feature.text for feature in game.features] == [*PROMPT, SENTENCES[1]]
    [[full]] = game.inputs(torch.ones(1, 3, dtype=torch.bool))
    assert thinking()[1].decode(full.ids).endswith(f"<think>\n{SENTENCES[0]}{SENTENCES[1]}\n</think>\n\n")


@pytest.mark.parametrize("rows", ["answer", "tokens"])
def test_rows_are_the_answer_or_its_tokens(rows: Any) -> None:
    [result] = ExactShapley(*thinking(), rows=rows, **OPTIONS)(
        CHAT_PROMPT, Reasoned(thoughts=THOUGHTS, answer="The sea is green")
    )
    assert (result.t == 1) == (rows == "answer")
    assert (result.effect, result.n) == ("direct", 4)


@pytest.mark.parametrize("effect", ["direct", "total"])
def test_pictures_are_features_beside_thoughts(effect: Any) -> None:
    """A picture that is left out changes the tokens before the thoughts, which stay what they are."""
    model, processor = load_sight()
    [prompt] = sample_scene_prompts(1, asks="colour", seed=1)
    target = Reasoned(
        effect=effect, thoughts="what colour is the star ? what shape is it ?", answer=prompt.answer, max_tokens=6,
        marks=ThoughtMarks("<|system|>", "<|user|>", " "),
    )  # fmt: skip
    options: dict[str, Any] = {"image_granularity": WholeImage(), "image_occlusion": DropImage(), **OPTIONS}
    fast, plain = (
        ExactShapley(model, processor, share_prefixes=shared, **options).game(prompt.messages, target)
        for shared in (True, False)
    )
    assert fast.n == (4 if effect == "direct" else 2)
    assert [feature.modality for feature in fast.features].count("image") == 1
    every = rows_of(fast.n)
    assert torch.allclose(fast(every), plain(every), atol=1e-4)
    tokenizer = processor.tokenizer
    for [one] in fast.inputs(every):
        text = tokenizer.decode(one.ids)
        assert "<|system|>" in text and text.rstrip().endswith("<|user|>")
        assert ("<image>" in text) == bool(one.media)


DOCUMENTS = "{% for one in documents or [] %}<|system|>{{ one.title }}: {{ one.text }}<|end|>\n{% endfor %}"
TOOLS = "{% for one in tools or [] %}<|system|>{{ one.function.name }}: {{ one.function.description }}<|end|>\n{% endfor %}"


def test_tools_and_documents_are_features_beside_thoughts() -> None:
    """One of which nothing is present is not listed, and the thoughts after it stay what they are."""
    model, tokenizer = thinking()
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = TOOLS + DOCUMENTS + tokenizer.chat_template
    tool = {"type": "function", "function": {"name": "look", "description": "Looks at the sea.", "parameters": {}}}
    documents = [{"id": "a", "title": "Sky", "text": "It is blue."}, {"id": "b", "title": "Sea", "text": "It is green."}]
    chat, options = Chat(CHAT_PROMPT, tools=[tool], documents=documents), {"roles": ("user", "tools", "documents"), **OPTIONS}
    game = ExactShapley(model, tokenizer, **options).game(chat, GIVEN)
    assert {feature.source for feature in game.features} >= {"look", "a", "b"}
    assert [feature.part for feature in game.features][-2:] == ["thoughts", "thoughts"]
    of_b = [feature.source == "b" for feature in game.features]
    [[left]] = game.inputs(~torch.tensor([of_b]))
    shorter = ExactShapley(model, tokenizer, **options).game(Chat(CHAT_PROMPT, tools=[tool], documents=documents[:1]), GIVEN)
    [[alone]] = shorter.inputs(torch.ones(1, shorter.n, dtype=torch.bool))
    assert left.ids.tolist() == alone.ids.tolist()
    target = Reasoned(effect="total", max_tokens=4, thoughts=THOUGHTS, answer=ANSWER)
    [result] = KernelShap(model, tokenizer, budget=24, **options)(chat, target)
    assert (result.effect, result.n) == ("total", game.n - 2)


class Stop(Callback):
    """Ends a call after so many batches."""

    def __init__(self, after: int):
        self.left = after

    def on_batch(self, *_: Any) -> None:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def test_thoughts_of_an_interrupted_call_are_not_written_again(monkeypatch: Any) -> None:
    target = Reasoned(effect="total", thoughts=THOUGHTS, answer=ANSWER, max_tokens=LIMIT)
    written: list[int] = []
    think = Thinker._think
    monkeypatch.setattr(Thinker, "_think", lambda self, inputs: (written.append(len(inputs)), think(self, inputs))[1])
    [whole] = ExactShapley(*thinking(), batch_size=1, **OPTIONS)(CHAT_PROMPT, target)
    assert sum(written) == 4
    explainer = ExactShapley(*thinking(), batch_size=1, callbacks=[stop := Stop(3)], **OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        explainer(CHAT_PROMPT, target)
    assert sum(written) == 8
    stop.left = 100
    [rest] = explainer(CHAT_PROMPT, target, evaluations=explainer.unfinished)
    assert sum(written) == 8
    assert torch.equal(rest.attributions, whole.attributions)


def test_marks_of_several_tokens_end_thoughts_too() -> None:
    """The model stops where a mark has been written in whole; what it goes on with is no part of the thought."""
    _, tokenizer = thinking()
    torch.manual_seed(0)
    model = Scripted(thinking()[0].config).eval()
    model.says = ids_of("The sea is green. [/T] green</s>")
    model.begin = len(ids_of("the sky is blue") + ids_of("[T]"))
    target = Reasoned(effect="total", thoughts="x", answer="green", marks=ThoughtMarks("[T]", "[/T]", ""), max_tokens=30)
    game = ExactShapley(model, tokenizer, occlusion=Replace("_"), **OPTIONS).game("the sky is blue", target)
    [[full]] = game.inputs(torch.ones(1, 1, dtype=torch.bool))
    assert tokenizer.decode(full.ids) == "the sky is blue[T]The sea is green.[/T]"
    assert not any("cut" in note for note in game.notes)


QWEN = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% if enable_thinking is false %}<think></think>\n{% endif %}{% endif %}"
)
DEEPSEEK = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|><think>\n"
HARMONY = (
    "{% for m in messages %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% if m.thinking %}"
    "<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>{% endif %}{% endfor %}<|start|>assistant"
)
MAGISTRAL = "{% for m in messages %}[INST]{{ m.content }}[/INST]{% endfor %}{# [THINK] and [/THINK] #}"


@pytest.mark.parametrize(
    ("template", "before", "between", "end"),
    [
        (QWEN, "<think>\n", "\n</think>\n\n", "<|end|>"),
        (DEEPSEEK, "", "\n</think>\n\n", "</s>"),
        (HARMONY, "<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>", "<|return|>"),
        (MAGISTRAL, "[THINK]", "[/THINK]", "</s>"),
    ],
)
def test_thoughts_of_widespread_models_are_found(template: str, before: str, between: str, end: str) -> None:
    """What the model itself writes is taken apart, and stands after the prompt token by token as it was written."""
    tokenizer = copy.deepcopy(thinking()[1])
    channels = ["<|channel|>", "<|message|>", "<|start|>", "<|return|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": channels}, replace_extra_special_tokens=False)
    tokenizer.chat_template = template
    config = copy.deepcopy(thinking()[0].config)
    config.vocab_size, config.eos_token_id = len(tokenizer), tokenizer.convert_tokens_to_ids(end)
    torch.manual_seed(0)
    model = Scripted(config).eval()
    asked = tokenizer.encode(tokenizer.apply_chat_template(CHAT_PROMPT, tokenize=False, add_generation_prompt=True))
    model.begin, model.says = len(asked), tokenizer.encode(f"{before}{THOUGHTS}{between}{ANSWER}{end}")
    game = ExactShapley(model, tokenizer, **OPTIONS).game(CHAT_PROMPT, Reasoned())
    assert [feature.text for feature in game.features] == [*PROMPT, *SENTENCES]
    assert "".join(game.question.labels) == ANSWER
    [[full]] = game.inputs(torch.ones(1, 4, dtype=torch.bool))
    assert full.ids.tolist() == [*asked, *tokenizer.encode(f"{before}{THOUGHTS}{between}")]
    total = ExactShapley(model, tokenizer, **OPTIONS).game(CHAT_PROMPT, Reasoned(effect="total"))
    [[again]] = total.inputs(torch.ones(1, 2, dtype=torch.bool))
    assert again.ids.tolist() == full.ids.tolist()
