"""Pairs of texts are read as the tokenizer puts them together, with every word a feature of its text."""

from __future__ import annotations

import copy

import pytest
import torch
from support import zoo

from interpreto_mllm import ExactShapley, KernelShap, Pair, Replace


@pytest.fixture(scope="module")
def bert():
    tokenizer = copy.deepcopy(zoo.wordpiece())
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return zoo.build("bert"), tokenizer


def test_a_pair_is_the_tokenizers_own_encoding(bert) -> None:
    model, tokenizer = bert
    pair = Pair("the sky", "is blue", names=("premise", "hypothesis"))
    explainer = ExactShapley(model, tokenizer, occlusion=Replace(), progress=False)
    game = explainer.game(pair, 1)
    encoded = tokenizer(pair.first, pair.second, return_tensors="pt")
    [[read]] = game.prompt.inputs_for(torch.ones(1, game.n, dtype=torch.bool))
    assert read.ids.tolist() == encoded["input_ids"][0].tolist()
    assert read.segments is not None and read.segments.tolist() == encoded["token_type_ids"][0].tolist()
    with torch.no_grad():
        plain = model(**encoded).logits.log_softmax(-1)[0, 1]
    assert torch.allclose(game(torch.ones(1, game.n, dtype=torch.bool))[0, 0].float(), plain, atol=1e-5)
    assert [(f.text, f.role) for f in game.features] == [
        ("the", "premise"),
        ("sky", "premise"),
        ("is", "hypothesis"),
        ("blue", "hypothesis"),
    ]


def test_pairs_in_a_list_and_what_is_no_pair(bert) -> None:
    results = KernelShap(*bert, progress=False)([Pair("the sky", "is blue"), Pair("a b", "the c")], [0, 1])
    assert [len(result.features) for result in results] == [4, 4]
    with pytest.raises(ValueError, match=r"inputs\[1\]: The prompt is empty"):
        KernelShap(*bert)([Pair("a", "b"), Pair("a", " ")], 0)


@pytest.mark.usefixtures("unchecked")
def test_a_pair_of_something_else() -> None:
    with pytest.raises(TypeError, match="A Pair is of two texts"):
        Pair("a", None)  # type: ignore[arg-type]
