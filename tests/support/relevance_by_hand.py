"""Layer-wise relevance propagation of two small models, rule by rule and without autograd.

Each function takes the relevance of an output and returns that of the inputs, by the equations of Achtibat et al. 2024: a
linear map z = Mx + b gives input i of output j the part M_ji x_i / z_j.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def linear(x: Tensor, matrix: Tensor, bias: Tensor | float, relevance: Tensor) -> Tensor:
    """Of x, where z = matrix @ x + bias, position by position; `matrix` may be one for each position."""
    z = (matrix @ x[..., None])[..., 0] + bias
    parts = matrix * x[..., None, :] / z[..., None]
    return (parts * relevance[..., None]).sum(-2)


def added(one: Tensor, other: Tensor, relevance: Tensor) -> tuple[Tensor, Tensor]:
    return one / (one + other) * relevance, other / (one + other) * relevance


def attended(q: Tensor, k: Tensor, v: Tensor, scale: float, causal: bool, relevance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of one head's queries, keys and values: the uniform rule, the softmax's, and the uniform rule again."""
    scores = q @ k.T * scale
    masked = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf) if causal else scores
    weights = masked.softmax(-1)
    output = weights @ v
    parts = torch.einsum("ij,jd,id->ijd", weights, v, relevance / (2 * output))
    of_weights, of_v = parts.sum(2), parts.sum(0)
    of_scores = scores * (of_weights - weights * of_weights.sum(1, keepdim=True))
    parts = torch.einsum("id,jd,ij->ijd", q, k, scale * of_scores / (2 * scores))
    return parts.sum(1), parts.sum(0), of_v


def rms_scaled(x: Tensor, norm: Any) -> Tensor:
    """The identity rule leaves relevance as it is; only the values are needed."""
    return x / (x.square().mean(-1, keepdim=True) + norm.variance_epsilon).sqrt() * norm.weight


def centred(x: Tensor, norm: Any, relevance: Tensor) -> Tensor:
    """Of x, where LayerNorm is linear but for its deviation."""
    n = x.shape[-1]
    deviation = (x.var(-1, keepdim=True, correction=0) + norm.eps).sqrt()
    centring = torch.eye(n, dtype=x.dtype) - 1 / n
    return linear(x, (norm.weight / deviation)[..., None] * centring, norm.bias, relevance)


def rotation(position: int, width: int, base: float) -> Tensor:
    """The matrix that rotates a head's numbers at a position, halves against halves."""
    half = width // 2
    angles = position / base ** (torch.arange(half, dtype=torch.float64) / half)
    cos, sin = torch.diag(angles.cos()), torch.diag(angles.sin())
    return torch.cat([torch.cat([cos, -sin], 1), torch.cat([sin, cos], 1)])


def heads(x: Tensor, count: int) -> list[Tensor]:
    return list(x.chunk(count, -1))


def llama(model: Any, embeddings: Tensor, target: int) -> Tensor:
    """Relevance of every number of the embeddings (l, d) for the last position's logit, through a Llama of any depth."""
    config, length = model.config, len(embeddings)
    width, queries, keys = config.head_dim, config.num_attention_heads, config.num_key_value_heads
    turns = torch.stack([rotation(i, width, config.rope_parameters["rope_theta"]) for i in range(length)])

    def turned(x: Tensor) -> Tensor:
        return (turns @ x[..., None])[..., 0]

    def attention(layer: Any, x: Tensor, relevance: Tensor | None) -> Tensor:
        part = layer.self_attn
        q, k, v = (projection(x) for projection in (part.q_proj, part.k_proj, part.v_proj))
        per_head = [(heads(q, queries)[i], heads(k, keys)[i * keys // queries], heads(v, keys)[i * keys // queries])
                    for i in range(queries)]  # fmt: skip
        mask = torch.ones(length, length).triu(1).bool()
        outputs = [((turned(a) @ turned(b).T * width**-0.5).masked_fill(mask, -torch.inf).softmax(-1) @ c)
                   for a, b, c in per_head]  # fmt: skip
        output = torch.cat(outputs, -1)
        if relevance is None:
            return part.o_proj(output)
        of_output = heads(linear(output, part.o_proj.weight, 0, relevance), queries)
        of_q, of_k, of_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for i, (a, b, c) in enumerate(per_head):
            found = attended(turned(a), turned(b), c, width**-0.5, True, of_output[i])
            heads(of_q, queries)[i].add_(linear(a, turns, 0, found[0]))
            heads(of_k, keys)[i * keys // queries].add_(linear(b, turns, 0, found[1]))
            heads(of_v, keys)[i * keys // queries].add_(found[2])
        weights = (part.q_proj.weight, part.k_proj.weight, part.v_proj.weight)
        return sum(linear(x, w, 0, r) for w, r in zip(weights, (of_q, of_k, of_v), strict=True))  # type: ignore[return-value]

    def gated(layer: Any, x: Tensor, relevance: Tensor | None) -> Tensor:
        part = layer.mlp
        gate, up = part.gate_proj(x), part.up_proj(x)
        product = torch.nn.functional.silu(gate) * up
        if relevance is None:
            return part.down_proj(product)
        half = linear(product, part.down_proj.weight, 0, relevance) / 2
        return linear(x, part.gate_proj.weight, 0, half) + linear(x, part.up_proj.weight, 0, half)

    steps: list[tuple[Callable[..., Tensor], Any, Any]] = []
    for layer in model.model.layers:
        steps += [(attention, layer, layer.input_layernorm), (gated, layer, layer.post_attention_layernorm)]
    states = [embeddings]
    for block, layer, norm in steps:
        states.append(states[-1] + block(layer, rms_scaled(states[-1], norm), None))
    last = rms_scaled(states[-1], model.model.norm)
    relevance = torch.zeros_like(embeddings)
    relevance[-1] = model.lm_head.weight[target] * last[-1]
    for (block, layer, norm), state, after in zip(reversed(steps), reversed(states[:-1]), reversed(states[1:]), strict=True):
        straight, through = added(state, after - state, relevance)
        relevance = straight + block(layer, rms_scaled(state, norm), through)
    return relevance


def gpt2(model: Any, embeddings: Tensor, target: int) -> Tensor:
    """Relevance of every number of the embeddings (l, d) of tokens for the last position's logit, through a GPT-2."""
    config, length = model.config, len(embeddings)
    count, width = config.n_head, config.n_embd // config.n_head

    def attention(block: Any, x: Tensor, relevance: Tensor | None) -> Tensor:
        part = block.attn
        qkv = x @ part.c_attn.weight + part.c_attn.bias
        q, k, v = qkv.chunk(3, -1)
        triples = list(zip(heads(q, count), heads(k, count), heads(v, count), strict=True))
        mask = torch.ones(length, length).triu(1).bool()
        output = torch.cat([(a @ b.T * width**-0.5).masked_fill(mask, -torch.inf).softmax(-1) @ c for a, b, c in triples], -1)
        if relevance is None:
            return output @ part.c_proj.weight + part.c_proj.bias
        of_output = heads(linear(output, part.c_proj.weight.T, part.c_proj.bias, relevance), count)
        found = [attended(a, b, c, width**-0.5, True, one) for (a, b, c), one in zip(triples, of_output, strict=True)]
        of_qkv = torch.cat([torch.cat(each, -1) for each in zip(*found, strict=True)], -1)
        return linear(x, part.c_attn.weight.T, part.c_attn.bias, of_qkv)

    def feed_forward(block: Any, x: Tensor, relevance: Tensor | None) -> Tensor:
        part = block.mlp
        hidden = part.act(x @ part.c_fc.weight + part.c_fc.bias)
        if relevance is None:
            return hidden @ part.c_proj.weight + part.c_proj.bias
        of_hidden = linear(hidden, part.c_proj.weight.T, part.c_proj.bias, relevance)
        return linear(x, part.c_fc.weight.T, part.c_fc.bias, of_hidden)

    steps: list[tuple[Callable[..., Tensor], Any, Any]] = []
    for block in model.transformer.h:
        steps += [(attention, block, block.ln_1), (feed_forward, block, block.ln_2)]
    places = model.transformer.wpe.weight[:length]
    states = [embeddings + places]
    for part, block, norm in steps:
        states.append(states[-1] + part(block, norm(states[-1]), None))
    last = model.transformer.ln_f(states[-1])
    relevance = torch.zeros_like(embeddings)
    relevance[-1] = model.lm_head.weight[target] * last[-1]
    relevance = centred(states[-1], model.transformer.ln_f, relevance)
    for (part, block, norm), state, after in zip(reversed(steps), reversed(states[:-1]), reversed(states[1:]), strict=True):
        straight, through = added(state, after - state, relevance)
        relevance = straight + centred(state, norm, part(block, norm(state), through))
    return added(embeddings, places, relevance)[0]
