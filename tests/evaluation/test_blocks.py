"""Blocks: an interrupted call that goes on, and one whose coalitions other processes evaluate, give the very same numbers."""

from __future__ import annotations

import os
import random

import pytest
import torch

from interpreto_mllm import Callback, HierarchicalShapley, KernelShap, NeymanShapley
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.evaluation import blocks as module
from interpreto_mllm.evaluation.blocks import Blocks, evaluate_block, in_blocks, known_of
from interpreto_mllm.evaluation.checkpoint_file import Contents
from interpreto_mllm.testbed import load_hearing, load_recall, load_sight
from interpreto_mllm.testbed.shapes import sample_scene_prompts
from interpreto_mllm.testbed.sounds import sample_clip_prompts

TEXT = "the apple is red . the sky is blue . what is the apple ?"


class Interrupted(Exception):
    pass


class After(Callback):
    """Ends a call after so many blocks."""

    def __init__(self, blocks: int):
        self.left = blocks

    def on_batch(self, progress):
        self.left -= 1
        if self.left == 0:
            raise Interrupted


@pytest.fixture(scope="module")
def recall():
    return load_recall()


@pytest.fixture
def evaluated(monkeypatch):
    """The blocks that the model evaluates, as sets of keys."""
    seen: list[frozenset[bytes]] = []

    def recorded(game, coalitions):
        seen.append(frozenset(coalition_keys(coalitions)))
        return evaluate_block(game, coalitions)

    monkeypatch.setattr(module, "evaluate_block", recorded)
    return seen


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_those_of_their_coalitions_whichever_others_are_known(seed):
    coalitions = torch.rand(53, 9, generator=torch.Generator().manual_seed(seed)) < 0.5
    blocks, draw = Blocks(8), random.Random(seed)
    whole = [frozenset(rows) for rows in blocks.of(coalitions)]
    assert sorted(row for rows in whole for row in rows) == list(range(53)) and {len(rows) for rows in whole} == {8, 5}
    known = draw.sample(whole, 3)
    rest = torch.tensor([row for row in range(53) if not any(row in rows for rows in known)])
    left = [frozenset(rest[rows].tolist()) for rows in blocks.of(coalitions[rest])]
    assert left == [rows for rows in whole if rows not in known]


@pytest.mark.parametrize(
    "method",
    [NeymanShapley, *(pytest.param(one, marks=pytest.mark.thorough) for one in (KernelShap, HierarchicalShapley))],
)
def test_a_call_interrupted_anywhere_goes_on_to_the_very_same_numbers_and_evaluates_no_block_again(
    method, tmp_path, evaluated, recall
):
    def explained(path, *callbacks):
        with in_blocks(Blocks(16)):
            return method(*recall, budget=72, progress=False, callbacks=callbacks)(TEXT, " red", checkpoint=path)[0]

    whole = explained(tmp_path / "whole.jsonl")
    expected = list(evaluated)
    assert len(expected) > 4
    for after in (2, len(expected) - 1):
        evaluated.clear()
        path = tmp_path / f"after-{after}.jsonl"
        with pytest.raises(Interrupted):
            explained(path, After(after))
        resumed = explained(path)
        assert evaluated == expected
        assert resumed.attributions.equal(whole.attributions) and resumed.values.equal(whole.values)


def test_a_block_cut_off_in_the_file_is_evaluated_again_as_a_whole(tmp_path, evaluated, recall):
    path = tmp_path / "run.jsonl"

    def explained():
        with in_blocks(Blocks(16)):
            return KernelShap(*recall, budget=40, progress=False)(TEXT, " red", checkpoint=path)[0]

    whole, blocks = explained(), list(evaluated)
    evaluated.clear()
    size = os.path.getsize(path)
    os.truncate(path, size - 100)
    contents = Contents.read(path)
    assert contents is not None
    assert len(contents.evaluations[0].coalitions) == 40 - len(blocks[-1])
    again = explained()
    assert evaluated == blocks[-1:] and again.values.equal(whole.values)


def test_blocks_evaluated_elsewhere_in_any_order_give_the_same_numbers_and_those_of_another_game_are_refused(recall):
    explainer = KernelShap(*recall, budget=40, progress=False)
    there, other = KernelShap(*recall).game(TEXT, " red"), KernelShap(*recall).game(TEXT, " blue")
    with in_blocks(Blocks(16)):
        [here] = explainer(TEXT, " red")
    with in_blocks(Blocks(16, lambda asked: (known_of(there, one) for one in reversed(asked)))):
        [distributed] = explainer(TEXT, " red")
    assert distributed.values.equal(here.values) and distributed.attributions.equal(here.attributions)
    with (
        in_blocks(Blocks(16, lambda asked: (known_of(other, one) for one in asked))),
        pytest.raises(ValueError, match=r"another game .* targets: 'blue'.* there, 'red'.* here"),
    ):
        explainer(TEXT, " red")


@pytest.mark.parametrize("load", [load_sight, pytest.param(load_hearing, marks=pytest.mark.thorough)])
def test_blocks_with_media_have_the_same_digits_whatever_was_evaluated_before(load):
    parts = load()
    [prompt] = (sample_clip_prompts if load is load_hearing else sample_scene_prompts)(1)

    def game():
        return KernelShap(*parts).game(prompt.messages, prompt.answer)

    def draw(seed):
        return torch.rand(12, game().n, generator=torch.Generator().manual_seed(seed)) < 0.5

    first, second = draw(0), draw(1)
    fresh = game()
    after = known_of(fresh, first), known_of(fresh, second)
    assert known_of(game(), second).values.equal(after[1].values)
    assert known_of(fresh, first).values.equal(after[0].values)
