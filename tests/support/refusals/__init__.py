"""What is refused: the rows of the table in docs/errors.md, each with a call that gives it."""

from __future__ import annotations

from support.refusals.calls import CALLS
from support.refusals.chats import CHATS
from support.refusals.files import FILES
from support.refusals.media import MEDIA
from support.refusals.metrics import METRIC_ROWS
from support.refusals.parts import MODELS
from support.refusals.prompts import PROMPTS
from support.refusals.readings import READINGS
from support.refusals.row import Row
from support.refusals.runs import RUNS
from support.refusals.servers import REPLIES, REQUESTS
from support.refusals.settings import SETTINGS
from support.refusals.studies import STUDIES
from support.refusals.thoughts import THOUGHTS

ROWS: dict[str, list[Row]] = {
    "Prompts and targets": PROMPTS,
    "Chats": CHATS,
    "Tool calls": CALLS,
    "Thoughts": THOUGHTS,
    "Options": SETTINGS,
    "Images and clips": MEDIA,
    "Models, methods and games": MODELS,
    "Interactions, rows and surrogates": READINGS,
    "Checkpoints and results": FILES,
    "What is asked of a server": REQUESTS,
    "What a server replies": REPLIES,
    "Metrics and sources": METRIC_ROWS,
    "Studies": STUDIES,
    "Runs of studies": RUNS,
}
"""By heading."""
