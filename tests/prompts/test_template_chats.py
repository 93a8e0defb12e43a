"""Templates in the messages of a chat: their slots are the features, and coalitions are chats written with those texts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support import zoo
from support.families import family
from support.misbehaving import Told, choice, misbehaving

from interpreto_mllm import (
    Attribution,
    ExactShapley,
    IntegratedGradients,
    KernelShap,
    RemoteModel,
    ResponseSimilarity,
    Template,
)
from interpreto_mllm.prompts.tokens import Tokens
from interpreto_mllm.similarity import TfIdf

FRUIT = Template("the {thing} is {colour}", {"thing": "apple", "colour": "red"}, {"thing": ["lorry", "sky"], "colour": "blue"})
ASKED = Template("what is the {thing}?", {"thing": "apple"}, {"thing": ["lorry", "sky"]})


def chat(first: Any, second: Any, system: Any = "Be {brief}.") -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": first},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": second},
    ]


def written(thing: str, colour: str) -> list[dict[str, Any]]:
    return chat(f"the {thing} is {colour}", f"what is the {thing}?")


@pytest.fixture(scope="module")
def llama() -> Any:
    return zoo.build("llama"), zoo.byte_bpe()


def test_coalitions_are_the_chats_written_that_way(llama: Any) -> None:
    """A slot in two messages is one feature, whose baselines are averaged over; all else is always there."""
    model, tokenizer = llama
    explainer = KernelShap(model, tokenizer, progress=False)
    given = chat(FRUIT, [{"type": "text", "text": ASKED}])
    game = explainer.game(given, " x")
    assert [(f.text, f.role, f.turn, len(f.spans)) for f in game.features] == [
        ("apple", "user", None, 2),
        ("red", "user", 1, 1),
    ]
    assert all(game.prompt.text[slice(*span)] == feature.text for feature in game.features for span in feature.spans)
    assert game.prompt.text == tokenizer.apply_chat_template(
        written("apple", "red"), tokenize=False, add_generation_prompt=True
    )
    coalitions = torch.tensor(list(itertools.product([False, True], repeat=2)))
    for (thing, colour), inputs in zip(coalitions.tolist(), game.prompt.inputs_for(coalitions), strict=True):
        things = ["apple", "apple"] if thing else ["lorry", "sky"]
        chats = [written(one, "red" if colour else "blue") for one in things]
        texts = [tokenizer.apply_chat_template(one, tokenize=False, add_generation_prompt=True) for one in chats]
        assert [input.ids.tolist() for input in inputs] == [
            Tokens.of_text(text, tokenizer, add_special_tokens=False).ids.tolist() for text in texts
        ]
    plain = [explainer.game(written(thing, "red"), " x") for thing in ("lorry", "sky")]
    values = torch.stack([one(torch.ones(1, one.n, dtype=torch.bool))[0] for one in plain]).mean(0)
    assert torch.allclose(game(torch.tensor([[False, True]]))[0], values, atol=1e-5)


def test_a_template_may_be_in_any_message_and_baselines_drawn(llama: Any, tmp_path: Any) -> None:
    """Whatever `roles` says; what is drawn is said, and a file holds the chat."""
    many = Template("Be {how}.", {"how": "brief"}, {"how": [f"{index} words" for index in range(20)]}, draws=4)
    [result] = KernelShap(*llama, progress=False)(chat("the apple", "is red", many), " x")
    assert [(f.text, f.role) for f in result.features] == [("brief", "system")]
    assert any("20 combinations" in note for note in result.notes)
    result.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert loaded.conversation is not None and loaded.conversation.messages[0]["content"] == "Be brief."
    result.to_html(tmp_path / "result.html")


def test_texts_that_a_chat_template_strips_keep_their_places(llama: Any) -> None:
    model, tokenizer = llama[0], zoo.byte_bpe()
    tokenizer.chat_template = tokenizer.chat_template.replace("m.content", "m.content | trim")
    ends = Template("  {a} is {b}", {"a": "it", "b": "red "}, {"a": "", "b": ""})
    game = KernelShap(model, tokenizer, progress=False).game([{"role": "user", "content": ends}], " x")
    assert [feature.text for feature in game.features] == ["it", "red"]
    [[without]] = game.prompt.inputs_for(torch.zeros(1, 2, dtype=torch.bool))
    assert tokenizer.decode(without.ids).startswith("<|user|>is<|end|>")


def test_gradients_of_a_template_in_a_chat(llama: Any) -> None:
    [result] = IntegratedGradients(*llama, steps=32, progress=False)(chat(FRUIT, ASKED), " x")
    assert [feature.text for feature in result.features] == ["apple", "red"] and result.attributions.abs().min() > 0


def test_images_beside_a_template_are_always_there() -> None:
    subject = family("llava")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    explainer = KernelShap(subject.model, subject.processor, progress=False)

    def asked(text: Any) -> list[dict[str, Any]]:
        return [{"role": "user", "content": [{"type": "image", "image": photo}, {"type": "text", "text": text}]}]

    game = explainer.game(asked(Template("what is {a}", {"a": "it"}, {"a": "the sky"})), " x")
    plain = explainer.game(asked("what is the sky"), " x")
    everything = torch.ones(1, plain.n, dtype=torch.bool)
    assert game.n == 1 and torch.allclose(game(torch.tensor([[False]])), plain(everything), atol=1e-4)


def test_a_server_is_sent_the_chats(llama: Any) -> None:
    with misbehaving(lambda number, path, body: Told(choice(body["messages"][1]["content"], True))) as server:
        mode = ResponseSimilarity(similarity=TfIdf())
        explainer = ExactShapley(RemoteModel(server.url, "m"), inference_mode=mode, progress=False)
        [result] = explainer(chat(FRUIT, ASKED), "the apple is red")
        sent = {(body["messages"][1]["content"], body["messages"][3]["content"]) for body in server.asked}
    assert result.n == 2 and all(body["messages"][0]["content"] == "Be {brief}." for body in server.asked)
    assert sent == {
        (f"the {thing} is {colour}", f"what is the {thing}?")
        for thing in ("apple", "lorry", "sky")
        for colour in ("red", "blue")
    }


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (Template("{thing}", {"thing": "door"}, {"thing": ["lorry", "sky"]}), "with the value 'apple' and 'door'"),
        (Template("{thing}", {"thing": "apple"}, {"thing": "sky"}), r"with the baselines \['lorry', 'sky'\] and 'sky'"),
        (Template("{it}", {"it": "apple"}, [{"it": "sky"}]), "baselines that cannot be put together"),
        (Template("{it}", {"it": "apple"}, {"it": "sky"}, seed=1), "the same draws and seed"),
    ],
)
def test_templates_that_do_not_go_together_are_refused(llama: Any, second: Template, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        KernelShap(*llama, progress=False)(chat(FRUIT, second), " x")
