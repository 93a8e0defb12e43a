"""How the command line starts, what its help says, and how errors are told."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import typer
from typer.testing import CliRunner

from interpreto_mllm.cli import entry, problems
from interpreto_mllm.cli.app import app
from interpreto_mllm.cli.problems import FAILED, INTERRUPTED, UNUSABLE, Problem, told

COMMANDS = ("explain", "validate", "plan", "run", "report", "suite", "schema", "list")
cli = CliRunner()


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    script = (
        "import sys; from interpreto_mllm.cli.entry import main; sys.argv = ['interpreto-mllm', '--help']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "print([name for name in ('torch', 'numpy', 'transformers', 'pydantic', 'yaml') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.rstrip().endswith("[]")
    assert all(command in said for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command: str) -> None:
    said = cli.invoke(app, [command, "--help"])
    assert said.exit_code == 0 and "Example" in said.output and f"interpreto-mllm {command}" in said.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Problem("Give a prompt."), UNUSABLE, "Error: Give a prompt."),
        (ValueError("budget must be at least 2"), UNUSABLE, "Error: budget must be at least 2"),
        (FileNotFoundError("no such file: a"), UNUSABLE, "Error: no such file: a"),
        (RuntimeError("boom\nsecond line"), FAILED, "Error: RuntimeError: boom (--debug shows where)"),
        (OSError(28, "No space left on device"), FAILED, "Error: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), INTERRUPTED, "Interrupted. What was stored is kept."),
    ],
)
def test_errors_are_one_line_and_a_code(error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture) -> None:
    @told
    def command() -> None:
        raise error

    with pytest.raises(typer.Exit) as found:
        command()
    assert found.value.exit_code == code
    assert capsys.readouterr().err.strip() == words


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @told
    def command() -> None:
        raise RuntimeError("boom")

    monkeypatch.setenv("INTERPRETO_MLLM_DEBUG", "1")
    with pytest.raises(RuntimeError, match="boom"):
        command()
    assert problems.debugging()
    assert entry.with_global_flags_first(["run", "a.yaml", "--debug"]) == ["--debug", "run", "a.yaml"]


def test_warnings_of_the_library_are_lines_and_those_of_others_are_not_shown(capsys: pytest.CaptureFixture) -> None:
    @told
    def command() -> None:
        warnings.warn_explicit("mind this", UserWarning, "x.py", 1, module="interpreto_mllm.x")
        warnings.warn_explicit("old thing", FutureWarning, "y.py", 1, module="other")

    with warnings.catch_warnings():
        command()
    assert capsys.readouterr().err == "Warning: mind this\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "typer", None)
    with pytest.raises(SystemExit, match=r"The command line needs typer: pip install 'interpreto_mllm\[cli\]'"):
        entry.main()


def test_what_is_no_level_or_command_is_refused() -> None:
    assert cli.invoke(app, ["--log-level", "loud", "list", "methods"]).exit_code == UNUSABLE
    assert cli.invoke(app, ["explian"]).exit_code == UNUSABLE
    assert cli.invoke(app, ["--version"]).output.strip() == "0.1.0"
