"""Importing the package is cheap: what it does not need at once is imported when it is used."""

from __future__ import annotations

import json
import subprocess
import sys

PROBE = """
import json, sys
import torch, transformers
before = set(sys.modules)
import interpreto_mllm
print(json.dumps(sorted(set(sys.modules) - before)))
"""
OWN = {"interpreto_mllm", "jaxtyping", "wadler_lindig", "numpy", "regex", "tqdm"}
"""The package, and those of its dependencies that are needed from the start."""


def test_only_light_modules_are_imported() -> None:
    ran = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    imported = json.loads(ran.stdout)
    assert "interpreto_mllm.explainer" in imported
    assert {name.split(".")[0] for name in imported} - OWN - set(sys.stdlib_module_names) == set()
    late = {"interpreto_mllm.testbed", "interpreto_mllm.plots.figure", "interpreto_mllm.plots.html"}
    assert not late & set(imported)
