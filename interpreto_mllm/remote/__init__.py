"""Models behind a server that speaks the OpenAI protocol."""

from interpreto_mllm.remote.flight import RemoteError
from interpreto_mllm.remote.model import RemoteModel

__all__ = ["RemoteError", "RemoteModel"]
