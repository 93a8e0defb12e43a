"""Evaluations as records, one for each coalition, and back again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.fingerprint import Fingerprint
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.core.serialization import tuples

BLOCK = "block"
"""A record of this name holds those of evaluations that were made together and are only kept together."""


def evaluation_records(game: int, evaluations: Evaluations) -> Iterator[dict[str, Any]]:
    """A record for each evaluation of the game with this index, and before them what its responses have in common.

    Example:
        >>> none = torch.zeros(0, dtype=torch.int64)
        >>> known = Evaluations(torch.tensor([[True, False]]), torch.tensor([[0.5]]).double(), none, none.double(), none)
        >>> list(evaluation_records(0, known))
        [{'of': 0, 'coalition': 'gA==', 'values': 'AAAAAAAA4D8='}]
    """
    responses = evaluations.responses
    if responses is not None:
        common = {"columns": list(responses.columns), "repeats": responses.repeats, "generation": dict(responses.generation)}
        common |= {"inputs_drawn": True} if responses.inputs_drawn else {}
        yield {"of": game, "originals": [_spelled(one) for one in responses.originals], **common}
    coalitions, values = evaluations.coalitions.numpy(), evaluations.values.double().numpy()
    for row, (coalition, of_row) in enumerate(zip(coalitions, values, strict=True)):
        record = {"of": game, "coalition": _coded(np.packbits(coalition).tobytes()), "values": _numbers(of_row)}
        if responses is not None:
            record["answers"] = [_spelled(one) for one in responses.answers[row]]
            if responses.history:
                record["history"] = [_spelled(one) for one in responses.history[row]]
            if (likely := responses.original_log_probabilities) is not None:
                record["likely"] = [_numbers(each) for each in likely[row].double().numpy()]
        elif evaluations.repeats is not None:
            record["repeats"] = [_numbers(each) for each in evaluations.repeats[:, row].double().numpy()]
        yield record


@dataclass
class Gathered:
    """What the records of one game say.

    Args:
        n: number of features.
        t: number of targets.
    """

    n: int
    t: int
    common: dict[str, Any] | None = None
    rows: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    def add(self, record: dict[str, Any]) -> None:
        """Take in a record.

        Raises:
            ValueError: for a coalition or values of another size, values that are not finite, or others than there were before.
        """
        if "originals" in record:
            self.common = record
            return
        coalition, values = base64.b64decode(record["coalition"]), np.frombuffer(base64.b64decode(record["values"]), "<f8")
        if len(coalition) != -(-self.n // 8) or len(values) != self.t:
            raise ValueError(f"{8 * len(coalition)} features and {len(values)} values, not {self.n} and {self.t}")
        if not np.isfinite(values).all():
            raise ValueError("values that are not finite")
        known = self.rows.setdefault(coalition, record)
        if known["values"] != record["values"]:
            raise ValueError("two different values of one coalition")

    def evaluations(self, fingerprint: Fingerprint | None) -> Evaluations:
        """All of them, without their draws."""
        bits = np.frombuffer(b"".join(self.rows), np.uint8).reshape(len(self.rows), -(-self.n // 8))
        values = b"".join(base64.b64decode(row["values"]) for row in self.rows.values())
        return Evaluations(
            torch.from_numpy(np.unpackbits(bits, axis=1, count=self.n).astype(bool)),
            torch.from_numpy(np.frombuffer(values, "<f8").reshape(len(self.rows), self.t).copy()),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(0, dtype=torch.float64),
            torch.zeros(0, dtype=torch.int64),
            responses=self._responses(),
            repeats=_repeats([row.get("repeats") for row in self.rows.values()]),
            fingerprint=fingerprint,
        )

    def _responses(self) -> Responses | None:
        if self.common is None:
            return None
        rows = self.rows.values()
        answers, history = (
            tuple(tuple(_response(one) for one in row.get(name, ())) for row in rows) for name in ("answers", "history")
        )
        return Responses(
            tuple(_response(one) for one in self.common["originals"]),
            tuples(self.common["columns"]),
            answers,
            self.common["repeats"],
            self.common["generation"],
            _likely([row.get("likely") for row in rows]),
            history if any(history) else (),
            self.common.get("inputs_drawn", False),
        )


def _repeats(rows: list[Any]) -> Float64[Tensor, "r p t"] | None:
    """The values under each of the repeats, where every row has them."""
    if not rows or None in rows:
        return None
    numbers = [[np.frombuffer(base64.b64decode(each), "<f8") for each in row] for row in rows]
    return torch.from_numpy(np.array(numbers, dtype=np.float64)).transpose(0, 1).contiguous()


def _likely(rows: list[Any]) -> Float64[Tensor, "p o w"] | None:
    """The log-probabilities of originals, where every row has them."""
    if not rows or None in rows:
        return None
    numbers = [[np.frombuffer(base64.b64decode(each), "<f8") for each in row] for row in rows]
    return torch.from_numpy(np.array(numbers, dtype=np.float64))


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _numbers(values: Float64[np.ndarray, "_"]) -> str:
    return _coded(values.astype("<f8", copy=False).tobytes())


def _spelled(response: Response) -> list[Any]:
    return [response.text, list(response.ids), response.log_probability]


def _response(spelled: list[Any]) -> Response:
    text, ids, log_probability = spelled
    return Response(text, tuple(ids), log_probability)
