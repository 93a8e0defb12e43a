"""Where the command `interpreto-mllm` starts."""

from __future__ import annotations

import sys

from interpreto_mllm.core.optional import optional


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        optional("typer", "The command line", "cli")
    except ImportError as error:
        sys.exit(f"Error: {error}")
    from interpreto_mllm.cli.app import app

    app(args=with_global_flags_first(sys.argv[1:]), prog_name="interpreto-mllm")


def with_global_flags_first(arguments: list[str]) -> list[str]:
    """`--debug` works behind the command too.

    Example:
        >>> with_global_flags_first(["explain", "a text", "--debug"]), with_global_flags_first(["explain", "--", "--debug"])
        (['--debug', 'explain', 'a text'], ['explain', '--', '--debug'])
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = ["--debug"] if "--debug" in arguments[:end] else []
    return [*debug, *(one for one in arguments[:end] if one != "--debug"), *arguments[end:]]
