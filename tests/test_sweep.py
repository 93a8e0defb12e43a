"""The sweep over families stays alive: three of them, one of each kind, and a number that is wrong on purpose."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import sweep_checks
from sweep_configs import Family
from sweep_models import families
from sweep_reference import Plain
from sweep_subject import Subject

CHOSEN = [
    Family("causal", "llama", "LlamaForCausalLM"),
    Family("seq2seq", "t5", "T5ForConditionalGeneration"),
    Family("classifier", "bert", "BertForSequenceClassification"),
]


@pytest.mark.parametrize("family", CHOSEN, ids=lambda family: family.key)
def test_right_families_are_found_right(family: Family) -> None:
    assert family in set(families())
    subject = Subject.of(family, "float32")
    assert subject.span >= 1.0, "coalitions must differ, or nothing is tested"
    checks = sweep_checks.chosen(family, "float32")
    assert [check.name for check in checks][:2] == ["exact", "together"]
    for check in (checks[0], checks[3], checks[-1]):
        report = sweep_checks.run(subject, check)
        assert report["status"] in ("exact", "noise"), (check.name, report)
        assert report["rows"] >= 16


def test_a_wrong_number_is_found_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Subject.of(CHOSEN[0], "float32")
    subject.plain = Plain(subject.model, "causal", subject.tokenizer)
    right = subject.plain.fresh
    monkeypatch.setattr(subject.plain, "fresh", lambda row, *asked: right(row, *asked) + 0.01 * (len(row.ids) % 2))
    report = sweep_checks.run(subject, sweep_checks.CHECKS[0])
    assert report["status"] == "WRONG"
    assert 0 < report["wrong rows"] < report["rows"]
    assert report["error"] == pytest.approx(0.01, rel=0.01)
    assert report["cause"] == "one plain row at a time"


def test_every_family_of_the_auto_mappings_is_listed_once() -> None:
    keys = [family.key for family in families()]
    assert len(keys) == len(set(keys)) > 300
    assert {"causal/GPT2LMHeadModel", "causal/Phi3ForCausalLM (longrope)", "classifier/FNetForSequenceClassification"} <= set(
        keys
    )
