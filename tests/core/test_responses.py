"""Responses keep what the model answered to each coalition."""

from __future__ import annotations

import pytest

from interpreto_mllm import Response, Responses


def test_the_former_name_of_answers_warns() -> None:
    responses = Responses((Response("no"),), (0,), ((Response("yes"),), (Response("no"),)))
    with pytest.warns(DeprecationWarning, match="answers"):
        assert responses.said == responses.answers
