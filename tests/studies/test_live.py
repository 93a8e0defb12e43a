"""The progress of a study: a table in a terminal, lines elsewhere."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console
from support.study_tasks import explained

from interpreto_mllm.studies import live
from interpreto_mllm.studies.live import Live, Plain, watcher
from interpreto_mllm.studies.logs import log_level, set_log_level
from interpreto_mllm.studies.outcomes import Failure, failed


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, in a list of one."""
    seconds = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: seconds[0])
    return seconds


def told(shown, clock):
    """A run of ten samples of which four are done before, and another that waits."""
    shown.begin(["KernelShap", "Lime"])
    shown.started("KernelShap", 10, 4)
    for number in range(2):
        clock[0] += 2.0
        outcome = explained(str(number))
        outcome.costs.update(evaluations=20, paid=15)  # type: ignore[attr-defined]
        shown.received("KernelShap", outcome)
    shown.received("KernelShap", failed("x", Failure("ValueError", "no")))


def test_the_table_says_how_far_each_run_is_how_fast_what_was_reused_and_how_long_it_takes(clock):
    shown = Live()
    told(shown, clock)
    console = Console(file=io.StringIO(), width=120)
    console.print(shown.table())
    text = console.file.getvalue()  # type: ignore[attr-defined]
    [row] = [line for line in text.splitlines() if "KernelShap" in line]
    # 30 evaluations paid of 40 in 4 s; three samples in 4 s, three are left
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["KernelShap", "runs", "6/10", "1", "8", "25%", "4 s"]
    [waits] = [line for line in text.splitlines() if "Lime" in line]
    assert "waits" in waits and "0 of 2 runs, 6 samples done" in text


def test_of_many_runs_those_under_way_are_shown(clock):
    shown = Live()
    names = [f"run {number:02}" for number in range(40)]
    shown.begin(names)
    shown.started("run 39", 5, 0)
    table = shown.table()
    assert table.row_count == 20 and "20 runs are not shown" in str(table.caption)
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    assert "run 39" in console.file.getvalue()  # type: ignore[attr-defined]


def test_without_a_terminal_lines_are_written_now_and_then(clock):
    stream = io.TextIOWrapper(io.BytesIO(), write_through=True)
    shown = Plain(stream=stream)
    told(shown, clock)
    clock[0] += 20.0
    shown.received("KernelShap", explained("y"))
    shown.finished("KernelShap", Failure("OSError", "the cluster is away"))
    lines = stream.buffer.getvalue().decode().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "KernelShap: state runs, samples 4/10"
    assert len(lines) == 3 and "samples 7/10, failed 1" in lines[1] and lines[2].endswith("(the cluster is away)")


def test_the_table_is_for_terminals_alone(monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    for stream, kind in ((Terminal(io.BytesIO()), Live), (io.TextIOWrapper(io.BytesIO()), Plain)):
        with watcher(True, stream) as shown:
            assert isinstance(shown, kind)
    with watcher(False, Terminal(io.BytesIO())) as shown:
        assert type(shown) is live.Watcher


def test_the_log_level_is_that_of_the_flag_or_the_environment(monkeypatch):
    logger = logging.getLogger("interpreto_mllm")
    before = logger.level, list(logger.handlers)
    try:
        monkeypatch.delenv("INTERPRETO_MLLM_LOG", raising=False)
        assert log_level() == "WARNING"
        monkeypatch.setenv("INTERPRETO_MLLM_LOG", "info")
        assert log_level() == "INFO" and log_level("debug") == "DEBUG"
        set_log_level("debug")
        assert logger.level == logging.DEBUG
        set_log_level()
        assert logger.level == logging.DEBUG  # workers, too: it is in the environment
        assert len(logger.handlers) == len(before[1]) + 1
        with pytest.raises(ValueError, match="log level 'loud': it is one of debug, info, warning, error"):
            set_log_level("loud")
    finally:
        logger.setLevel(before[0])
        logger.handlers[:] = before[1]
