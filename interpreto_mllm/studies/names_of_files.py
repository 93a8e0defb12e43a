"""Names of files for identities of samples."""

from __future__ import annotations

import re

from interpreto_mllm.core.content import digest

LONGEST = 100


def file_name(identity: str) -> str:
    """A name that every file system takes, without its ending; other for each identity.

    Example:
        >>> file_name("00012"), file_name("a/b") == file_name("a-b")
        ('00012', False)
    """
    plain = re.sub(r"[^a-z0-9_.=-]+", "-", identity).strip("-.")[:LONGEST]
    return plain if plain == identity else f"{plain}-{digest(identity).hex()[:8]}"
