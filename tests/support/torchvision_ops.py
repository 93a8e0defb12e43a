"""Lets torchvision be imported that was built for another torch: vLLM wants its resizing alone, which is written in Python.

`make servers` puts it beside vLLM, where it is loaded when Python starts. Its compiled operators are declared and never called.
"""

from __future__ import annotations

import importlib.abc
import sys
from typing import Any


class _Before(importlib.abc.MetaPathFinder):
    """Declares the operators just before torchvision is imported."""

    library: Any = None

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            self.library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                self.library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


before = _Before()
"""Kept, as operators go with what declared them."""

sys.meta_path.insert(0, before)
