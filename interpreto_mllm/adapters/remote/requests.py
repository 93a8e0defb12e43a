"""Requests to a server: a bounded number at a time, each reply returned as soon as it arrives."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any

from interpreto_mllm.adapters.remote.dialect import NO_TEMPERATURE, REFUSING, TOOLS_UNPARSED, Dialect
from interpreto_mllm.adapters.remote.hints import hint_on
from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.replies import Refused, ResponseBody, read
from interpreto_mllm.adapters.remote.secrets import SHORTEST, api_key_of, basic_authorization, harmless, without_secrets
from interpreto_mllm.engine.counter import ForwardCounter

FIRST_DELAY, LONGEST_DELAY = 0.5, 8.0
"""Seconds before a request is repeated, twice as long each time."""

SECONDS_TO_STOP = 0.8
"""How long requests that are given up are waited for."""

Reply = tuple[int, ResponseBody]
"""The index of a job, and the server's reply to it."""


class RemoteError(RuntimeError):
    """The server cannot be reached, refuses a request, or keeps failing; the explainer's `unfinished` keeps earlier replies.

    Attributes:
        status: the HTTP status of its reply, None without a reply.
    """

    status: int | None = None


@dataclass(eq=False)
class _Work:
    """One batch of requests, shared by the thread that sends them and the one that waits.

    Attributes:
        results: replies, errors that end the work, and None once everything is done.
        over: whether no more requests are to be sent.
    """

    jobs: Sequence[Any]
    body: Callable[[Any], dict[str, Any]]
    results: queue.Queue[Reply | Exception | None] = field(default_factory=queue.Queue)
    over: threading.Event = field(default_factory=threading.Event)
    _cancel: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """Called by the thread that sends: from now on it can be cancelled."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        if self.over.is_set():
            task.cancel()

    def give_up(self) -> None:
        """Send nothing more, and wait for no reply."""
        self.over.set()
        try:
            self._cancel()
        except RuntimeError:  # it has just ended
            return


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
        self._dialect = Dialect()

    def send(self, jobs: Sequence[Any], body: Callable[[Any], dict[str, Any]]) -> Generator[Reply, None, None]:
        """The replies in the order of their arrival, each with the index of its job. Closing the generator gives the rest up.

        So does Ctrl-C, after which the replies that have arrived are still returned before it is raised.

        Args:
            jobs: one per request.
            body: from a job to the arguments of its request; called just before it is sent.

        Raises:
            ImportError: without the openai client.
            RemoteError: when a request fails for good.
        """
        _openai()
        work, call = _Work(jobs, body), copy_context()
        thread = threading.Thread(target=lambda: call.run(asyncio.run, self._work(work)), daemon=True)
        failed: BaseException | None = None
        try:
            thread.start()
            while True:
                try:
                    result = work.results.get(timeout=SECONDS_TO_STOP if work.over.is_set() and failed else None)
                except KeyboardInterrupt as interrupt:
                    failed = interrupt
                    work.give_up()
                    continue
                except queue.Empty:
                    break
                if result is None:
                    break
                if isinstance(result, Exception):
                    failed = failed or result
                else:
                    yield result
        finally:
            work.give_up()
            if thread.ident is not None:
                thread.join(SECONDS_TO_STOP)
        if self._dialect.drops_temperature:
            self.counter.note(NO_TEMPERATURE)
        if self._dialect.calls_no_tools:
            self.counter.note(TOOLS_UNPARSED)
        if failed is not None:
            raise failed from None

    def one(self, arguments: dict[str, Any]) -> ResponseBody:
        """The reply to a single request."""
        [(_, reply)] = self.send([arguments], dict)
        return reply

    async def _work(self, work: _Work) -> None:
        try:
            work.begin()
            async with self._client() as client:
                waiting = iter(enumerate(work.jobs))
                await asyncio.gather(*(self._worker(client, waiting, work) for _ in range(self.remote.concurrency)))
        except asyncio.CancelledError:
            return
        except Exception as error:  # nothing may be lost between threads
            work.results.put(self._error(error, {}))
        finally:
            work.results.put(None)

    def _client(self) -> Any:
        openai, credentials = _openai(), self.remote.credentials
        return openai.AsyncOpenAI(
            base_url=self.remote.base_url,
            api_key=api_key_of(self.remote) or "none",
            default_headers={"Authorization": basic_authorization(credentials)} if credentials else None,
            max_retries=0,
            timeout=None,
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False, timeout=None),
        )

    async def _worker(self, client: Any, waiting: Iterator[tuple[int, Any]], work: _Work) -> None:
        for index, job in waiting:
            if work.over.is_set():
                return
            arguments: dict[str, Any] = {}
            try:
                self.counter.add(tokens=0)
                arguments = work.body(job)
                content = await self._answered(client, arguments, work)
                if content is None:
                    return
                usage = content.get("usage")
                tokens = usage.get("total_tokens") if isinstance(usage, dict) else None
                self.counter.add(tokens if isinstance(tokens, int) else 0, forwards=0)
                work.results.put((index, content))
            except Exception as error:
                work.over.set()
                work.results.put(self._error(error, arguments))
                return

    async def _answered(self, client: Any, arguments: dict[str, Any], work: _Work) -> ResponseBody | None:
        """The reply to a request, which is repeated while that may help; None once no more are to be sent."""
        tried = 0
        while True:
            sent = self._dialect.spelled(arguments)
            try:
                return await self._reply(client, sent)
            except Exception as error:
                refused = error if isinstance(error, Refused) else None
                if refused is not None and self._dialect.learns(refused, sent):
                    continue
                if tried == self.remote.retries or not _passes(error):
                    raise
                wait = refused.wait if refused is not None else None
            delay = min(FIRST_DELAY * 2**tried, LONGEST_DELAY) * random.uniform(0.75, 1)
            await asyncio.sleep(delay if wait is None else wait)
            tried += 1
            if work.over.is_set():
                return None

    async def _reply(self, client: Any, arguments: dict[str, Any]) -> ResponseBody:
        """The reply to one request, all of it within the time allowed."""
        route = client.chat.completions if self.remote.route == "chat" else client.completions
        kind = ""
        async with asyncio.timeout(self.remote.timeout):
            try:
                reply = (await route.with_raw_response.create(model=self.remote.model, **arguments)).http_response
            except _openai().APIStatusError as error:
                reply, kind = error.response, f", {type(error).__name__}"
        return read(without_secrets(reply.text, self.remote, SHORTEST), reply.status_code, reply.headers, kind)

    def _error(self, error: Exception, arguments: dict[str, Any]) -> Exception:
        """What went wrong, in the server's own words first, without secrets, and without anything that acts on a terminal."""
        who = f"{self.remote.model} at {self.remote.base_url}"
        if isinstance(error, Refused):
            words = harmless(without_secrets(error.words, self.remote))
            hint = hint_on(arguments, words) if error.status in REFUSING else ""
            found = RemoteError(f'"{words}", says {who} (HTTP {error.status}{error.kind}).{hint}')
            found.status = error.status
            return found
        if isinstance(error, TimeoutError):
            return RemoteError(f"{who} gave no answer within timeout={self.remote.timeout} seconds.")
        if not isinstance(error, _openai().OpenAIError):
            return error
        cause = error.__cause__
        inner = f" ({type(cause).__name__}: {cause})" if cause is not None and str(cause) else ""
        what = harmless(without_secrets(f"{type(error).__name__}: {error}{inner}", self.remote))
        return RemoteError(f"{who} gave no answer: {what}")


def _passes(error: Exception) -> bool:
    """Whether the same request may be answered later."""
    return error.passes if isinstance(error, Refused) else isinstance(error, (TimeoutError, _openai().APIConnectionError))


def _openai() -> Any:
    try:
        import openai
    except ImportError as error:
        raise ImportError("RemoteModel needs the openai client: pip install 'interpreto_mllm[remote]'") from error
    return openai
