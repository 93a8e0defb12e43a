"""A run says all that decides its explanations, each thing once."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from interpreto_mllm import studies
from interpreto_mllm.studies.data import load_samples
from interpreto_mllm.studies.reading import read_config
from interpreto_mllm.studies.spec import DataSpec, ModelSpec, RunSpec


def run(**given: object) -> RunSpec:
    parts = {"name": "one", "model": "shipped:text", "data": "shipped:text", "method": "KernelShap"}
    return RunSpec.model_validate({**parts, **given})


def test_a_text_in_place_of_a_part_is_its_name() -> None:
    assert run().model == ModelSpec(name="shipped:text")


def test_a_run_is_read_back_from_what_it_writes() -> None:
    written = run(method={"name": "Lime", "call": {"budget": 0.5, "occlusion": {"Replace": "<unk>"}}}, metrics=["gini"])
    assert RunSpec.model_validate_json(written.model_dump_json()) == written


def test_the_identity_is_of_what_decides_the_explanations() -> None:
    assert run().identity() == run(name="two", metrics=["gini"]).identity()
    assert (
        run(method={"name": "Lime", "call": {"a": 1, "b": 2}}).identity()
        == run(method={"name": "Lime", "call": {"b": 2, "a": 1}}).identity()
    )
    others = [run(seed=1), run(method="Lime"), run(data={"name": "shipped:text", "select": {"max": 3}})]
    assert len({one.identity() for one in [run(), *others]}) == 4


@pytest.mark.parametrize("name", ["a/b", "a b", "..", "/", "é" * 200, "con: nul"])
def test_every_name_gives_a_folder_of_its_own(name: str) -> None:
    folder = run(name=name).folder_name()
    assert "/" not in folder and folder not in (".", "..", "") and len(folder) <= 110
    assert folder not in (run(name=folder.rsplit("-", 1)[0] or "x").folder_name(), run(name=name + "!").folder_name())


def test_a_plain_name_is_the_name_of_the_folder() -> None:
    assert run(name="method=Lime,budget=64").folder_name() == "method=Lime,budget=64"


def test_differences_name_the_keys() -> None:
    then, now = run(method={"name": "Lime", "call": {"budget": 64}}), run(method={"name": "Lime", "call": {"seed": 1}}, seed=2)
    assert then.differences(now) == [
        "method.call.budget: 64, there not given",
        "seed: 0, there 2",
        "method.call.seed: not given, there 1",
    ]
    assert then.differences(then) == []


@pytest.mark.parametrize(
    "package, use",
    [
        ("pydantic", lambda: runpy.run_path(str(studies.__file__))),
        ("yaml", lambda: read_config(Path(__file__).parents[2] / "mkdocs.yml")),
        ("datasets", lambda: load_samples(DataSpec(name="somebody/something"))),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, package: str, use: Callable[[], Any]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'interpreto_mllm\[study\]'"):
        use()


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        run(model={"name": "shipped:text", "dtpye": "float32"})
