"""Models behind a server that speaks the OpenAI protocol."""

from interpreto_mllm.adapters.remote.model import RemoteModel
from interpreto_mllm.adapters.remote.requests import RemoteError

__all__ = ["RemoteError", "RemoteModel"]
