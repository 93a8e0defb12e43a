"""Models behind a server that speaks the OpenAI protocol."""

from interpreto_mllm.remote.model import RemoteModel

__all__ = ["RemoteModel"]
