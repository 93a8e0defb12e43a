"""Attention in one call: the rules of its two products, while the kernel stays what it is.

With y = softmax(q kᵀ / √d) v, the uniform rule gives half of the relevance to v and half to the weights; the softmax passes its
gradient on (Achtibat et al. 2024, Proposition 3.1); and of what reaches q kᵀ, q and k get half each. As gradients are linear,
v may be halved, and q and k quartered, before the kernel instead of inside it.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from interpreto_mllm.engine.relevance.share import carries, shared


def attention(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The rule of `scaled_dot_product_attention`."""
    scores = carries(query) or carries(key)
    weights = 0.5 if scores and carries(value) else 1.0
    each = weights / 2 if carries(query) and carries(key) else weights
    query, key, value = shared(query, each), shared(key, each), shared(value, weights)
    return F.scaled_dot_product_attention(query, key, value, *args, **kwargs)


ATTENTION = {F.scaled_dot_product_attention: attention}
