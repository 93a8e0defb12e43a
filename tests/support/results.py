"""Results of games without a model, with features of several modalities."""

from __future__ import annotations

from dataclasses import replace

from support.games import dense_game

from interpreto_mllm import Feature
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.explainers.play import play
from interpreto_mllm.perturbators import KernelPerturbator

MODALITIES = ["text", "text", "image", "image", "image", "audio"]
FEATURES = [Feature(str(i), modality=modality) for i, modality in enumerate(MODALITIES)]


def run(game, perturbator=None, aggregator=None, n=6, budget=None, extra=None, seed=0):
    perturbator, aggregator = perturbator or KernelPerturbator(), aggregator or KernelAggregator()
    return play(game, perturbator, aggregator, n_features=n, budget=budget, extra=extra, seed=seed, progress=False)


def several(budget=None, extra=None, features=FEATURES):
    result = run(dense_game(6), budget=budget, extra=extra)
    return replace(result, features=features)
