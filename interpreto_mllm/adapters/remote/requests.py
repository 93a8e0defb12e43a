"""Requests to a server: a bounded number at a time, each reply returned as soon as it arrives."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import copy_context
from typing import Any

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.engine.counter import ForwardCounter

ResponseBody = dict[str, Any]
"""The JSON of a server's reply."""

ERROR_CHARACTERS = 300
"""How much of a server's error message is repeated."""

Reply = tuple[int, ResponseBody]
"""The index of a job, and the server's reply to it."""

Result = Reply | Exception | None
"""A reply, an error that ends the work, or None when everything is done."""


class RemoteError(RuntimeError):
    """The server cannot be reached, refuses a request, or keeps failing; the explainer's `unfinished` keeps earlier replies.

    Attributes:
        status: the HTTP status of its reply, None without a reply.
    """

    status: int | None = None


class RequestPool:
    """Sends requests, several at a time. After an error that persists no more are sent, and those under way are awaited.

    Args:
        remote: the server and its model.

    Attributes:
        counter: the requests so far, and the tokens of their prompts and answers as the server counts them.
    """

    def __init__(self, remote: RemoteModel):
        self.remote = remote
        self.counter = ForwardCounter()

    def send(self, jobs: Sequence[Any], body: Callable[[Any], dict[str, Any]]) -> Generator[Reply, None, None]:
        """The replies in the order of their arrival, each with the index of its job. Closing the generator stops the requests.

        Args:
            jobs: one per request.
            body: from a job to the arguments of its request; called just before it is sent.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        _openai()
        results: queue.Queue[Result] = queue.Queue()
        stop = threading.Event()
        work, call = self._work(jobs, body, results, stop), copy_context()
        thread = threading.Thread(target=lambda: call.run(asyncio.run, work), daemon=True)
        thread.start()
        failed: Exception | None = None
        try:
            while (result := results.get()) is not None:
                if isinstance(result, Exception):
                    failed = failed or result
                else:
                    yield result
        finally:
            stop.set()
            thread.join()
        if failed is not None:
            raise self._remote_error(failed) from None

    def one(self, arguments: dict[str, Any]) -> ResponseBody:
        """The reply to a single request."""
        [(_, reply)] = self.send([arguments], dict)
        return reply

    async def _work(self, jobs: Sequence[Any], body: Any, results: queue.Queue[Result], stop: threading.Event) -> None:
        try:
            client = _openai().AsyncOpenAI(
                base_url=self.remote.base_url,
                api_key=self.remote.api_key or "none",
                max_retries=self.remote.retries,
                timeout=self.remote.timeout,
            )
            async with client:
                waiting = iter(enumerate(jobs))
                workers = [self._worker(client, waiting, body, results, stop) for _ in range(self.remote.concurrency)]
                await asyncio.gather(*workers)
        except Exception as error:  # nothing may be lost between threads
            results.put(error)
        finally:
            results.put(None)

    async def _worker(self, client: Any, waiting: Iterator[tuple[int, Any]], body: Any, results: Any, stop: Any) -> None:
        route = client.chat.completions if self.remote.route == "chat" else client.completions
        for index, job in waiting:
            if stop.is_set():
                return
            try:
                self.counter.add(tokens=0)
                reply = await route.with_raw_response.create(model=self.remote.model, **body(job))
                content = reply.http_response.json()
                self.counter.add((content.get("usage") or {}).get("total_tokens") or 0, forwards=0)
                results.put((index, content))
            except Exception as error:
                stop.set()
                results.put(error)
                return

    def _remote_error(self, error: Exception) -> RemoteError:
        """What went wrong, without the key, which the server may have repeated."""
        message = self._redacted(getattr(getattr(error, "response", None), "text", ""))[:ERROR_CHARACTERS]
        what = f"{type(error).__name__}: {self._redacted(str(error))} {message}".strip()
        found = RemoteError(f"{self.remote.model} at {self.remote.base_url} gave no answer: {what}")
        found.status = getattr(error, "status_code", None)
        return found

    def _redacted(self, text: str) -> str:
        return text.replace(self.remote.api_key, "…") if self.remote.api_key else text


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ImportError("RemoteModel needs the openai client: pip install 'interpreto_mllm[remote]'") from error
    return openai
