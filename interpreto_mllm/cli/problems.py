"""What goes wrong, told in one line, and the exit codes."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import typer

FAILED, UNUSABLE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: an error while it ran; something given that cannot be used; samples that failed; Ctrl-C."""

UNUSABLE_ERRORS = (
    ValueError,
    TypeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
    ImportError,
)

Command = TypeVar("Command", bound=Callable[..., None])


class Problem(Exception):
    """Something that cannot be done, in the user's words.

    Args:
        text: what was given, what is accepted, how to mend it.
        code: the exit code.
    """

    def __init__(self, text: str, code: int = UNUSABLE):
        super().__init__(text)
        self.code = code


def debugging() -> bool:
    """Whether errors are shown with their tracebacks: `--debug`, or INTERPRETO_MLLM_DEBUG=1."""
    return os.environ.get("INTERPRETO_MLLM_DEBUG", "") not in ("", "0")


def told(command: Command) -> Command:
    """A command whose errors are one line on the error stream, and an exit code."""

    @wraps(command)
    def run(*positional: Any, **named: Any) -> None:
        if not debugging():
            warnings.simplefilter("ignore")
            warnings.filterwarnings("default", category=UserWarning, module="interpreto_mllm")
            warnings.showwarning = _show_warning
        try:
            command(*positional, **named)
        except typer.Exit:
            raise
        except KeyboardInterrupt:
            say("Interrupted. What was stored is kept.")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if debugging():
                raise
            say(f"Error: {in_words(error)}")
            code = error.code if isinstance(error, Problem) else UNUSABLE if isinstance(error, UNUSABLE_ERRORS) else FAILED
            raise typer.Exit(code) from None

    return run  # pyright: ignore[reportReturnType]


def in_words(error: Exception) -> str:
    """The message of an error of this library; of others, their kind and the first line of their message."""
    if isinstance(error, KeyError) and error.args:
        return f"there is no {error.args[0]!r}."
    text = str(error).strip() or type(error).__name__
    if isinstance(error, (*UNUSABLE_ERRORS, Problem, OSError)):
        return text
    return f"{type(error).__name__}: {text.splitlines()[0]} (--debug shows where)"


def say(text: str) -> None:
    """A line on the error stream."""
    typer.echo(text, err=True)


def _show_warning(message: Any, *_: Any) -> None:
    say(f"Warning: {message}")
