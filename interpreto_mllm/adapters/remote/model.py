"""The address of a remote model, and how to send requests to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from interpreto_mllm.core.numbers import is_whole
from interpreto_mllm.core.shown import shown


@dataclass(frozen=True)
class RemoteModel:
    """A model on any server with the OpenAI protocol, given in place of the model: `KernelShap(RemoteModel(...), ...)`.

    A server returns answers, not logits. If it returns the log-probabilities of a given answer, LOG_SOFTMAX and SOFTMAX explain
    that answer token by token; every server can be explained with a `ResponseSimilarity` of texts or external embeddings. Its
    tokens are not known: features are words, sentences, turns, your own spans, and pieces of images and clips. Needs the
    extra `remote`.

    Args:
        base_url: address of the server, such as "http://localhost:8000/v1". A user and password in it become `credentials`.
        model: the name under which it serves the model.
        api_key: sent to that server only; the environment's OPENAI_API_KEY unless given. No log, result, archive or pickle
            holds it: a process that unpickles the model takes the key of its own environment.
        concurrency: how many requests run at a time.
        route: "chat" sends messages (a plain prompt is one message of the user), "completion" sends a text.
        retries: how often a request is repeated after a 408, 409, 429, 5xx, a broken connection or a time-out, waiting longer
            each time, or as long as the server asks.
        timeout: the longest time for a request, until the last byte of its reply, in seconds.
        sampling_rate: samples per second of the clips that are sent.
        max_pixels: larger images are made smaller, once, before pieces of them are hidden; None sends every image whole. A
            photo of 12 megapixels takes seconds to encode for each coalition, and most servers read two megapixels or less.
        credentials: "user:password" for basic authentication, as secret as the key.
        stand_in: what is sent in place of a text of which nothing is present, for servers that refuse an empty message.

    Raises:
        ValueError: for invalid settings.

    Example:
        >>> RemoteModel("http://me:secret@localhost:8000/v1", "tiny", api_key="secret")
        RemoteModel(base_url='http://localhost:8000/v1', model='tiny', concurrency=8, route='chat', retries=6, timeout=60.0,
                    sampling_rate=16000, max_pixels=None, stand_in=None)
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False, compare=False)
    concurrency: int = 8
    route: Literal["chat", "completion"] = "chat"
    retries: int = 6
    timeout: int | float = 60.0
    sampling_rate: int = 16_000
    max_pixels: int | None = None
    credentials: str | None = field(default=None, repr=False, compare=False)
    stand_in: str | None = None

    def __post_init__(self) -> None:
        self._take_credentials()
        if self.concurrency < 1 or self.retries < 0 or not self.timeout > 0 or self.sampling_rate < 1:
            raise ValueError(
                "concurrency and sampling_rate must be at least 1, retries at least 0 and timeout positive; "
                f"got {self.concurrency}, {self.sampling_rate}, {self.retries} and {self.timeout}."
            )
        if self.max_pixels is not None and (not is_whole(self.max_pixels) or self.max_pixels < 1):
            raise ValueError(f"max_pixels must be a whole number of pixels, at least 1, or None; got {shown(self.max_pixels)}.")
        if self.route not in ("chat", "completion"):
            raise ValueError(f"route must be 'chat' or 'completion'; got {self.route!r}.")
        if self.stand_in is not None and not (isinstance(self.stand_in, str) and self.stand_in.strip()):
            raise ValueError(f"stand_in must be a text with more than white space, such as '…'; got {self.stand_in!r}.")

    def _take_credentials(self) -> None:
        """Move user and password from the address, which is shown, to `credentials`, which are not."""
        address = self.base_url.rpartition("@")[2] if isinstance(self.base_url, str) else self.base_url
        try:
            parts = urlsplit(self.base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except (ValueError, AttributeError, TypeError):
            usable = False
        if not usable:
            raise ValueError(f"base_url must be an address such as 'http://localhost:8000/v1'; got {shown(address)}.")
        if parts.query or parts.fragment:
            raise ValueError(f"base_url is an address without '?' and '#'; give {server_address(self.base_url)!r}.")
        if parts.username is not None:
            found = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            object.__setattr__(self, "credentials", self.credentials or found)
            object.__setattr__(self, "base_url", server_address(self.base_url))

    def __getstate__(self) -> dict[str, Any]:
        """What pickles hold: nothing secret."""
        return {**self.__dict__, "api_key": None, "credentials": None}

    def __copy__(self) -> RemoteModel:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteModel:
        """Itself: nothing of it changes, and copies within a process keep the key."""
        return self


def server_address(url: str) -> str:
    """An address without user, password and query.

    Example:
        >>> server_address("https://me:secret@host:80/v1?key=1")
        'https://host:80/v1'
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
