"""Games of real models with 24 to about 100 words, too many for all coalitions, and long runs as references.

    python benchmarks/long_games.py [--half tuning judging] [--names labels-flight ...] [--evaluations 20000]

Models, kinds and halves are those of `real_games.py`; `long_texts.toml` has the prompts. A reference is a run of so many
evaluations, of the chat model half of them: a Gaussian process is fitted to a quarter, 4096 at most, and KernelShap of the
others estimates the Shapley values of what is left of the game, without bias whatever that process says. Its standard errors
say how near it is. Every value that was ever evaluated is kept in results/long/HALF/NAME.npz, after each part of a run, so that
a run goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
import torch
from real_games import HALVES, Text, real_game, texts
from tables import RESULTS
from torch import Tensor

from interpreto_mllm import Attribution
from interpreto_mllm.aggregators import KernelAggregator
from interpreto_mllm.aggregators.gaussian_process import observe, observed_rows
from interpreto_mllm.explainers.play import play
from interpreto_mllm.gaussian.fit import fit_kernel
from interpreto_mllm.gaussian.posterior import Posterior
from interpreto_mllm.perturbators import KernelPerturbator

FOLDER = RESULTS / "long"
TEXTS = Path(__file__).parent / "long_texts.toml"
EVALUATIONS = 20_000
CHEAPER = 2
"""A run of the chat model has so many times fewer evaluations than one of the encoder."""
PART = 1.5
"""Parts of a run grow by this."""
MOST_FITTED = 4096
SEED = 1000
"""Of the references; estimators have others."""


class StoredGame:
    """A game that evaluates each coalition once, and keeps its values in a file.

    Args:
        path: the file.
        text: what is explained; its model is loaded when a value is missing.
    """

    def __init__(self, path: Path, text: Text):
        self.path, self.text, self.n, self.seconds = path, text, len(text.parts), 0.0
        self._known: dict[bytes, float] = {}
        self._game: Any = None
        if path.exists():
            content = np.load(path)
            self._known = {row.tobytes(): float(value) for row, value in zip(content["rows"], content["values"], strict=True)}

    def __call__(self, coalitions: Any) -> np.ndarray:
        started = process_time()
        rows = np.atleast_2d(np.asarray(coalitions)).astype(bool)
        keys = [row.tobytes() for row in np.packbits(rows, axis=1)]
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        if missing:
            self._game = self._game or real_game(self.text)
            values = self._game(torch.from_numpy(np.stack(list(missing.values()))))[:, 0].double()
            self._known |= dict(zip(missing, values.tolist(), strict=True))
        self.seconds += process_time() - started
        return np.array([self._known[key] for key in keys])

    def save(self) -> None:
        """Write all values."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.stack([np.frombuffer(key, dtype=np.uint8) for key in self._known])
        unfinished = self.path.with_suffix(".part.npz")
        np.savez_compressed(unfinished, rows=rows, values=np.array(list(self._known.values())))
        unfinished.replace(self.path)


class Reference(NamedTuple):
    """Shapley values of a long run.

    Args:
        values: one per feature.
        errors: their standard errors.
        evaluations: of the run.
    """

    values: Tensor
    errors: Tensor
    evaluations: int

    @property
    def uncertainty(self) -> float:
        """The relative squared error that the standard errors expect."""
        return float(self.errors.square().sum() / self.values.square().sum())


class LongGame(NamedTuple):
    """A game with its reference."""

    name: str
    game: StoredGame
    reference: Reference


class Smooth:
    """What a Gaussian process says after so many evaluations: a game of its own, with Shapley values in closed form."""

    def __init__(self, game: StoredGame, evaluations: int):
        drawn = sampled(game, game.n, evaluations, SEED).evaluations
        observations = observe(drawn, observed_rows(drawn))
        self._posterior, self._scale = Posterior(fit_kernel(observations), observations), observations.scales[0]
        self.values = self._posterior.mean()[0] * self._scale

    def __call__(self, coalitions: Tensor) -> Tensor:
        return self._posterior.predict(coalitions.double() * 2 - 1)[:, 0] * self._scale


def sampled(game: Any, n: int, evaluations: int, seed: int) -> Attribution:
    """So many evaluations of KernelShap."""
    return play(game, KernelPerturbator(), KernelAggregator(), n_features=n, budget=evaluations, seed=seed, progress=False)


def run_reference(game: StoredGame, evaluations: int) -> None:
    """The long run, of which nothing is evaluated twice; values and the reference so far are kept as it goes on."""
    fitted = min(evaluations // 4, MOST_FITTED)
    for known in parts_of(fitted):
        sampled(game, game.n, known, SEED)
        game.save()
    smooth = Smooth(game, fitted)

    def rest(coalitions: Tensor) -> Tensor:
        return torch.from_numpy(game(coalitions)) - smooth(coalitions)

    for known in parts_of(evaluations - fitted):
        error = sampled(rest, game.n, known, SEED + 1)
        game.save()
        assert error.standard_errors is not None
        found = Reference(smooth.values + error.attributions[0], error.standard_errors[0], fitted + known)
        kept = {"values": found.values.tolist(), "errors": found.errors.tolist(), "evaluations": found.evaluations}
        game.path.with_suffix(".json").write_text(json.dumps(kept))
        print(f"{game.path.stem}: {found.evaluations} evaluations, uncertainty {found.uncertainty:.1e}", flush=True)


def parts_of(evaluations: int) -> Iterator[int]:
    """So many evaluations in growing parts."""
    known = 1000
    while known < evaluations:
        yield known
        known = int(PART * known)
    yield evaluations


def evaluations_of(text: Text, evaluations: int) -> int:
    """How many a reference has."""
    return evaluations // CHEAPER if text.kind == "continuation" else evaluations


def long_games(half: str) -> Iterator[LongGame]:
    """The games of a half that have references."""
    for name, text in texts(half, TEXTS).items():
        path = FOLDER / half / f"{name}.json"
        if path.exists():
            kept = json.loads(path.read_text())
            values, errors = torch.tensor([kept["values"], kept["errors"]], dtype=torch.float64)
            reference = Reference(values, errors, kept["evaluations"])
            yield LongGame(name, StoredGame(path.with_suffix(".npz"), text), reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, nargs="+", default=HALVES)
    parser.add_argument("--names", nargs="+")
    parser.add_argument("--evaluations", type=int, default=EVALUATIONS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    listed = [(half, name, text) for half in arguments.half for name, text in texts(half, TEXTS).items()]
    for half, name, text in sorted(listed, key=lambda one: (one[2].kind == "continuation", len(one[2].parts))):
        if not arguments.names or name in arguments.names:
            game = StoredGame(FOLDER / half / f"{name}.npz", text)
            run_reference(game, evaluations_of(text, arguments.evaluations))


if __name__ == "__main__":
    main()
