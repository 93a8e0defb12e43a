"""A game of which every value that metrics ask for is kept in a file as soon as it is there."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.content import digest
from interpreto_mllm.evaluation.blocks import Blocks, evaluate_block
from interpreto_mllm.evaluation.records import RecordFile, records
from interpreto_mllm.games.game import ModelGame


class KeptGame:
    """The values of coalitions, block by block. What a file holds of an interrupted process is not evaluated again.

    Args:
        game: gives the values.
        size: coalitions in a block.
        path: of the file; nothing is kept without one.
    """

    def __init__(self, game: ModelGame, size: int, path: Path | None):
        self._game, self._blocks = game, Blocks(size)
        self._known: dict[str, Float[Tensor, "p t"]] = {}
        self._file: RecordFile | None = None
        self.paid = 0
        if path is None:
            return
        self._file = RecordFile(path)
        end = 0
        for record, after in records(path.read_bytes()):
            end = after
            if record is not None and "block" in record:
                values = np.frombuffer(base64.b64decode(record["values"]), "<f8").copy()
                self._known[record["block"]] = torch.from_numpy(values).reshape(-1, record["targets"])
        self._file.resume(end)

    def __call__(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        """The values of coalitions, in their order."""
        values: dict[int, Tensor] = {}
        with self._game.preserved_state():
            for rows in self._blocks.of(coalitions):
                values.update(zip(rows, self._block(coalitions[rows]), strict=True))
        return torch.stack([values[row] for row in range(len(coalitions))])

    def _block(self, coalitions: Bool[Tensor, "p n"]) -> Float[Tensor, "p t"]:
        key = digest(self._game.n, *coalition_keys(coalitions)).hex()
        if key not in self._known:
            values = self._known[key] = evaluate_block(self._game, coalitions).double()
            self.paid += len(coalitions)
            if self._file is not None:
                spelled = base64.b64encode(values.numpy().astype("<f8").tobytes()).decode()
                self._file.add([{"block": key, "values": spelled, "targets": values.shape[1]}])
                self._file.write()
        return self._known[key]

    def close(self) -> None:
        """Let other processes write the file."""
        if self._file is not None:
            self._file.close()
