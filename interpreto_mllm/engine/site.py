"""Where in a model gradients are taken: the output of its embedding, or of another module."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Site:
    """The output of a module, a row of numbers for each token that the model reads, which can be read or replaced.

    Args:
        module: it.
        name: for messages.
    """

    def __init__(self, module: nn.Module, name: str):
        self.module, self.name = module, name

    @staticmethod
    def of(model: Any, layer: str | None) -> Site:
        """The module of this name, or the embedding that reads the prompt.

        Raises:
            ValueError: for a name that no module has; the nearest are suggested.
        """
        if layer is None:
            return Site(prompt_embedding(model), "the embedding")
        modules = dict(model.named_modules())
        if layer in modules and layer:
            return Site(modules[layer], layer)
        near = difflib.get_close_matches(str(layer), list(modules), n=4, cutoff=0.4) or list(modules)[1:5]
        raise ValueError(f"{type(model).__name__} has no layer {layer!r}. The nearest are {', '.join(map(repr, near))}.")

    @contextmanager
    def read(self, rows: int, length: int) -> Iterator[list[Float[Tensor, "b l d"]]]:
        """Within, what the module gives for these tokens is added to the list."""
        found: list[Tensor] = []

        def keep(states: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
            found.append(states.detach())
            return states

        with self._hooked(rows, length, keep):
            yield found

    @contextmanager
    def replaced(
        self, states: Float[Tensor, "b l d"], length: int, tails: list[Float[Tensor, "b _ d"]] | None = None
    ) -> Iterator[None]:
        """Within, the module gives these states for the first tokens it reads.

        Args:
            states: in place of those of the prompt.
            length: tokens read, those of an answer after the prompt included.
            tails: where given, the states of the answer's tokens are added to it, and are leaves too.
        """

        kept: list[Tensor] = []

        def replace(own: Float[Tensor, "b l d"]) -> Float[Tensor, "b l d"]:
            tail = own[:, states.shape[1] :]
            if tails is not None:
                if not kept:
                    kept.append(tail.detach().requires_grad_())
                    tails.extend(kept)
                tail = kept[0]
            return torch.cat([states.to(own.dtype), tail], dim=1)

        with self._hooked(len(states), length, replace):
            yield

    @contextmanager
    def _hooked(self, rows: int, length: int, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """Within, `change` is applied to the first output that has a row of numbers for each token.

        A module that reads the same once more, as the embedding of models that merge images or clips in a step of their own,
        gives the same once more. Forwards in other threads are left alone.

        Raises:
            ValueError: when there is none.
        """
        thread = get_ident()
        shapes: list[tuple[int, ...]] = []
        done: list[Tensor | None] = []

        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
            if get_ident() != thread:
                return output
            states = output[0] if isinstance(output, tuple) and output else output
            shape = tuple(states.shape) if isinstance(states, Tensor) else ()
            shapes.append(shape)
            if len(shape) != 3 or shape[:2] != (rows, length):
                return output
            read = next((one for one in (*args, *kwargs.values()) if isinstance(one, Tensor)), None)
            if done and (read is None or done[0] is None or not torch.equal(read, done[0])):
                return output
            done.append(read)
            assert isinstance(states, Tensor)
            changed = change(states)
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        handle = self.module.register_forward_hook(hook, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
        if not done:
            called = f"its output has the shape {list(shapes[0])}" if shapes else "the model does not call it"
            raise ValueError(
                f"No gradient can be taken at {self.name}: {called}, and it must give one row of numbers for each of the "
                f"{length} tokens of each of {rows} prompt(s). Choose a layer of the part that reads the prompt, such as a "
                "decoder's."
            )


def prompt_embedding(model: Any) -> nn.Module:
    """The embedding that reads the prompt; of an encoder-decoder, its encoder's."""
    if getattr(model.config, "is_encoder_decoder", False):
        encoder = model.get_encoder()
        own = encoder.get_input_embeddings()
        if isinstance(own, nn.Module):
            return own
    return model.get_input_embeddings()
