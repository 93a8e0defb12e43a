"""Files of evaluations: what is cut off, damaged or forged, what earlier versions wrote, and what long runs cost."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import interpreto_mllm.evaluation.records as record_files
from interpreto_mllm import Attribution
from interpreto_mllm.core.coalitions import coalition_keys
from interpreto_mllm.core.evaluations import Evaluations
from interpreto_mllm.core.files import replace_file
from interpreto_mllm.core.responses import Response, Responses
from interpreto_mllm.evaluation.checkpoint_file import Contents
from interpreto_mllm.evaluation.evaluation_records import evaluation_records
from interpreto_mllm.evaluation.records import RecordFile, line, records

SAVED = Path(__file__).parents[1] / "saved"


def synthetic(p: int, n: int, t: int, seed: int = 0, responses: Responses | None = None) -> Evaluations:
    """Evaluations of random coalitions."""
    source = torch.Generator().manual_seed(seed)
    coalitions = (torch.rand(p, n, generator=source) < 0.5).unique(dim=0)
    nothing = torch.zeros(0, dtype=torch.int64)
    values = torch.randn(len(coalitions), t, generator=source, dtype=torch.float64)
    return Evaluations(coalitions, values, nothing, nothing.double(), nothing, responses, fingerprint={"text": "'a'"})


def contents(*evaluations: Evaluations) -> bytes:
    return b"".join(map(line, Contents(list(evaluations), [None] * len(evaluations), None).written()))


def read(path: Path, data: bytes) -> Contents | None:
    path.write_bytes(data)
    return Contents.read(path)


def test_evaluations_and_answers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    p = 5
    answers = tuple((Response(f"né {row}", (row, 2), -0.1 * row), Response("\ud83d")) for row in range(p))
    history = tuple((Response(f"before {row}"),) for row in range(p))
    likely = torch.randn(p, 2, 1, dtype=torch.float64)
    said = Responses((Response("yes"), Response("no")), (0, (0, 1)), answers, 2, {"max_new_tokens": 3}, likely, history)
    first, second = synthetic(40, 19, 3), synthetic(5, 17, 2, responses=said)
    assert len(second.coalitions) == p
    found = read(tmp_path / "run.json", contents(first, second))
    assert found is not None
    for one, other in zip(found.evaluations, (first, second), strict=True):
        assert one.coalitions.equal(other.coalitions) and one.values.equal(other.values)
        assert one.fingerprint == other.fingerprint
    back = found.evaluations[1].responses
    assert back is not None and back.original_log_probabilities is not None and back.original_log_probabilities.equal(likely)
    assert (back.answers, back.history, back.columns, back.generation) == (answers, history, said.columns, said.generation)


def test_a_line_is_the_json_of_its_record_whatever_its_values_are() -> None:
    for record in ({"of": 0, "values": "AAA="}, {"values": ""}, {"values": "AA==", "answers": ["\ud83d"]}, {"of": 1}):
        data = line(record)
        assert json.loads(data[9:]) == record and list(records(data)) == [(record, len(data))]


def test_what_a_killed_writer_cut_off_is_left_out_wherever_the_cut_is(tmp_path: Path) -> None:
    path, known = tmp_path / "run.json", synthetic(4, 9, 1)
    data = contents(known)
    ends = [end for _, end in records(data)]
    for cut in range(len(data)):
        found = read(path, data[:cut])
        whole = sum(end <= cut for end in ends)
        assert (found is None) == (whole == 0)
        if found is not None:
            assert found.size == ends[whole - 1]
            assert found.evaluations[0].values.equal(known.values[: whole - 1])


def test_a_damaged_record_costs_its_own_evaluation_alone(tmp_path: Path) -> None:
    path, known = tmp_path / "run.json", synthetic(6, 9, 1)
    data = contents(known)
    place = data.index(b'"coalition"') + 14
    damaged = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    with pytest.warns(RuntimeWarning, match=r"1 damaged records of the checkpoint .*run.json are left out"):
        found = read(path, damaged)
    assert found is not None and found.evaluations[0].values.equal(known.values[1:])
    assert read(path, data + b"\0" * 64).size == len(data)  # type: ignore[union-attr]


def _forged(data: bytes) -> Iterator[tuple[str, bytes]]:
    first, *rest = [record for record, _ in records(data) if record is not None]
    row = rest[0]
    yield "16 features and 2 values, not 9 and 1", data + line({**row, "values": row["values"][:10] + row["values"] + "A="})
    yield "24 features", data + line({**row, "coalition": "AAAA"})
    yield "not finite", data + line({**row, "values": "AAAAAAAA+H8="})
    yield "two different values of one coalition", data + line({**row, "values": "AAAAAAAA4D8="})
    yield "", data + line({**row, "of": 7})
    yield "", data + line({"of": 0, "coalition": 3})
    yield "not whole", line({**first, "games": 3}) + data
    yield "upgrade interpreto_mllm", line({**first, "version": 99}) + data
    yield "", b'{"format": ' + b"[" * 100_000
    yield "", b"the user's notes\n"
    yield "", b"00000000 the user's notes"


def test_forged_checkpoints_are_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for told, data in _forged(contents(synthetic(4, 9, 1))):
        with pytest.raises(ValueError, match=r"run\.json is not a checkpoint of this library, or was damaged \(.*\): give"):
            read(path, data)
        assert path.read_bytes() == data, told


def _changed(content: Any, *names: Any, to: Any) -> None:
    for name in names[:-1]:
        content = content[name]
    content[names[-1]] = to


FORGERIES: list[tuple[tuple[Any, ...], Any]] = [
    (("evaluations", "values", "shape"), [7, 1]),
    (("evaluations", "values", "data", 3), "nan"),
    (("evaluations", "values", "data", 3), "inf"),
    (("evaluations", "draws", "data", 0), 10**6),
    (("evaluations", "draws", "data", 0), 10**30),
    (("evaluations", "coalitions", "data", 3), "1" * 10),
    (("evaluations", "coalitions", "data", 0), "1000000000"),
    (("evaluations", "weights", "shape"), [1]),
    (("attributions", "shape"), [10, 1]),
    (("features", 0, "text"), 5),
    (("targets",), [None]),
    (("targets",), ["a", "b", "c"]),
    (("design",), "none such"),
]


@pytest.mark.parametrize("names, to", FORGERIES, ids=str)
def test_forged_results_are_refused_and_named(tmp_path: Path, names: tuple[Any, ...], to: Any) -> None:
    path, content = tmp_path / "result.json", json.loads((SAVED / "text_0.1.0.json").read_text(encoding="utf-8"))
    _changed(content, *names, to=to)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=r"result\.json is a damaged attribution file"):
        Attribution.load(path)


def test_a_result_of_endless_brackets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("[" * 200_000, encoding="utf-8")
    with pytest.raises(ValueError, match=r"result\.json is not JSON"):
        Attribution.load(path)


def test_a_file_is_replaced_as_a_whole_and_what_dead_writers_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    replace_file(path, b"a" * 100_000)
    done, seen = threading.Event(), set[bytes]()

    def look() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for letter in (b"b", b"a") * 10:
        replace_file(path, letter * 100_000)
    done.set()
    reader.join()
    assert {(data[:1], len(data)) for data in seen} <= {(b"a", 100_000), (b"b", 100_000)}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = re.sub(r"[^\w-]", "-", os.uname().nodename)
    left, others = (tmp_path / f".result.json.{host}-{pid}-0123abcd.part" for pid in (dead.pid, os.getppid()))
    left.touch()
    others.touch()
    replace_file(path, b"c")
    assert {file.name for file in tmp_path.iterdir()} == {path.name, others.name}


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    replace_file(path, b"old")

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("interpreto_mllm.core.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_links_and_pipes_stay_what_they_are_and_long_names_are_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path, link, pipe = tmp_path / "there" / ("x" * 250), tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    os.mkfifo(pipe)
    for place in (path, link):
        replace_file(place, str(place).encode())
        assert path.read_text() == str(place)
    assert link.is_symlink() and list(path.parent.iterdir()) == [path]
    read = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    replace_file(pipe, b"page")
    assert os.read(read, 10) == b"page" and pipe.is_fifo()
    os.close(read)


def test_pages_and_plots_are_written_as_a_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    result = Attribution.load(SAVED / "text.json")
    writers = {"a.html": result.to_html, "a.tex": result.to_latex, "a.svg": result.plot}
    for name, write in writers.items():
        write(tmp_path / name)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert before.keys() == writers.keys()
    monkeypatch.setattr("interpreto_mllm.core.files.os.fsync", full)
    for name, write in writers.items():
        with pytest.raises(OSError, match="No space"):
            write(tmp_path / name)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_checkpoint_of_an_earlier_version_becomes_one_of_today(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    for name in ("checkpoint.json", "checkpoint_0.1.0.json"):
        shutil.copy(SAVED / name, path)
        old = Contents.read(path)
        assert old is not None and old.size is None
        file = RecordFile(path)
        file.replace(old.written())
        file.close()
        new = Contents.read(path)
        assert new is not None and new.size == path.stat().st_size and new.older == old.older
        for one, other in zip(new.evaluations, old.evaluations, strict=True):
            assert one.values.equal(other.values) and one.fingerprint == other.fingerprint
            assert coalition_keys(one.coalitions) == coalition_keys(other.coalitions)


def test_nothing_is_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, write, written = tmp_path / "run.json", os.write, []
    monkeypatch.setattr(record_files.os, "write", lambda at, data: written.append(len(data)) or write(at, data))
    file = RecordFile(path)
    file.resume(0)
    for seed in range(20):
        file.add(evaluation_records(0, synthetic(8, 40, 50, seed)))
        file.write()
    file.close()
    assert sum(written) == path.stat().st_size < 20 * 8 * (50 * 8 * 4 / 3 + 100) + 100


@pytest.mark.thorough
@pytest.mark.usefixtures("unchecked")
def test_long_runs_cost_little(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """10^5 evaluations of 500 targets, in batches of 32; a run that takes half a millisecond for each takes 50 s."""
    path, batches = tmp_path / "run.json", [synthetic(32, 64, 500, seed) for seed in range(8)]
    file, started = RecordFile(path), time.process_time()
    file.resume(0)
    for batch in range(100_000 // 32):
        file.add(evaluation_records(0, batches[batch % 8]))
        file.write()
    file.close()
    seconds, size = time.process_time() - started, path.stat().st_size
    assert size < 100_000 * 5_600
    with capsys.disabled():
        print(f"\n10^5 evaluations of 500 targets: {seconds:.1f} s of the processor, {size / 1e6:.0f} MB")


@pytest.mark.thorough
def test_a_second_process_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    file = RecordFile(path)
    file.resume(0)
    script = """import sys, pathlib, interpreto_mllm.evaluation.records as r; r.RecordFile(pathlib.Path(sys.argv[1]))"""
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=300)
    assert f"run.json is in use by process {os.getpid()} of" in done.stderr
    file.close()
