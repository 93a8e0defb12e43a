"""Asserting that a model is not run."""

from __future__ import annotations

import torch


class Silent:
    """No forward may run while this is entered."""

    def __init__(self, *models: torch.nn.Module):
        self.models, self.forwards = models, 0

    def __enter__(self) -> Silent:
        self.hooks = [model.register_forward_pre_hook(self._count) for model in self.models]
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _count(self, *_: object) -> None:
        self.forwards += 1
