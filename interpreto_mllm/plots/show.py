"""Show a result where the user is: a notebook or a terminal."""

from __future__ import annotations

import sys

from interpreto_mllm.results.record import Record


def show(attribution: Record) -> None:
    """Display HTML in a notebook, print the coloured prompt elsewhere."""
    if in_notebook():
        from IPython.display import HTML, display

        from interpreto_mllm.plots.html import fragment

        display(HTML(fragment(attribution)))
        return
    from rich.console import Console

    from interpreto_mllm.plots.terminal import coloured

    Console().print(coloured(attribution))


def in_notebook() -> bool:
    """Whether a notebook kernel, rather than a terminal, runs this code."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return hasattr(shell, "kernel")
