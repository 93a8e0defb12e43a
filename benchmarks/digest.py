"""The code that draws, estimates and stops, as a few letters that change with it: records are kept under these."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import interpreto_mllm

ESTIMATORS = ("gaussian", "perturbators", "aggregators", "evaluation")
"""Packages of the library without which no record changes."""


@cache
def library_digest() -> str:
    """Of the files of these packages."""
    library = Path(interpreto_mllm.__file__).parent
    files = [path for folder in ESTIMATORS for path in sorted((library / folder).glob("*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
