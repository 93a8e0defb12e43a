"""What commands set for their process ends with the test."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment, what is logged and how warnings are shown."""
    environment = dict(os.environ)
    loggers = {name: logging.getLogger(name) for name in ("interpreto_mllm", "transformers")}
    before = {name: (logger.level, list(logger.handlers)) for name, logger in loggers.items()}
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    for name, logger in loggers.items():
        logger.setLevel(before[name][0])
        logger.handlers[:] = before[name][1]
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)
