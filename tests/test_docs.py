"""Every Python block of the documentation runs, and importing the package stays light."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import interpreto_mllm

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIGHT = {"interpreto_mllm", "jaxtyping", "wadler_lindig", "einops", "filelock", "numpy", "regex", "tqdm"}
"""The package, and those of its dependencies that are needed from the start."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_one_after_the_other(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    namespace: dict[str, object] = {"__name__": "__docs__"}
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(1))
        exec(compile("\n" * line + match.group(1), str(page), "exec"), namespace)


def test_importing_the_package_imports_nothing_heavy() -> None:
    """What it needs is imported with the first name that is used: nothing that draws, makes tables or asks a server, and no
    transformers."""
    script = (
        "import sys, interpreto_mllm; print([name for name in ('torch', 'numpy', 'transformers') if name in sys.modules]); "
        "import torch; before = set(sys.modules); from interpreto_mllm import *; print(*sorted(set(sys.modules) - before))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    at_once, loaded = ran.stdout.splitlines()
    assert at_once == "[]"
    names = set(loaded.split())
    assert {"interpreto_mllm.explainers.base", "interpreto_mllm.attribution", "interpreto_mllm.adapters.remote"} <= names
    assert {name.split(".")[0] for name in names} <= LIGHT | set(sys.stdlib_module_names)
    assert "interpreto_mllm.testbed" not in names


def test_every_public_name_is_found() -> None:
    assert all(hasattr(interpreto_mllm, name) for name in interpreto_mllm.__all__)
    assert {name for names in interpreto_mllm._HOMES.values() for name in names.split()} == set(interpreto_mllm.__all__)
    assert interpreto_mllm.media.Patches is interpreto_mllm.Patches
