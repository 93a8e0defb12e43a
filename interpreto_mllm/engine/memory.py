"""How many bytes a model takes, its states at a position, and what a forward makes on the way: estimated from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from interpreto_mllm.engine.vocabulary import vocabulary_size

LEAST_KEPT = 2**28
"""Bytes of kept states that are allowed for a small model; a larger one may keep as many as it takes itself."""

BATCH_TOKENS = {"cpu": 8192}
"""Positions in a forward, by type of device; more of them gain nothing there."""
BATCH_TOKENS_ELSEWHERE = 2**17

FORWARD_TOKENS, LEAST_FORWARD_TOKENS = 96, 16
"""What a forward on a CPU costs beyond its tokens, in tokens: of small models most is spent outside of the multiplications."""
FORWARD_WEIGHTS = 8e8
"""Weights whose multiplications for one token take as long as a forward spends outside of them."""
FORWARD_TOKENS_ELSEWHERE = 2048

HIDDEN_STATES = 10
"""Numbers of the hidden size that a layer makes for a position: what it reads and adds, queries, keys, values, norms."""

INNER_STATES = 3
"""Numbers of its inner size: two projections and their product."""

LOGITS_COPIES = 3
"""Logits of an answer's token: the model's, in single precision, and their normalised values."""


ANSWER_TOKENS = 32
"""Tokens of an answer whose logits are allowed for."""


@dataclass(frozen=True)
class PeakMemory:
    """Bytes that scoring answers takes at most, beside what Python and its libraries take.

    Args:
        model: its weights and buffers, which are there already.
        states: keys and values of shared prefixes that are held between forwards.
        batch: what a forward over one batch makes, its own keys and values and the logits of answers of 32 tokens included.

    Example:
        >>> PeakMemory(model=2_000, states=1_000, batch=500).total
        3500
    """

    model: int
    states: int
    batch: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.model + self.states + self.batch


@dataclass(frozen=True)
class Memory:
    """Bytes of a model and of what it computes.

    Args:
        model: its weights and buffers.
        weights: how many there are.
        state: the keys and values of all layers at one position, where every layer keeps them.
        activation: what one layer makes on the way at one position.
        logits: of one token of an answer, over the vocabulary.

    Example:
        >>> from interpreto_mllm.testbed import load_recall
        >>> memory = Memory.of(load_recall()[0])
        >>> memory.kept_positions == memory.kept // memory.state
        True
    """

    model: int
    weights: int
    state: int
    activation: int
    logits: int

    @classmethod
    def of(cls, model: Any) -> Memory:
        """Of a language model of transformers."""
        config = model.config.get_text_config()
        size = torch.finfo(model.dtype).bits // 8 if model.dtype.is_floating_point else 4
        hidden = _setting(config, 64, "hidden_size", "n_embd", "d_model")
        layers = _setting(config, 1, "num_hidden_layers", "n_layer", "num_layers")
        heads = _setting(config, 1, "num_attention_heads", "n_head")
        head = _setting(config, max(hidden // max(heads, 1), 1), "head_dim")
        inner = _setting(config, 4 * hidden, "intermediate_size", "n_inner", "ffn_dim")
        return cls(
            weights=max(sum(tensor.numel() for tensor in model.parameters()), 1),
            model=sum(tensor.numel() * tensor.element_size() for tensor in (*model.parameters(), *model.buffers())),
            state=2 * layers * _setting(config, heads, "num_key_value_heads") * head * size,
            activation=(HIDDEN_STATES * hidden + INNER_STATES * inner) * size,
            logits=LOGITS_COPIES * 4 * (vocabulary_size(model) or 1),
        )

    def forward_tokens(self, device: torch.device, vocabulary: int) -> int:
        """What a forward costs beyond its tokens, in tokens."""
        if device.type != "cpu":
            return FORWARD_TOKENS_ELSEWHERE + vocabulary // 512
        return int(min(FORWARD_TOKENS + vocabulary // 512, LEAST_FORWARD_TOKENS + FORWARD_WEIGHTS / self.weights))

    @property
    def kept(self) -> int:
        """Bytes of states that may be kept at a time."""
        return max(self.model, LEAST_KEPT)

    @property
    def kept_positions(self) -> int:
        """Positions whose states they are."""
        return self.kept // max(self.state, 1)

    def peak(self, rows: int, length: int, device: torch.device, shares: bool) -> PeakMemory:
        """The most that scoring answers to prompts may take.

        Args:
            rows: the most prompts in a batch.
            length: tokens of the longest.
            device: of the model.
            shares: whether states of prefixes are held.
        """
        together = max(1, min(rows, batch_tokens(device) // max(length, 1)))
        activations = together * length * (self.state + self.activation)
        return PeakMemory(self.model, self.kept if shares else 0, activations + together * ANSWER_TOKENS * self.logits)


def batch_tokens(device: torch.device) -> int:
    """Positions that a forward may hold, unless it is over a single row."""
    return BATCH_TOKENS.get(device.type, BATCH_TOKENS_ELSEWHERE)


def _setting(config: Any, default: int, *names: str) -> int:
    """The first of these settings that is a number; some configs give one for each layer, of which the largest counts."""
    for name in names:
        value = getattr(config, name, None)
        value = max(value, default=0) if isinstance(value, (list, tuple)) else value
        if isinstance(value, int) and value > 0:
            return value
    return default
