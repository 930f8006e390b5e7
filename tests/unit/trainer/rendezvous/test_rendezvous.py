"""The supervisors' meeting, over real connections on this machine."""

import itertools
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest

from jobs.local.plan import free_ports
from tests.unit.trainer.rendezvous.peers import RUN, SIGN, find
from trainer.errors import DivergedError, OcrfleetError, SupersededError, TransientError
from trainer.rendezvous import Member, PastError, PeerLostError, Server
from trainer.run.topology import Topology

DATA = "what all have prepared"


class Gang:
    """A gang whose nodes are objects of one process."""

    def __init__(self, nodes: int, *, retries: int = 3, deadline: float = 20) -> None:
        self.nodes, self.deadline, self.port = nodes, deadline, free_ports(1)
        self.lost: dict[int, queue.SimpleQueue[str]] = {rank: queue.SimpleQueue() for rank in range(nodes)}
        self.claims = itertools.count(1)
        self.retries = retries
        self.server = self.serve()
        self.members = {rank: self.member(rank) for rank in range(nodes)}

    def topology(self, rank: int) -> Topology:
        return Topology(node_rank=rank, nodes=self.nodes, hosts=("127.0.0.1",) * self.nodes, port=self.port)

    def serve(self) -> Server:
        claim: Callable[[], int] = lambda: next(self.claims)  # noqa: E731
        return Server(
            self.topology(0), run_id=RUN, sign=SIGN, claim=claim, retries=self.retries, deadline=self.deadline
        )

    def member(self, rank: int, *, run: str = RUN) -> Member:
        return Member(
            self.topology(rank),
            run_id=run,
            sign=find,
            deadline=self.deadline,
            on_lost=lambda e: self.lost[rank].put(str(e)),
        )

    def join(self, stage: str, *ranks: int) -> dict[int, int | Exception]:
        """Let nodes join at once, and give what each got."""
        found: dict[int, int | Exception] = {}

        def one(rank: int) -> None:
            try:
                found[rank] = self.members[rank].join(stage, dataset=DATA)
            except (OcrfleetError, PastError) as error:
                found[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in ranks or range(self.nodes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return found

    def close(self) -> None:
        for member in self.members.values():
            member.close()
        self.server.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.rendezvous.member.AGAIN", 0.05)


@pytest.fixture
def gang() -> Iterator[Gang]:
    with closing(Gang(3)) as made:
        yield made


def test_all_go_together_and_keep_the_attempt_from_stage_to_stage(gang: Gang) -> None:
    assert gang.join("train") == {0: 1, 1: 1, 2: 1}
    for member in gang.members.values():
        member.done()
    gang.server.keep("train")
    assert gang.join("evaluate") == {0: 1, 1: 1, 2: 1}


def test_a_stage_is_over_when_the_leader_has_kept_it_and_not_before(gang: Gang) -> None:
    gang.join("train")
    for member in gang.members.values():
        member.done()
    # The leader is lost with what it had not kept: all do it again.
    gang.members[0].close()
    gang.server.close()
    waiting = threading.Thread(target=lambda: answers.update(gang.join("train", 1, 2)))
    answers: dict[int, int | Exception] = {}
    waiting.start()
    gang.server = gang.serve()
    gang.members[0] = gang.member(0)
    assert gang.join("train", 0) == {0: 2}
    waiting.join(30)
    assert answers == {1: 2, 2: 2}


def test_a_node_that_is_behind_is_told_what_a_new_leader_found_kept(gang: Gang) -> None:
    gang.server.keep("train")
    assert isinstance(gang.join("train", 1)[1], PastError)
    assert gang.join("evaluate") == {0: 1, 1: 1, 2: 1}


def test_nodes_with_other_data_do_not_train_together(gang: Gang) -> None:
    def other() -> None:
        with suppress(TransientError):
            gang.members[2].join("train", dataset="another")

    threading.Thread(target=other).start()
    for answer in gang.join("train", 0, 1).values():
        assert isinstance(answer, TransientError)
        assert "Node 2 has prepared a different dataset than node 0" in str(answer)


def test_a_lost_node_calls_the_others_back_and_its_successor_joins_them(gang: Gang) -> None:
    gang.join("train")
    gang.members[2].close()
    for rank in (0, 1):
        assert "Node 2 was lost" in gang.lost[rank].get(timeout=10)
        gang.members[rank].failed(PeerLostError("2"))
    gang.members[2] = gang.member(2)
    assert gang.join("train") == {0: 2, 1: 2, 2: 2}


def test_a_node_that_comes_back_before_it_is_missed_calls_the_others_back(gang: Gang) -> None:
    gang.join("train")
    old = gang.members[1]
    gang.members[1] = gang.member(1)
    for rank in (0, 2):
        assert "it was restarted" in gang.lost[rank].get(timeout=10)
    assert gang.join("train") == {0: 2, 1: 2, 2: 2}
    with pytest.raises(TransientError, match="Another pod has replaced node 1"):
        old.join("train", dataset=DATA)


def test_a_lost_worker_costs_an_attempt_and_no_node(gang: Gang) -> None:
    gang.join("train")
    gang.members[1].failed(TransientError("Worker 1 was killed by SIGKILL."))
    for rank in (0, 2):
        assert "Node 1 was lost: Worker 1 was killed by SIGKILL." in gang.lost[rank].get(timeout=10)
    assert gang.join("train") == {0: 2, 1: 2, 2: 2}


def test_a_lost_leader_is_waited_for(gang: Gang) -> None:
    gang.join("train")
    gang.members[0].close()
    gang.server.close()
    for rank in (1, 2):
        assert gang.lost[rank].get(timeout=10).startswith("Node 0")
    gang.server = gang.serve()
    gang.members[0] = gang.member(0)
    assert gang.join("train") == {0: 2, 1: 2, 2: 2}


def test_a_final_failure_of_one_ends_all_in_the_same_way(gang: Gang) -> None:
    gang.join("train")
    gang.members[2].failed(DivergedError("The loss is NaN."))
    for rank in (0, 1):
        assert "The loss is NaN" in gang.lost[rank].get(timeout=10)
        with pytest.raises(DivergedError, match=r"Node 2: The loss is NaN\."):
            gang.members[rank].join("train", dataset=DATA)


def test_the_leaders_own_last_word_reaches_the_others_though_it_leaves_at_once() -> None:
    for _ in range(20):
        with closing(Gang(2)) as gang:
            gang.join("train")
            gang.members[0].failed(DivergedError("The loss is NaN."))
            gang.members[0].close()
            gang.server.close()
            with pytest.raises(DivergedError, match=r"Node 0: The loss is NaN\."):
                gang.members[1].join("train", dataset=DATA)


def test_a_gang_whose_run_is_another_objects_is_sent_away_from_its_work_and_its_waiting(gang: Gang) -> None:
    gang.join("train")
    gang.server.end(SupersededError("This run belongs to another now."))
    for rank, member in gang.members.items():
        assert "belongs to another" in gang.lost[rank].get(timeout=10)
        member.failed(PeerLostError("another"))
        with pytest.raises(SupersededError, match="belongs to another"):
            member.join("train", dataset=DATA)


def test_a_node_that_hears_of_the_end_before_it_is_done_ends_in_the_same_way(gang: Gang) -> None:
    """Its workers are a moment later than the leader's, which has found that the run is another's."""
    gang.join("train")
    gang.members[0].done()
    gang.server.end(SupersededError("This run belongs to another now."))
    gang.lost[1].get(timeout=10)
    with pytest.raises(SupersededError, match="belongs to another"):
        gang.members[1].done()


def test_a_node_whose_workers_fall_when_the_gang_ends_ends_as_the_gang(gang: Gang) -> None:
    """The leader's end takes Paddle's store away, and a collective fails in words that help nobody."""
    gang.join("train")
    gang.server.end(SupersededError("This run belongs to another now."))
    gang.lost[1].get(timeout=10)
    verdict = gang.members[1].failed(TransientError("connection reset by peer"))
    assert (type(verdict), str(verdict)) == (SupersededError, "This run belongs to another now.")


def test_a_nodes_own_final_failure_is_not_hidden_by_the_gangs_end(gang: Gang) -> None:
    gang.join("train")
    gang.server.end(SupersededError("This run belongs to another now."))
    gang.lost[1].get(timeout=10)
    own = DivergedError("The loss is NaN.")
    assert gang.members[1].failed(own) is own


def test_after_the_last_retry_all_are_sent_away() -> None:
    with closing(Gang(2, retries=0)) as gang:
        gang.join("train")
        gang.members[1].failed(TransientError("Out of memory."))
        assert "Out of memory" in gang.lost[0].get(timeout=10)
        with pytest.raises(TransientError, match=r"Node 1 was lost: Out of memory\."):
            gang.members[0].join("train", dataset=DATA)


def test_as_many_losses_are_mended_as_there_are_retries() -> None:
    with closing(Gang(2, retries=2)) as gang:
        for attempt in (1, 2, 3):
            assert gang.join("train") == {0: attempt, 1: attempt}
            gang.members[1].failed(TransientError("Out of memory."))
            gang.lost[0].get(timeout=10)
        assert [type(answer) for answer in gang.join("train").values()] == [TransientError] * 2


def test_a_missing_node_is_named() -> None:
    with closing(Gang(3, deadline=0.5)) as gang:
        gang.members[1].close()
        found = gang.join("train", 0, 2)
        for rank in (0, 2):
            assert isinstance(found[rank], TransientError)
            assert "node 1 (127.0.0.1)" in str(found[rank])


def test_a_node_that_is_busy_elsewhere_is_not_missing() -> None:
    """One pulls a large dataset while the others are ready: that takes as long as it takes."""
    with closing(Gang(2, deadline=0.5)) as gang:
        got: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=lambda: got.put(gang.members[0].join("train", dataset=DATA)), daemon=True).start()
        with pytest.raises(queue.Empty):
            got.get(timeout=1.5)
        assert gang.members[1].join("train", dataset=DATA) == 1
        assert got.get(timeout=10) == 1


def test_a_leader_that_never_comes_is_named() -> None:
    with closing(Gang(2, deadline=0.5)) as gang:
        gang.members[0].close()
        gang.server.close()
        with pytest.raises(TransientError, match=r"Node 0 \(127\.0\.0\.1\) was out of reach"):
            gang.members[1].join("train", dataset=DATA)


def test_what_the_leader_has_done_is_done_for_all(gang: Gang) -> None:
    """Its end takes Paddle's store away from those who are a moment late: their loss costs nothing."""
    gang.join("train")
    gang.members[0].done()
    gang.members[1].failed(TransientError("connection reset by peer"))
    gang.members[2].close()
    gang.members[2] = gang.member(2)
    gang.server.keep("train")
    found = gang.join("train", 1, 2)
    assert all(isinstance(answer, PastError) for answer in found.values())
    assert gang.join("evaluate") == {0: 1, 1: 1, 2: 1}


def test_a_node_of_another_run_is_not_heard(gang: Gang) -> None:
    stranger = gang.member(1, run="other-00000002")
    gang.members[1].close()

    def knock() -> None:
        with suppress(TransientError):  # it is out of reach for it, for ever
            stranger.join("train", dataset=DATA)

    knocking = threading.Thread(target=knock)
    knocking.start()
    found: queue.SimpleQueue[int] = queue.SimpleQueue()
    for rank in (0, 2):
        threading.Thread(
            target=lambda rank=rank: found.put(gang.members[rank].join("train", dataset=DATA)), daemon=True
        ).start()
    with pytest.raises(queue.Empty):
        found.get(timeout=0.5)
    gang.members[1] = gang.member(1)
    assert gang.members[1].join("train", dataset=DATA) == 1
    assert [found.get(timeout=10), found.get(timeout=10)] == [1, 1]
    stranger.close()
    knocking.join(30)


def test_noise_on_the_port_harms_nobody(gang: Gang) -> None:
    import socket

    for noise in (b"GET / HTTP/1.1\r\n\r\n", b'{"say": "hello"}\n', b"[]\n", b"x" * 100_000):
        with socket.create_connection(("127.0.0.1", gang.port)) as line:
            line.sendall(noise)
    assert gang.join("train") == {0: 1, 1: 1, 2: 1}
