"""Tensors, evaluations and the responses behind them as JSON that gives back exactly the same numbers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from interpreto_mllm.core.coalitions import coalition_keys, whole_chains
from interpreto_mllm.core.design import Design
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.points import COLUMNS, Gradients, Points
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.core.token_rows import TokenRows

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.bool, torch.int32, torch.int64, torch.float64, torch.float32, torch.float16, torch.bfloat16)
}
OTHERS = ("responses", "fingerprint", "design", "gradients", "tokens")
TENSORS = [name for name in Evaluations.__dataclass_fields__ if name not in OTHERS]


def pack_evaluations(evaluations: Evaluations) -> dict[str, Any]:
    """Evaluations, the answers behind them and the fingerprint of their game, as JSON."""
    return {
        "evaluations": {name: pack(getattr(evaluations, name)) for name in TENSORS},
        "design": evaluations.design.value,
        "responses": _written(evaluations.responses),
        "fingerprint": None if evaluations.fingerprint is None else dict(evaluations.fingerprint),
        **({} if evaluations.gradients is None else {"gradients": _written_gradients(evaluations.gradients)}),
        **({} if evaluations.tokens is None else {"tokens": _written_tokens(evaluations.tokens)}),
    }


def unpack_evaluations(content: dict[str, Any]) -> Evaluations:
    """What `pack_evaluations` wrote.

    Raises:
        ValueError: for evaluations that cannot be: of other shapes, not finite, or of one coalition twice.
    """
    tensors: dict[str, Any] = {name: unpack(one) for name, one in content["evaluations"].items() if one is not None}
    responses, fingerprint = _read_out(content.get("responses")), content.get("fingerprint")
    gradients = _read_gradients(content["gradients"]) if "gradients" in content else None
    tokens = _read_tokens(content["tokens"]) if "tokens" in content else None
    found = Evaluations(**tensors, responses=responses, fingerprint=fingerprint, gradients=gradients, tokens=tokens)
    _check(found)
    design = Design(content["design"]) if "design" in content else design_of_old(found)
    return replace(found, design=design)


def _check(found: Evaluations) -> None:
    """Raise a ValueError for evaluations that cannot be."""
    p, m = len(found.coalitions), len(found.draws)
    shapes = {
        "coalitions": (p, found.coalitions.shape[-1]),
        "values": (p, found.values.shape[-1]),
        **dict.fromkeys(("draws", "weights", "chains", "log_weights"), (m,)),
        "repeats": None if found.repeats is None else (len(found.repeats), *found.values.shape),
    }
    for name, shape in shapes.items():
        tensor = getattr(found, name)
        if tensor is not None and tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, not {shape}")
    if found.coalitions.dtype != torch.bool or not found.values.is_floating_point():
        raise ValueError("coalitions are no booleans, or values no numbers")
    if not found.values.isfinite().all():
        raise ValueError("some values are not finite")
    if len(set(coalition_keys(found.coalitions))) != p:
        raise ValueError("some coalition is there twice")
    if m and not (int(found.draws.min()) >= 0 and int(found.draws.max()) < p):
        raise ValueError(f"a draw is not one of {p} coalitions")
    if found.responses is not None and len(found.responses) != p:
        raise ValueError(f"there are answers to {len(found.responses)} of {p} coalitions")


def design_of_old(evaluations: Evaluations) -> Design:
    """The design of evaluations from before it was written down, as far as their weights and chains show it.

    Weights and pairs of chains of two are a sample, unless the first pair is (∅, N), with which a Gaussian process begins.
    """
    draws, chains, n = evaluations.draws, evaluations.chains, evaluations.n
    weighted = bool((evaluations.weights != 1).any())
    if bool((chains < 0).all()):
        return Design.SAMPLE if weighted else Design.UNKNOWN
    coalitions = evaluations.coalitions[draws]
    if len(draws) % 2 == 0 and bool((coalitions[0::2] == ~coalitions[1::2]).all()):
        if draws[:2].tolist() == [0, 1]:
            return Design.CHOSEN
        return Design.SAMPLE if weighted else Design.PAIRS
    if len(whole_chains(draws, chains, n + 1)) * (n + 1) == len(draws) and bool((draws[:: n + 1] == 0).all()):
        return Design.ORDERS
    return Design.BLOCKS if len(whole_chains(draws, chains, n + 2)) * (n + 2) == len(draws) else Design.HIERARCHY


def tuples(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples again."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def _written(responses: Responses | None) -> dict[str, Any] | None:
    """Every distinct answer once, and which of them each coalition got."""
    if responses is None:
        return None
    numbers: dict[Response, int] = {}
    answers, history = (
        [[numbers.setdefault(answer, len(numbers)) for answer in answers] for answers in each]
        for each in (responses.answers, responses.history)
    )
    return {
        "distinct": [_packed_response(answer) for answer in numbers],
        "said": answers,
        "history": history,
        "originals": [_packed_response(answer) for answer in responses.originals],
        "columns": list(responses.columns),
        "repeats": responses.repeats,
        "inputs_drawn": responses.inputs_drawn,
        "generation": dict(responses.generation),
        "original_log_probabilities": pack(responses.original_log_probabilities),
    }


def _packed_response(response: Response) -> list[Any]:
    """An answer, with its thoughts where it has some."""
    thoughts = [] if response.thoughts is None else [response.thoughts]
    return [response.text, list(response.ids), response.log_probability, *thoughts]


def _read_out(written: dict[str, Any] | None) -> Responses | None:
    if written is None:
        return None
    distinct, originals = (
        [Response(text, tuple(ids), *rest) for text, ids, *rest in written[name]] for name in ("distinct", "originals")
    )
    answers, history = (
        tuple(tuple(distinct[number] for number in numbers) for numbers in each)
        for each in (written["said"], written.get("history", ()))
    )
    return Responses(
        tuple(originals),
        tuples(written["columns"]),
        answers,
        written["repeats"],
        written["generation"],
        unpack(packed) if (packed := written.get("original_log_probabilities")) is not None else None,
        history,
        written.get("inputs_drawn", False),
    )


def _written_gradients(gradients: Gradients) -> dict[str, Any]:
    """Points, values and slopes; the sums over the numbers of the input are left out."""
    return {
        "points": {name: pack(getattr(gradients.points, name)) for name in COLUMNS},
        **{name: pack(getattr(gradients, name)) for name in ("values", "slopes", "rest")},
    }


def _read_gradients(written: dict[str, Any]) -> Gradients:
    points = Points(**{name: unpack(one) for name, one in written["points"].items() if one is not None})
    values, slopes, rest = (unpack(written[name]) for name in ("values", "slopes", "rest"))
    return Gradients(points, values, slopes, rest)


def _written_tokens(tokens: TokenRows) -> dict[str, Any]:
    return {
        "values": pack(tokens.values),
        "repeats": pack(tokens.repeats),
        "labels": list(tokens.labels),
        "unit": tokens.unit,
    }


def _read_tokens(written: dict[str, Any]) -> TokenRows:
    values, repeats = (None if written[name] is None else unpack(written[name]) for name in ("values", "repeats"))
    if values is None or values.shape[1] != len(written["labels"]) or not values.isfinite().all():
        raise ValueError("the rows of tokens are not those of their labels")
    return TokenRows(values, repeats, tuple(written["labels"]), written["unit"])


def pack(tensor: Shaped[Tensor, "..."] | None) -> dict[str, Any] | None:
    if tensor is None:
        return None
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bool:
        data: list[Any] = ["".join("01"[bit] for bit in row) for row in tensor.tolist()]
    else:
        data = [_spelled(number) for number in (tensor.double() if tensor.is_floating_point() else tensor).flatten().tolist()]
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape), "data": data}


def _spelled(number: int | float) -> int | float | str:
    return number if math.isfinite(number) else str(number)


def unpack(packed: dict[str, Any]) -> Tensor:
    dtype = DTYPES[packed["dtype"]]
    if dtype == torch.bool:
        data: list[Any] = [bit == "1" for row in packed["data"] for bit in row]
    else:
        data = [float(number) if isinstance(number, str) else number for number in packed["data"]]
    return torch.tensor(data, dtype=torch.float64 if dtype.is_floating_point else dtype).to(dtype).reshape(packed["shape"])
