"""Logs in the bucket, by attempt, node and rank."""

import pytest

from jobs.runs import bucket_logs
from tests.unit.jobs.logged import output
from trainer.errors import NotFoundError

__all__ = ["output"]

RUN = "lines-1a2b3c4d"


def test_what_is_not_there_is_answered_with_what_is(output: str) -> None:
    logs = bucket_logs.kept(output, RUN)
    assert logs.attempts == [1, 2]
    with pytest.raises(
        NotFoundError, match=r"has no log of rank 9\. Available: attempts 1, 2, nodes 0, 1, ranks 0 to 3\."
    ):
        logs.choose(rank=9)
    with pytest.raises(NotFoundError, match="no log of node 0 in attempt 7"):
        logs.choose(node=0, attempt=7)
