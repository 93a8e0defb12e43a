"""How coalitions were drawn is kept in files, and read off those from before it was."""

from __future__ import annotations

import json

import pytest
import torch
from support.games import dense_game

from interpreto_mllm import Attribution
from interpreto_mllm.aggregators import GaussianProcessAggregator, KernelAggregator, OwenAggregator, ShapleyAggregator
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.serialization import pack_evaluations, unpack_evaluations
from interpreto_mllm.evaluation.session import SamplingSession
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import (
    ActivePerturbator,
    BernoulliPerturbator,
    ComplementaryPerturbator,
    HierarchicalPerturbator,
    KernelPerturbator,
    MonteCarloPerturbator,
    NeymanPerturbator,
    PermutationPerturbator,
    SobolPerturbator,
)

GROUPS = [[0, 1, 2], [3, 4, 5], [6, 7]]


@pytest.mark.parametrize(
    "perturbator, design",
    [
        (ActivePerturbator(), Design.CHOSEN),
        (BernoulliPerturbator(), Design.SAMPLE),
        (BernoulliPerturbator(paired=False), Design.SAMPLE),
        (ComplementaryPerturbator(), Design.SAMPLE),
        (HierarchicalPerturbator(GROUPS), Design.HIERARCHY),
        (KernelPerturbator(), Design.SAMPLE),
        (MonteCarloPerturbator(), Design.SAMPLE),
        (NeymanPerturbator(), Design.PAIRS),
        (PermutationPerturbator(), Design.ORDERS),
        (SobolPerturbator(), Design.BLOCKS),
    ],
    ids=lambda part: getattr(part, "name", type(part).__name__),
)
def test_designs_are_saved_and_those_of_old_files_are_found(perturbator, design):
    game, session = dense_game(8), SamplingSession(perturbator, 8, 40, seed=0)
    while (coalitions := session.missing()) is not None:
        session.record(coalitions, game(coalitions))
    packed = json.loads(json.dumps(pack_evaluations(session.evaluations()), allow_nan=False))
    assert unpack_evaluations(packed).design is design
    del packed["design"], packed["evaluations"]["log_weights"]
    old = unpack_evaluations(packed)
    assert old.design is design and old.log_weights is None


def old_file(result: Attribution, path, **changes) -> None:
    """A result as earlier versions wrote it, with other contents where given."""
    result.save(path)
    content = json.loads(path.read_text())
    del content["design"], content["evaluations"]["log_weights"]
    path.write_text(json.dumps(content | changes))


def test_standard_errors_of_old_files_are_computed_again(tmp_path):
    result = play(dense_game(8), MonteCarloPerturbator(), KernelAggregator(), n_features=8, budget=60, progress=False)
    zeros = json.loads(json.dumps({"dtype": "float64", "shape": [2, 8], "data": [0.0] * 16}))
    old_file(result, tmp_path / "sample.json", standard_errors=zeros)
    read = Attribution.load(tmp_path / "sample.json")
    assert torch.equal(read.standard_errors, result.standard_errors) and torch.equal(read.attributions, result.attributions)


def test_old_files_of_pairings_that_are_refused_today_load_with_a_note(tmp_path):
    chains = play(
        dense_game(8), HierarchicalPerturbator(GROUPS), OwenAggregator(GROUPS), n_features=8, budget=24, progress=False
    )
    zeros = {"dtype": "float64", "shape": [2, 8], "data": [0.0] * 16}
    named = {"name": "ShapleyAggregator", "module": ShapleyAggregator.__module__, "settings": {}}
    old_file(chains, tmp_path / "chains.json", standard_errors=zeros, aggregator=named)
    read = Attribution.load(tmp_path / "chains.json")
    assert read.standard_errors is None
    assert read.notes[-1].startswith("These scores may be wrong: ShapleyAggregator needs") and "Owen" in read.notes[-1]


def test_a_process_with_active_pairs_has_intervals_after_loading(tmp_path):
    result = play(dense_game(6), ActivePerturbator(), GaussianProcessAggregator(), n_features=6, budget=20, progress=False)
    old_file(result, tmp_path / "pairs.json")
    low, high = Attribution.load(tmp_path / "pairs.json").interval()
    assert (low < high).all()
