"""Logs in the bucket, by attempt, node and rank."""

from pathlib import Path

import pytest

from jobs.runs import bucket_logs
from tests.unit.jobs.logged import output
from trainer.errors import NotFoundError
from trainer.storage import open_store

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
    with pytest.raises(NotFoundError, match=r"has no log of node 9\."):
        logs.choose(node=9)
    with pytest.raises(NotFoundError, match=r"has no log in attempt 7\."):
        logs.choose(attempt=7)


def test_a_bucket_without_logs_says_so(tmp_path: Path) -> None:
    logs = bucket_logs.kept(f"file://{tmp_path}", RUN)
    with pytest.raises(
        NotFoundError, match=rf"^file://{tmp_path}/checkpoints/{RUN}/logs has no log. Available: none.$"
    ):
        logs.choose()


def test_nodes_come_before_their_workers_and_stages_in_their_order(output: str) -> None:
    logs = bucket_logs.kept(output, RUN)
    titles = [
        *(f"node {node}" for node in (0, 1)),
        *(f"{stage}, rank {rank}" for stage in ("train", "evaluate") for rank in range(4)),
    ]
    assert [(each.attempt, each.title) for each in logs.files] == [
        (attempt, title) for attempt in (1, 2) for title in titles
    ]


@pytest.mark.parametrize(
    ("asked", "keys"),
    [
        ({}, ["2/node-0.log", "2/node-1.log"]),
        ({"attempt": 1}, ["1/node-0.log", "1/node-1.log"]),
        ({"node": 0}, ["2/node-0.log"]),
        ({"node": 1, "attempt": 1}, ["1/node-1.log"]),
        ({"rank": 0}, ["2/train-rank-0.log", "2/evaluate-rank-0.log"]),
        ({"rank": 3, "attempt": 1}, ["1/train-rank-3.log", "1/evaluate-rank-3.log"]),
    ],
)
def test_the_last_attempts_nodes_are_chosen_unless_others_are_named(
    asked: dict[str, int], keys: list[str], output: str
) -> None:
    assert [each.key for each in bucket_logs.kept(output, RUN).choose(**asked)] == keys


def test_the_last_attempt_is_the_last_that_has_such_a_log(output: str) -> None:
    open_store(output).put(f"checkpoints/{RUN}/logs/16/node-0.log", b"early end\n")
    logs = bucket_logs.kept(output, RUN)
    assert logs.attempts == [1, 2, 16]
    assert [each.key for each in logs.choose()] == ["16/node-0.log"]
    assert [each.key for each in logs.choose(node=1)] == ["2/node-1.log"]


@pytest.mark.parametrize(
    ("tail", "lines"),
    [(None, ["a", "b", "\ufffd"]), (9, ["a", "b", "\ufffd"]), (3, ["a", "b", "\ufffd"]), (1, ["\ufffd"]), (0, [])],
)
def test_the_last_lines_of_a_log(tail: int | None, lines: list[str], output: str) -> None:
    open_store(output).put(f"checkpoints/{RUN}/logs/3/node-0.log", b"a\nb\n\xff\n")
    logs = bucket_logs.kept(output, RUN)
    [log] = logs.choose()
    assert list(logs.lines(log, tail=tail)) == lines


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        ((0,), "0"),
        ((0, 1), "0, 1"),
        ((0, 1, 2), "0 to 2"),
        ((0, 1, 3), "0, 1, 3"),
        ((4, 5, 6), "4 to 6"),
        ((1, 2, 16), "1, 2, 16"),
    ],
)
def test_what_there_is_is_told_in_ranges(ranks: tuple[int, ...], words: str, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}")
    for number in ranks:
        store.put(f"checkpoints/{RUN}/logs/1/train-rank-{number}.log", b"")
        store.put(f"checkpoints/{RUN}/logs/1/node-{number}.log", b"")
    with pytest.raises(NotFoundError, match=f"Available: attempts 1, nodes {words}, ranks {words}.$"):
        bucket_logs.kept(f"file://{tmp_path}", RUN).choose(node=99)
