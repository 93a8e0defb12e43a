"""Every test and doctest runs with the shapes and types of the package checked, offline and on one thread."""

from __future__ import annotations

import os
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("interpreto_mllm", "beartype.beartype")
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def recall() -> Any:
    """The shipped model and its tokenizer."""
    from interpreto_mllm.testbed import load_recall

    return load_recall()
