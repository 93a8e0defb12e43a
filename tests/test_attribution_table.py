"""The attributions written down in `attribution_table.json` come out again, and results saved with them are read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from support.table.case import Case, World
from support.table.cases import cases
from support.table.record import fingerprint, record, recorded
from support.table.saved import READ, SAVED, checkpointed

from interpreto_mllm import Attribution

EVERY = {case.name: case for case in cases()}
WRITTEN = json.loads((Path(__file__).parent / "attribution_table.json").read_text(encoding="utf-8"))
NEAR = 1e-4
"""How far from the table, relative to the largest score, where a machine's arithmetic differs from that of the one it is of."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The shipped models, on one thread."""
    torch.set_num_threads(1)
    made = World()
    yield made
    made.close()


@pytest.fixture(scope="module")
def exactly(world: World) -> bool:
    """Whether plain forwards give the same bits here as where the table was written."""
    return fingerprint(world) == WRITTEN["fingerprint"]


def test_every_case_is_in_the_table() -> None:
    assert len(EVERY) == len(cases())
    assert WRITTEN["cases"].keys() == EVERY.keys()
    for name, case in EVERY.items():
        assert (WRITTEN["cases"][name]["sensitive"], WRITTEN["cases"][name]["fault"]) == (case.sensitive, case.fault)


@pytest.mark.parametrize("case", EVERY.values(), ids=EVERY)
def test_attributions_are_those_of_the_table(case: Case, world: World, exactly: bool) -> None:
    if case.sensitive and not exactly:
        pytest.skip(f"this machine's arithmetic is not that of the table, and {case.sensitive}")
    check(record(case, world)["results"], WRITTEN["cases"][case.name]["results"], exactly)


@pytest.mark.parametrize("file", READ)
def test_a_saved_result_is_read_as_it_was(file: str, exactly: bool) -> None:
    name, read = READ[file]
    found, expected = recorded(read(Attribution.load(SAVED / file))), WRITTEN["cases"][name]["results"]
    assert found["result"]["numbers"]["values"] == expected["result"]["numbers"]["values"]
    assert found["result"]["numbers"]["attributions"] == expected["result"]["numbers"]["attributions"]
    check(found, expected, exactly)


@pytest.mark.parametrize("file", ["checkpoint.json", "checkpoint_v2.json"])
def test_a_checkpoint_is_gone_on_from(world: World, exactly: bool, tmp_path: Path, file: str) -> None:
    path = tmp_path / file
    shutil.copy(SAVED / file, path)
    found, expected = recorded(checkpointed(world, path)), WRITTEN["cases"]["text: checkpoint"]["results"]
    for name, result in found.items():
        assert result["counts"]["paid"] == result["counts"]["forwards"] == 0
        result["counts"] = expected[name]["counts"]
        assert result["numbers"]["values"] == expected[name]["numbers"]["values"]
    check(found, expected, exactly)


def test_saved_files_of_today_say_which_game_they_are_of() -> None:
    old, new = (
        json.loads((SAVED / file).read_text(encoding="utf-8"))["evaluations"]
        for file in ("checkpoint.json", "checkpoint_0.1.0.json")
    )
    assert [each["evaluations"] for each in new] == [each["evaluations"] for each in old]
    assert [each["fingerprint"]["targets"].split(" #")[0] for each in new] == ["'red'", "'pink'"]
    for file in READ:
        result = Attribution.load(SAVED / file)
        assert (result.fingerprint is None) == (result.settings is None) == ("0.1.0" not in file)
    assert result.settings is not None and result.settings.options["budget"] == 24


def check(found: Mapping[str, Any], expected: Mapping[str, Any], exactly: bool) -> None:
    """Results and readings are the same: words and counts always, numbers to the last bit or nearly so."""
    assert found.keys() == expected.keys()
    tolerance = 0.0 if exactly else NEAR * largest(expected)
    for name, part in expected.items():
        for kind in ("words", "counts"):
            assert found[name].get(kind) == part.get(kind), f"{kind} of {name!r}"
        assert found[name]["numbers"].keys() == part["numbers"].keys()
        for which, numbers in part["numbers"].items():
            here = found[name]["numbers"][which]
            assert here == numbers if exactly else near(here, numbers, tolerance), f"{which} of {name!r}"


def largest(results: Mapping[str, Any]) -> float:
    """The largest absolute score of a case, or the largest of all its numbers where nothing but readings is written down."""
    each = [part["numbers"] for part in results.values()]
    scores = [numbers["attributions"] for numbers in each if "attributions" in numbers]
    told = scores or [one for numbers in each for one in numbers.values() if one is not None]
    return max(abs(number) for one in told for number in flat(one))


def near(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether two records of numbers are of one shape and differ by no more than that."""
    if expected is None or found is None:
        return expected is found
    if isinstance(expected, str) or isinstance(found, str):
        return isinstance(found, str) and isinstance(expected, str) and close(found, expected, tolerance)
    return len(found) == len(expected) and all(near(a, b, tolerance) for a, b in zip(found, expected, strict=True))


def close(found: str, expected: str, tolerance: float) -> bool:
    """Whether two numbers differ by no more than that; what is not a number equals itself."""
    return found == expected or abs(float.fromhex(found) - float.fromhex(expected)) <= tolerance


def flat(record: Any) -> list[float]:
    """All numbers of nested lists."""
    return [float.fromhex(record)] if isinstance(record, str) else [number for one in record for number in flat(one)]
