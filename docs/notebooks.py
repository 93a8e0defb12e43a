"""Runs the tutorials, each from a clean namespace, one after the other in one kernel."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbformat import NotebookNode

TUTORIALS = Path(__file__).parent / "tutorials"
QUIET = {"TRANSFORMERS_VERBOSITY": "error", "TQDM_DISABLE": "1", "PYTHONWARNINGS": "ignore:IProgress"}
"""Environment of the kernel: no bars, which are noise on a page, and no hints about kernels that small models do not need."""
SECONDS = 600
"""That one cell may take."""


class Kernel:
    """A running kernel.

    Args:
        client: of a notebook, which has started it.
    """

    def __init__(self, client: NotebookClient):
        self._client = client

    def run(self, path: Path, folder: Path) -> NotebookNode:
        """A notebook with its outputs.

        Args:
            path: of the notebook.
            folder: in which its cells run.

        Raises:
            CellExecutionError: by the first cell that fails.
        """
        notebook = nbformat.read(path, as_version=4)
        fresh = nbformat.v4.new_code_cell(f"%cd -q {folder}\n%reset -f\n%matplotlib inline")
        notebook.cells.insert(0, fresh)
        client = NotebookClient(notebook, timeout=SECONDS, km=self._client.km)
        client.kc = self._client.kc
        client.execute()
        del notebook.cells[0]
        return notebook


@contextmanager
def kernel() -> Iterator[Kernel]:
    """A kernel of this interpreter."""
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=SECONDS)
    manager = client.create_kernel_manager()
    manager.kernel_spec_manager = KernelSpecManager(
        kernel_dirs=[]
    )  # that of this interpreter, whatever is installed for the user
    with tempfile.TemporaryDirectory() as folder:  # sockets in files, whose paths have to be short
        manager.transport, manager.connection_file = "ipc", f"{folder}/kernel.json"
        with client.setup_kernel(env={**os.environ, **QUIET}):
            yield Kernel(client)
