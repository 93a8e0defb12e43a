"""Every test and doctest runs with the shapes and types of the package checked, offline and on one thread."""

from __future__ import annotations

import os
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"

import jaxtyping
import pytest
import torch
from support.checked_shapes import install

install("interpreto_mllm")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recall() -> Any:
    """The shipped model and its tokenizer."""
    from interpreto_mllm.testbed import load_recall

    return load_recall()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is checked, as for users: what is of a wrong type meets the package's own messages."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture(scope="module")
def browser() -> Any:
    """The system's Chromium. Ended with the module, since no other test may start an event loop beside it."""
    from support.browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Any, tmp_path: Any) -> Any:
    """Opens pages; the test fails on any error of their scripts."""
    from support.browser import Opened

    pages = Opened(browser, tmp_path)
    yield pages
    pages.close()
