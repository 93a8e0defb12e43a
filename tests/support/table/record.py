"""What is written down of a result: numbers to the last bit, counts and words, and JSON of all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from support.table.case import FACT, Case, Part, World

from interpreto_mllm import Attribution

ROWS = 6
"""How many of the evaluated values are written down."""


def record(case: Case, world: World) -> dict[str, Any]:
    """All numbers and words of a case, ready for JSON."""
    return {
        "sensitive": case.sensitive,
        "fault": case.fault,
        "results": recorded(case.compute(world)),
    }


def recorded(parts: Mapping[str, Part]) -> dict[str, Any]:
    """Results and readings, ready for JSON."""
    return {name: _result(part) if isinstance(part, Attribution) else _reading(part) for name, part in parts.items()}


def _result(result: Attribution) -> dict[str, Any]:
    errors = result.standard_errors
    counts = result.counts
    return {
        "numbers": {
            "attributions": exact(result.attributions),
            "standard_errors": None if errors is None else exact(errors),
            "empty": exact(result.empty),
            "full": exact(result.full),
            "values": exact(result.values[:ROWS]),
        },
        "counts": {
            "evaluations": counts.evaluations,
            "paid": counts.paid,
            "forwards": counts.forwards,
            "tokens": counts.tokens,
            "saved": counts.saved,
            "answers_reused": counts.answers_reused,
            "answers_asked": counts.answers_asked,
            **({"points": counts.points, "backwards": counts.backwards} if counts.points else {}),
        },
        "words": {
            "features": [feature.text for feature in result.features],
            "targets": list(result.targets),
            "estimand": result.estimand,
            "method": result.method,
            "mode": result.mode,
            "unit": result.unit,
            "coalitions": hashlib.sha256(result.coalitions.numpy().tobytes()).hexdigest()[:16],
            "answers": [] if result.responses is None else list(result.responses.texts[:ROWS]),
        },
    }


def _reading(reading: Mapping[str, Any]) -> dict[str, Any]:
    return {"numbers": {name: None if value is None else exact(value) for name, value in reading.items()}}


def exact(numbers: Any) -> Any:
    """Nested lists of numbers as hexadecimal texts, from which each comes back as it was.

    Example:
        >>> exact([0.5, [1.0]])
        ['0x1.0000000000000p-1', ['0x1.0000000000000p+0']]
    """
    numbers = numbers.tolist() if isinstance(numbers, (torch.Tensor, np.ndarray)) else numbers
    return [exact(one) for one in numbers] if isinstance(numbers, (list, tuple)) else float(numbers).hex()


def fingerprint(world: World) -> dict[str, Any]:
    """Some numbers of one plain forward of each model and one decomposition: those of the machine's arithmetic."""
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(24, 24, generator=generator, dtype=torch.float64)
    scene, clip = world.scene, world.clip
    inputs = {
        "recall": world.recall[1](FACT, return_tensors="pt"),
        "sight": world.sight[1](text=scene.text, images=scene.image, return_tensors="pt"),
        "hearing": world.hearing[1](text=clip.text, audio=clip.audio, sampling_rate=16_000, return_tensors="pt"),
    }
    models = {"recall": world.recall[0], "sight": world.sight[0], "hearing": world.hearing[0]}
    with torch.no_grad():
        logits = {name: exact(models[name](**given).logits[0, -1, :8]) for name, given in inputs.items()}
    return {**logits, "decomposition": exact(torch.linalg.eigh(matrix @ matrix.T).eigenvalues[:8])}


def table(world: World, chosen: Iterable[Case]) -> dict[str, Any]:
    """The fingerprint of this machine and the records of these cases."""
    return {"fingerprint": fingerprint(world), "cases": {case.name: record(case, world) for case in chosen}}


def written(content: Mapping[str, Any]) -> str:
    """The table as JSON, a line for every case."""
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in sorted(content["cases"].items())]
    return f'{{"fingerprint": {json.dumps(content["fingerprint"])},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n"
