"""Which coalitions wait for which queries."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from interpreto_mllm.engine.queries import Query


@dataclass(eq=False)
class _Coalition:
    """A coalition of a game, the indices of its queries, and how many different ones are not answered yet."""

    game: int
    row: int
    queries: list[int]
    unanswered: int


class Pending:
    """Queries that are to be scored, and the coalitions that wait for their values. Equal queries are asked once.

    Attributes:
        queries: without repetitions, in the order in which they were added.
    """

    def __init__(self) -> None:
        self.queries: list[Query] = []
        self._index: dict[Hashable, int] = {}
        self._waiting: list[list[_Coalition]] = []
        self._values: dict[int, Tensor] = {}

    def add(self, game: int, queries: Sequence[Sequence[Query]]) -> None:
        """Add the coalitions of a game, each with the queries that make up its value."""
        for row, mine in enumerate(queries):
            indices = [self._index_of(query) for query in mine]
            distinct = set(indices)
            coalition = _Coalition(game, row, indices, len(distinct))
            for index in distinct:
                self._waiting[index].append(coalition)

    def received(
        self, indices: Sequence[int], values: Float[Tensor, "b t"]
    ) -> Iterator[tuple[int, list[int], list[list[Float[Tensor, "t"]]]]]:
        """The coalitions that these values of queries complete.

        Yields:
            (index of a game, indices of its coalitions, for each of them the values of its queries).
        """
        complete: dict[int, list[_Coalition]] = {}
        for index, row in zip(indices, values, strict=True):
            self._values[index] = row
            for coalition in self._waiting[index]:
                coalition.unanswered -= 1
                if not coalition.unanswered:
                    complete.setdefault(coalition.game, []).append(coalition)
        for game, coalitions in complete.items():
            scored = [[self._values[index] for index in coalition.queries] for coalition in coalitions]
            yield game, [coalition.row for coalition in coalitions], scored

    def _index_of(self, query: Query) -> int:
        index = self._index.setdefault(query.key, len(self.queries))
        if index == len(self.queries):
            self.queries.append(query)
            self._waiting.append([])
        return index
