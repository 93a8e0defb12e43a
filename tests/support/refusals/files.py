"""Checkpoints and results that are refused."""

from __future__ import annotations

import base64
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import zoo
from support.refusals.row import SKY, Row, bpe, llama

from interpreto_mllm import Attribution, InferenceModes, KernelShap
from interpreto_mllm.evaluation.checkpoint_file import header
from interpreto_mllm.evaluation.records import RecordFile, line

SAVED = Path(__file__).parents[2] / "saved"
RESULT = json.loads((SAVED / "text_0.1.0.json").read_text(encoding="utf-8"))


def explainer(**options: Any) -> KernelShap:
    return KernelShap(options.pop("model", llama()), bpe(), progress=False, budget=8, **options)


def run(path: Path | str, text: Any = SKY, target: Any = " x", evaluations: Any = None, **options: Any) -> Any:
    return explainer(**options)(text, target, checkpoint=path, evaluations=evaluations)


def packed(value: float) -> str:
    """The value of each of the two tokens."""
    return base64.b64encode(struct.pack("<2d", value, value)).decode()


def within_folder(call: Callable[[Path], Any]) -> Callable[[], Any]:
    """With a file that is not there yet, in a folder of its own."""

    def made() -> Any:
        with tempfile.TemporaryDirectory() as folder:
            return call(Path(folder) / "run.json")

    return made


def begun(call: Callable[[Path], Any], more: Callable[[dict[str, Any]], bytes] | None = None) -> Callable[[], Any]:
    """With the checkpoint of a call about the sky, and the record that this makes of a sound one."""

    def written(path: Path) -> Any:
        game = explainer().game(SKY, " x")
        path.write_bytes(line(header([game])))
        if more is not None:
            row = {"of": 0, "coalition": "8A==", "values": packed(1.0)}
            path.write_bytes(path.read_bytes() + line(row) + more(row))
        return call(path)

    return within_folder(written)


def holding(content: bytes, call: Callable[[Path], Any] = run) -> Callable[[], Any]:
    """With a file of this content."""

    def written(path: Path) -> Any:
        path.write_bytes(content)
        return call(path)

    return within_folder(written)


def result(*names: Any, to: Any) -> Callable[[], Any]:
    """Load a result with something else in this place."""
    content = json.loads(json.dumps(RESULT))
    place = content
    for name in names[:-1]:
        place = place[name]
    place[names[-1]] = to
    return holding(json.dumps(content).encode(), Attribution.load)


def locked(path: Path) -> Any:
    file = RecordFile(path)
    file.resume(0)
    try:
        return run(path)
    finally:
        file.close()


FILES = [
    Row("a folder that is not there", lambda: run("nowhere/run.json"), "There is no folder nowhere for the checkpoint"),
    Row("a folder as a checkpoint", within_folder(lambda path: run(path.parent)), "is not a file: give the path of a file"),
    Row("a number as a checkpoint", lambda: run(5), "must be the path of a file; got 5", TypeError),  # type: ignore[arg-type]
    Row("a checkpoint whose name no file can have", lambda: run("run\0.json"), "'run\\x00.json' cannot be written"),
    Row("a checkpoint that cannot be written", lambda: run("/proc/run.json"), "cannot be written"),
    Row("a checkpoint that another process is writing", within_folder(locked), "is in use by process"),
    Row("a checkpoint and `evaluations`", within_folder(lambda path: run(path, evaluations=[None])), "not both"),
    Row(
        "a checkpoint of another text",
        begun(lambda path: run(path, "the sea is blue")),
        "is of another call (input 0: text: 'the sky is blue",
    ),
    Row(
        "a checkpoint of another target",
        begun(lambda path: run(path, target=" y")),
        "is of another call (input 0: targets: ",
    ),
    Row(
        "a checkpoint of another value function",
        begun(lambda path: run(path, inference_mode=InferenceModes.LOGITS)),
        "is of another call (input 0: value function: log_softmax there, logits here",
    ),
    Row(
        "a checkpoint of other features", begun(lambda path: run(path, pinned=["the"])), "is of another call (input 0: features"
    ),
    Row(
        "a checkpoint of other weights",
        begun(lambda path: run(path, model=zoo.build("llama", seed=1))),
        "the model's weights",
    ),
    Row(
        "a checkpoint of another number of prompts",
        begun(lambda path: run(path, [SKY, SKY], [" x"] * 2)),
        "1 inputs there, 2 here",
    ),
    Row(
        "a file of something else as a checkpoint",
        holding(b"my notes\n"),
        "is not a checkpoint of this library, or was damaged",
    ),
    Row("JSON of something else as a checkpoint", holding(b"{}"), "is not a checkpoint of this library, or was damaged"),
    Row("endless brackets as a checkpoint", holding(b'{"format": ' + b"[" * 100_000), "is not a checkpoint of this library"),
    Row(
        "a checkpoint with values that are not finite",
        begun(run, lambda row: line({**row, "coalition": "YA==", "values": packed(float("nan"))})),
        "not finite",
    ),
    Row(
        "a checkpoint with two values of one coalition",
        begun(run, lambda row: line({**row, "values": packed(0.5)})),
        "two different values of one coalition",
    ),
    Row(
        "a checkpoint with a coalition of another size",
        begun(run, lambda row: line({**row, "coalition": "AAAA"})),
        "24 features",
    ),
    Row(
        "a missing result",
        lambda: Attribution.load("none.json"),
        "There is no attribution file at none.json",
        FileNotFoundError,
    ),
    Row("a result that is no JSON", holding(b"hello", Attribution.load), "is not JSON"),
    Row("another JSON as a result", holding(b"[1]", Attribution.load), "give a file written by Attribution.save"),
    Row("a result of a later version", result("version", to=99), "upgrade interpreto_mllm"),
    Row(
        "a result with values of another shape",
        result("evaluations", "values", "shape", to=[7, 1]),
        "is a damaged attribution file",
    ),
    Row(
        "a result with values that are not finite",
        result("evaluations", "values", "data", 3, to="nan"),
        "is a damaged attribution file",
    ),
    Row("a result with a text that is none", result("features", 0, "text", to=5), "is a damaged attribution file"),
    Row("a result with too many targets", result("targets", to=["a", "b", "c"]), "is a damaged attribution file"),
]
