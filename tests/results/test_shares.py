"""Shares of the modalities in a result."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from support.results import run, several

from interpreto_mllm.attribution import Attribution


def test_shares_are_parts_of_the_absolute_mass():
    result = several(budget=40)
    mass = result.attributions.abs().sum(0)
    shares = result.modality_shares()
    assert list(shares) == ["text", "image", "audio"] and sum(shares.values()) == pytest.approx(1)
    assert shares["image"] == pytest.approx(float(mass[2:5].sum() / mass.sum()))
    one = result.modality_shares(target=1)
    assert one["text"] == pytest.approx(float(result.attributions[1].abs()[:2].sum() / result.attributions[1].abs().sum()))
    assert repr(shares).startswith("{text: 0.") and " ± " in repr(shares)
    assert shares == dict(shares)


def test_errors_of_shares_are_those_of_noisy_scores():
    scores = torch.tensor([[2.0, -1.0, 3.0, 1.5, -2.5, 1.0]], dtype=torch.float64)
    errors = torch.tensor([[0.1, 0.05, 0.2, 0.1, 0.15, 0.1]], dtype=torch.float64)
    result = replace(several(), attributions=scores, standard_errors=errors, targets=["t"])
    shares = result.modality_shares()
    noise = torch.randn(20000, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = (scores + errors * noise).abs()
    for modality, columns in (("text", slice(0, 2)), ("image", slice(2, 5)), ("audio", slice(5, 6))):
        seen = (drawn[:, columns].sum(1) / drawn.sum(1)).std()
        assert shares.standard_errors[modality] == pytest.approx(float(seen), rel=0.05)


def test_shares_without_errors_or_mass():
    assert replace(several(), standard_errors=None).modality_shares().standard_errors is None
    assert "±" not in repr(replace(several(), standard_errors=None).modality_shares())
    with pytest.raises(ValueError, match="zero"):
        run(lambda s: s[:, 0] * 0.0).modality_shares()
    with pytest.raises(ValueError, match="no target 2"):
        several().modality_shares(target=2)


def test_readings_survive_a_file(tmp_path):
    result = several(budget=40)
    result.save(tmp_path / "result.json")
    loaded = Attribution.load(tmp_path / "result.json")
    assert loaded.interactions().values.equal(result.interactions().values)
    assert dict(loaded.modality_shares()) == pytest.approx(dict(result.modality_shares()))
