"""Requests to a server: a bounded number in flight, every reply handed on as it comes."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

from interpreto_mllm.adapters.remote.model import RemoteModel

Reply = dict[str, Any]
"""The JSON of a server's reply."""

HEARD = 300
"""Characters of what a server says to a failed request that are repeated."""

Arrival = tuple[int, Reply] | Exception | None
"""A reply to a request, an error that ends the work, or None when all is done."""


class RemoteError(RuntimeError):
    """A server that cannot be reached, refuses, or keeps failing; what had arrived is in the explainer's `unfinished`.

    Attributes:
        status: the HTTP status that it answered with, None where it did not answer.
    """

    status: int | None = None


class RequestPool:
    """Sends requests. After an error that retries did not cure none is made any more; those in flight are waited for.

    Args:
        remote: the server and its model.

    Attributes:
        requests: made so far.
        tokens: read and said so far, as the server counts them.
    """

    def __init__(self, remote: RemoteModel):
        self.remote = remote
        self.requests = self.tokens = 0

    def send(self, jobs: Sequence[Any], body: Callable[[Any], dict[str, Any]]) -> Generator[tuple[int, Reply], None, None]:
        """The replies one by one, in the order of their arrival, each with the index of its job; closed, it asks no further.

        Args:
            jobs: whatever is asked.
            body: from a job to the arguments of its request; called when its turn comes.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        _openai()
        arrivals: queue.Queue[Arrival] = queue.Queue()
        stop = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._work(jobs, body, arrivals, stop)), daemon=True)
        thread.start()
        failed: Exception | None = None
        try:
            while (arrival := arrivals.get()) is not None:
                if isinstance(arrival, Exception):
                    failed = failed or arrival
                else:
                    yield arrival
        finally:
            stop.set()
            thread.join()
        if failed is not None:
            raise self._told(failed) from None

    def one(self, arguments: dict[str, Any]) -> Reply:
        """The reply to a single request."""
        [(_, reply)] = self.send([arguments], dict)
        return reply

    async def _work(self, jobs: Sequence[Any], body: Any, arrivals: queue.Queue[Arrival], stop: threading.Event) -> None:
        try:
            client = _openai().AsyncOpenAI(
                base_url=self.remote.base_url,
                api_key=self.remote.api_key or "none",
                max_retries=self.remote.retries,
                timeout=self.remote.timeout,
            )
            async with client:
                waiting = iter(enumerate(jobs))
                workers = [self._worker(client, waiting, body, arrivals, stop) for _ in range(self.remote.concurrency)]
                await asyncio.gather(*workers)
        except Exception as error:  # nothing may be lost between threads
            arrivals.put(error)
        finally:
            arrivals.put(None)

    async def _worker(self, client: Any, waiting: Iterator[tuple[int, Any]], body: Any, arrivals: Any, stop: Any) -> None:
        route = client.chat.completions if self.remote.route == "chat" else client.completions
        for index, job in waiting:
            if stop.is_set():
                return
            try:
                self.requests += 1
                reply = await route.with_raw_response.create(model=self.remote.model, **body(job))
                content = reply.http_response.json()
                self.tokens += (content.get("usage") or {}).get("total_tokens") or 0
                arrivals.put((index, content))
            except Exception as error:
                stop.set()
                arrivals.put(error)
                return

    def _told(self, error: Exception) -> RemoteError:
        """What went wrong, the key blotted out wherever the server may have repeated it."""
        heard = self._blotted(getattr(getattr(error, "response", None), "text", ""))[:HEARD]
        what = f"{type(error).__name__}: {self._blotted(str(error))} {heard}".strip()
        told = RemoteError(f"{self.remote.model} at {self.remote.base_url} gave no answer: {what}")
        told.status = getattr(error, "status_code", None)
        return told

    def _blotted(self, text: str) -> str:
        return text.replace(self.remote.api_key, "…") if self.remote.api_key else text


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ImportError("RemoteModel needs the openai client: pip install 'interpreto_mllm[remote]'") from error
    return openai
