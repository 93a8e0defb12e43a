"""Values and gradients of a question at points between a baseline and a prompt."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from interpreto_mllm.core.points import Fold, Gradients, Points
from interpreto_mllm.engine.backward_rules import BackwardRules, Forward
from interpreto_mllm.engine.batches import Batches, out_of_memory
from interpreto_mllm.engine.checkpointing import checkpointed
from interpreto_mllm.engine.counter import ForwardCounter
from interpreto_mllm.engine.device import input_device
from interpreto_mllm.engine.differentiable import recording
from interpreto_mllm.engine.moving import Moving
from interpreto_mllm.engine.output_layer import OutputLayer
from interpreto_mllm.engine.queries import Query
from interpreto_mllm.engine.reading import Reading
from interpreto_mllm.engine.relevance.mode import as_one
from interpreto_mllm.engine.site import Site
from interpreto_mllm.engine.sums import Leaves, Sums

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Asked:
    """A question about one prompt.

    Args:
        queries: about the whole prompt, one for each target.
        columns: from the values of each query in `b` rows to those of the game, `Float[b t]`.
        moving: what of the prompt moves.
        length: tokens of the prompt.
    """

    queries: Sequence[Query]
    columns: Callable[[list[Float[Tensor, "b _"]]], Float[Tensor, "b t"]]
    moving: Sequence[Moving]
    length: int


class Differentiator:
    """Takes gradients under a model: all targets of a batch of points from one forward, one backward for each target.

    Nothing is recorded of the model's weights, and nothing accumulates in them. Batches that do not fit into memory are halved;
    where one row does not fit, its inner states are computed twice instead of being kept.

    Args:
        reading: how the model reads questions.
        site: where states of tokens are replaced; None for a model that reads none.
        batch_size: points in a forward.
        counter: counts forwards and backwards.
        rules: of backward passes; the model's own unless given.
        checkpointing: whether inner states are computed twice; None for only where memory runs out.
        batched: whether the backward passes of all targets are made at once (torch.vmap), which takes their memory together.
        keeps_rest: whether what belongs to no feature is followed into the tokens of the answer, too.
    """

    def __init__(
        self,
        reading: Reading[Any],
        site: Site | None,
        batch_size: int,
        counter: ForwardCounter,
        *,
        rules: BackwardRules | None = None,
        checkpointing: bool | None = None,
        batched: bool = False,
        keeps_rest: bool = False,
    ):
        self.reading, self.site, self.counter = reading, site, counter
        self.model = reading.model._modules.get("_orig_mod") or reading.model  # a compiled model ignores later hooks
        self.batches = Batches(batch_size)
        self.rules = BackwardRules() if rules is None else rules
        self._batched, self._keeps_rest = batched, keeps_rest
        self._may_checkpoint, self._checkpointing = checkpointing is None, bool(checkpointing)

    @property
    def device(self) -> torch.device:
        """Where the model's inputs are."""
        return input_device(self.model)

    def check(self, asked: Asked, n: int) -> None:
        """Raise a ValueError unless the targets depend on what moves; one forward and one backward, not counted."""
        with self.counter.trying():
            leaves, _ = self._inputs(asked, Points(torch.ones(1, n)), torch.zeros(1, dtype=torch.int64))
            with recording(self.model):
                values = self._forward(asked, leaves).sum(1, keepdim=True)
                [(_, slopes)] = self._backward(asked, values, leaves, OutputLayer(None))
        if not any(bool(one[:, part.owner >= 0].any()) for part, one in zip(asked.moving, slopes, strict=True)):
            raise ValueError(
                f"The values of the targets do not depend on the states of any feature at {self._where}, as after the last "
                "layer, where only those of the last tokens are read: choose an earlier layer."
            )

    @contextmanager
    def alone(self, asked: Asked, n: int) -> Iterator[Forward]:
        """Within, the prompt can be run by itself, as a trial: the sum of its targets, and what gradients reach."""

        def forward() -> tuple[Float[Tensor, ""], Leaves]:
            leaves, _ = self._inputs(asked, Points(torch.ones(1, n)), torch.zeros(1, dtype=torch.int64))
            tails: Leaves = []
            return self._forward(asked, leaves, tails).sum(), [*leaves, *tails]

        with self.counter.trying(), recording(self.model):
            yield forward

    def states(
        self,
        asked: Asked,
        embedding: Site,
        inputs: Float[Tensor, "draws l _"],
        site: Site,
        media: Sequence[dict[str, Shaped[Tensor, "..."]]],
    ) -> Float[Tensor, "draws l d"]:
        """What a layer gives for prompts of these embeddings, each with these tensors in place of its images and clips."""
        found = []
        query = asked.queries[0]
        with torch.inference_mode(False), torch.no_grad():
            for input, replaced in zip(inputs, media, strict=True):
                arguments = {**self.reading.arguments(query), **replaced}
                length = arguments["input_ids"].shape[1]
                with embedding.replaced(input[None], length), site.read(1, length) as states:
                    self.model(**arguments, **self.reading.constants(query))
                found.append(states[0][0, : asked.length])
        return torch.stack(found)

    def values(self, asked: Asked, points: Points) -> Float[Tensor, "p t"]:
        """Values alone, without gradients."""

        def work(rows: list[int]) -> Float[Tensor, "p t"]:
            some = points[rows]
            with torch.inference_mode(False), torch.no_grad():
                each = [self._forward(asked, self._inputs(asked, some, chosen)[0]) for chosen in _chosen(asked, some)]
            return torch.stack(each).mean(0).double().cpu()

        return torch.cat([values for _, values in self.batches.run(range(len(points)), work)])

    def gradients(self, asked: Asked, points: Points, fold: Fold | None) -> Iterator[tuple[list[int], Gradients]]:
        """Values and gradients, batch by batch, with the indices of their points."""
        waiting = list(range(len(points)))
        while waiting:
            try:
                for rows, found in self.batches.run(list(waiting), lambda rows: self._gradients(asked, points[rows], fold)):
                    waiting = waiting[len(rows) :]
                    yield rows, found
            except Exception as error:
                if not (out_of_memory(error) and self._may_checkpoint and not self._checkpointing):
                    raise
                logger.warning("Out of memory with one row: its inner states are computed again in backward passes.")
                self._checkpointing = True

    def _gradients(self, asked: Asked, points: Points, fold: Fold | None) -> Gradients:
        """Of a batch; where a point is the mean over all baselines, one baseline after the other."""
        choices = _chosen(asked, points)
        each = [self._from(asked, points, chosen, fold) for chosen in choices]
        if len(each) == 1:
            return each[0]
        share = 1 / len(each)
        moments = each[0].moments
        for part in each[1:]:
            moments = tuple(one.plus(other) for one, other in zip(moments, part.moments, strict=True))
        means = {name: torch.stack([getattr(one, name) for one in each]).mean(0) for name in ("values", "slopes", "rest")}
        return Gradients(points, **means, moments=tuple(one.times(share) for one in moments))

    def _from(self, asked: Asked, points: Points, chosen: Int[Tensor, "b"], fold: Fold | None) -> Gradients:
        """Of a batch, from the chosen baselines."""
        with ExitStack() as stack:
            stack.enter_context(recording(self.model))
            stack.enter_context(self.rules.within(self.model))
            if self._checkpointing:
                stack.enter_context(checkpointed(self.model, None if self.site is None else self.site.module))
            leaves, starts = self._inputs(asked, points, chosen)
            tails: Leaves = []
            head = OutputLayer(self.model if self.rules == BackwardRules() and not self._batched else None)
            with head.parted():
                values = self._forward(asked, leaves, tails if self._keeps_rest else None)
            sums = Sums(asked.moving, points, starts, fold, values.shape[1])
            for target, slopes in self._backward(asked, values, [*leaves, *tails], head):
                sums.add(target, leaves, slopes[: len(leaves)], list(zip(tails, slopes[len(leaves) :], strict=True)))
        return sums.result(values.detach())

    def _backward(
        self, asked: Asked, values: Float[Tensor, "b t"], leaves: Leaves, head: OutputLayer
    ) -> Iterator[tuple[int, list[Float[Tensor, "b _ _"]]]]:
        """The gradients of each target."""
        columns = values.sum(0)
        if not columns.requires_grad:
            raise ValueError(self._unconnected())
        if self._batched and len(columns) > 1:
            self.counter.add_backward()
            every = torch.autograd.grad(
                columns, leaves, torch.eye(len(columns)).to(columns), is_grads_batched=True, allow_unused=True
            )
            yield from (
                (target, self._found([one if one is None else one[target] for one in every], asked, leaves))
                for target in range(len(columns))
            )
            return
        for target, found in enumerate(head.gradients(columns, leaves)):
            self.counter.add_backward()
            yield target, self._found(found, asked, leaves)

    def _found(self, found: Sequence[Tensor | None], asked: Asked, leaves: Leaves) -> list[Float[Tensor, "b _ _"]]:
        """The gradients, zeros for tokens of an answer that is not this target's.

        Raises:
            ValueError: where the target does not depend on something that moves, or gradients are not finite.
        """
        for part, one in zip(asked.moving, found, strict=False):
            if one is None:
                raise ValueError(self._unconnected(part.name))
        slopes = [torch.zeros_like(leaf) if one is None else one for one, leaf in zip(found, leaves, strict=True)]
        if not all(bool(one.isfinite().all()) for one in slopes):
            raise ValueError(
                "The model gave gradients that are not finite (NaN or infinite). Check the model on this prompt; in half "
                "precision, try bfloat16 or float32."
            )
        return slopes

    @property
    def _where(self) -> str:
        return "its inputs" if self.site is None else self.site.name

    def _unconnected(self, name: str | None = None) -> str:
        if name is not None:
            return (
                f"{type(self.model).__name__} gives no gradients with respect to {name!r}, as where it makes tokens of an "
                "image: pin the pieces of images and clips to explain the text alone, or use a method of coalitions."
            )
        return (
            f"The values of the targets do not depend on {self._where} in a way that has gradients: choose a layer on the path "
            "from the prompt to the targets, and an inference mode of differentiable operations."
        )

    def _inputs(self, asked: Asked, points: Points, chosen: Int[Tensor, "b"]) -> tuple[Leaves, Leaves]:
        """The inputs of points, and the baselines that they start from."""
        starts = [part.starts(chosen) for part in asked.moving]
        return [part.at(points, start) for part, start in zip(asked.moving, starts, strict=True)], starts

    def _forward(self, asked: Asked, leaves: Leaves, tails: Leaves | None = None) -> Float[Tensor, "b t"]:
        """The values of all targets, from one forward for all queries that it answers."""
        outputs: dict[Hashable, Any] = {}
        scored = []
        for query in asked.queries:
            key = self.reading.forward(query)
            if key not in outputs:
                outputs[key] = self._output(asked, query, leaves, tails)
            scored.append(as_one(self.reading.values, outputs[key], query))
        values = as_one(asked.columns, scored)
        if not values.isfinite().all():
            raise ValueError(
                "The model gave values that are not finite (NaN or infinite) at some point. Check the model on this prompt; in "
                "half precision, try bfloat16 or float32."
            )
        return values

    def _output(self, asked: Asked, query: Query, leaves: Leaves, tails: Leaves | None) -> Any:
        """The model's output for these inputs, and the tokens of an answer."""
        rows = len(leaves[0])
        with torch.no_grad():
            arguments: dict[str, Shaped[Tensor, "..."]] = {
                name: torch.cat([tensor] * rows) for name, tensor in self.reading.arguments(query).items()
            }
        read = arguments.get("input_ids")
        self.counter.add(0 if read is None else read.numel())
        with ExitStack() as stack:
            for part, leaf in zip(asked.moving, leaves, strict=True):
                if part.name is None:
                    assert self.site is not None and read is not None
                    stack.enter_context(self.site.replaced(leaf, read.shape[1], tails))
                else:
                    arguments[part.name] = leaf.reshape(rows * part.shape[0], *part.shape[1:])
            return self.model(**arguments, **self.reading.constants(query))


def _chosen(asked: Asked, points: Points) -> list[Int[Tensor, "b"]]:
    """The baselines of points: one choice where each has its own, else every baseline in turn."""
    count = max(len(part.baselines) for part in asked.moving)
    if points.chances is not None:
        return [(points.chances * count).long().clamp_max(count - 1)]
    return [torch.full((len(points),), number) for number in range(count)]
