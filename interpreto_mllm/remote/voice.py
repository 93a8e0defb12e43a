"""A server that answers: a bounded number of requests in flight, every answer handed on as it comes."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from interpreto_mllm.engine.query import Query
from interpreto_mllm.remote.characters import Characters, messages_of
from interpreto_mllm.remote.model import RemoteModel
from interpreto_mllm.responses import Response

Arrival = tuple[int, Response] | Exception | None
"""An answer to a query, an error that ends the work, or None when all is done."""


class RemoteError(RuntimeError):
    """A server that cannot be reached, refuses, or keeps failing; what had arrived is in the explainer's `unfinished`."""


class RemoteVoice:
    """Answers of a remote model; `Query.target` numbers the draw.

    After an error that retries did not cure no further request is made; those in flight are waited for and kept.

    Args:
        remote: the server and its model.
        settings: arguments of each request.
        seed: None for greedy answers, else of the draws, sent with each request.
    """

    def __init__(self, remote: RemoteModel, settings: Mapping[str, Any], seed: int | None = None):
        self.remote, self.settings, self.seed = remote, dict(settings), seed
        self.forwards = self.tokens = 0

    def say(self, queries: list[Query]) -> Iterator[tuple[list[int], list[Response]]]:
        """The answers one by one, in the order of their arrival.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        _openai()
        arrivals: queue.Queue[Arrival] = queue.Queue()
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._work(queries, arrivals, stop)), daemon=True)
        thread.start()
        failed: Exception | None = None
        try:
            while (arrival := arrivals.get()) is not None:
                if isinstance(arrival, Exception):
                    failed = failed or arrival
                else:
                    yield [arrival[0]], [arrival[1]]
        finally:
            stop.set()
            thread.join()
        if failed is not None:
            raise RemoteError(self._told(failed)) from None

    async def _work(self, queries: list[Query], arrivals: queue.Queue[Arrival], stop: threading.Event) -> None:
        try:
            client = _openai().AsyncOpenAI(
                base_url=self.remote.base_url,
                api_key=self.remote.api_key or "none",
                max_retries=self.remote.retries,
                timeout=self.remote.timeout,
            )
            async with client:
                waiting = iter(enumerate(queries))
                workers = [self._worker(client, waiting, arrivals, stop) for _ in range(self.remote.concurrency)]
                await asyncio.gather(*workers)
        except Exception as error:  # nothing may be lost between threads
            arrivals.put(error)
        finally:
            arrivals.put(None)

    async def _worker(self, client: Any, waiting: Iterator[tuple[int, Query]], arrivals: Any, stop: threading.Event) -> None:
        for index, query in waiting:
            if stop.is_set():
                return
            try:
                arrivals.put((index, await self._ask(client, query)))
            except Exception as error:
                stop.set()
                arrivals.put(error)
                return

    async def _ask(self, client: Any, query: Query) -> Response:
        arguments = {"model": self.remote.model, **self.settings}
        if self.seed is not None:
            told = f"{self.seed} {query.target[0]} ".encode() + query.reading.key
            arguments["seed"] = int.from_bytes(hashlib.blake2b(told, digest_size=4).digest()) >> 1
        self.forwards += 1
        if self.remote.route == "chat":
            reply = await client.chat.completions.create(messages=messages_of(query.reading), **arguments)
            text = reply.choices[0].message.content
        else:
            reply = await client.completions.create(prompt=Characters().decode(query.reading.ids.tolist()), **arguments)
            text = reply.choices[0].text
        self.tokens += reply.usage.total_tokens if reply.usage else 0
        return Response((text or "").strip())

    def _told(self, error: Exception) -> str:
        """What went wrong, the key blotted out wherever a server may have repeated it."""
        message = f"{self.remote.model} at {self.remote.base_url} gave no answer: {type(error).__name__}: {error}"
        return message.replace(self.remote.api_key, "…") if self.remote.api_key else message


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ImportError("RemoteModel needs the openai client: pip install 'interpreto_mllm[remote]'") from error
    return openai
