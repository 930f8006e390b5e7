"""A node's side alone, against a raw leader that says what a test wants. Gangs are in test_rendezvous.py."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from jobs.local.plan import free_ports
from tests.unit.trainer.rendezvous.peers import OTHER, RUN, SIGN, admitted, find
from trainer.contract import ExitCode
from trainer.errors import AccessError, OcrfleetError, StoppedError, SupersededError, TransientError
from trainer.rendezvous import member as module
from trainer.rendezvous.handshake import Sign
from trainer.rendezvous.line import RefusedError
from trainer.rendezvous.member import Member, PastError, PeerLostError
from trainer.rendezvous.messages import OF_MEMBER, Again, Done, End, Failed, Go, Noted, OfMember, Past, Ready
from trainer.run.topology import Topology


class Leader:
    """The other end of a member's line."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.lost: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=self.listener.getsockname()[1])
        self.member = Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=self.lost.put)
        self.accept()

    def accept(self) -> None:
        self.line, self.rank = admitted(self.listener)
        self.heard: Any = self.line.hear(OF_MEMBER)

    def hang_up(self) -> None:
        self.line.close()

    def hear(self) -> OfMember:
        return next(self.heard)

    def go(self, attempt: int = 1) -> int:
        """Let the member begin to train."""
        got: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=lambda: got.put(self.member.join("train", dataset="d")), daemon=True).start()
        assert self.hear() == Ready(stage="train", dataset="d")
        self.line.say(Go(attempt=attempt))
        return got.get(timeout=30)

    def close(self) -> None:
        self.member.close()
        self.hang_up()
        self.listener.close()


@pytest.fixture
def leader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Leader]:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    with closing(Leader()) as made:
        yield made


def test_a_member_says_who_it_is_and_learns_where_its_leader_is(leader: Leader) -> None:
    assert leader.rank == 1
    assert leader.go(attempt=4) == 4
    assert leader.member.leader_address == "127.0.0.1"


@pytest.mark.parametrize(
    ("rank", "address"), [(0, "127.0.0.1"), (1, "127.0.0.2")], ids=["the leader's own node", "another node"]
)
def test_only_the_leaders_own_node_reaches_it_without_its_name(rank: int, address: str) -> None:
    """The leader's name may not be in DNS yet when its own node looks for it."""
    with closing(socket.create_server((address, 0))) as listener:
        listener.settimeout(30)
        topology = Topology(node_rank=rank, nodes=2, hosts=("127.0.0.2", "127.0.0.3"), port=listener.getsockname()[1])
        with closing(Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=lambda _: None)) as member:
            line, _ = admitted(listener)
            with closing(line):
                line.say(Past())
                with pytest.raises(PastError):
                    member.join("train", dataset="d")
            assert member.leader_address == address


def test_done_names_the_attempt_and_waits_for_the_leaders_word(leader: Leader) -> None:
    leader.go(attempt=4)
    ended: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=lambda: ended.put(leader.member.done()), daemon=True).start()
    assert leader.hear() == Done(attempt=4)
    assert ended.empty()
    leader.line.say(Noted())
    assert ended.get(timeout=30) is None


def test_a_failure_is_said_with_its_code_and_a_lost_peer_is_not(leader: Leader) -> None:
    leader.go()
    told = threading.Thread(target=lambda: leader.member.failed(TransientError("Killed.")), daemon=True)
    told.start()
    assert leader.hear() == Failed(attempt=1, code=ExitCode.TRANSIENT, why="Killed.")
    leader.line.say(Noted())
    told.join(30)
    leader.go(attempt=2)
    for error in (PeerLostError("another"), StoppedError("told to stop")):
        assert leader.member.failed(error) is error
    assert leader.go(attempt=3) == 3, "nothing was said in between"


def test_a_call_back_ends_the_work_and_the_next_attempt_is_joined(leader: Leader) -> None:
    leader.go()
    leader.line.say(Again(why="Node 2 was lost."))
    lost = leader.lost.get(timeout=30)
    assert (type(lost), str(lost)) == (PeerLostError, "Node 2 was lost.")
    with pytest.raises(PeerLostError):
        leader.member.done()
    assert leader.go(attempt=2) == 2


def test_a_broken_line_ends_the_work_and_the_leader_is_looked_for_again(leader: Leader) -> None:
    leader.go()
    leader.hang_up()
    assert isinstance(leader.lost.get(timeout=30), PeerLostError)
    leader.accept()
    assert leader.rank == 1
    assert leader.go(attempt=2) == 2


def test_a_leader_that_hangs_up_at_once_is_not_called_in_a_tight_loop(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", 60)
    leader.hang_up()
    leader.listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        leader.listener.accept()


def test_a_leader_that_refuses_is_not_called_in_a_tight_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 60)
    calls: queue.SimpleQueue[object] = queue.SimpleQueue()
    connect = socket.create_connection

    def counted(address: tuple[str, int], timeout: float) -> socket.socket:
        calls.put(address)
        return connect(address, timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", counted)
    topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=free_ports(1))
    with closing(Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=lambda _: None)):
        calls.get(timeout=30)
        with pytest.raises(queue.Empty):
            calls.get(timeout=0.5)


def test_a_connection_that_is_reset_at_once_is_closed_before_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader that leaves resets those whom it has not accepted. An open socket is a warning in whatever test runs."""
    monkeypatch.setattr(module, "AGAIN", 0.05)
    opened: queue.SimpleQueue[socket.socket] = queue.SimpleQueue()
    connect = socket.create_connection

    def reset(_: object, timeout: float) -> socket.socket:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made = connect(listener.getsockname(), timeout=timeout)
        with suppress(ConnectionResetError):
            made.recv(1)
        opened.put(made)
        return made

    monkeypatch.setattr(socket, "create_connection", reset)
    topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=free_ports(1))
    with closing(Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=lambda _: None)):
        first, _ = (opened.get(timeout=30) for _ in range(2))
        assert first.fileno() == -1


def test_a_member_hangs_up_on_a_leader_that_speaks_another_protocol(
    leader: Leader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN", 60)
    leader.line.socket.settimeout(30)
    leader.line.socket.sendall(b"[]\n")
    assert leader.line.socket.recv(1) == b""


def test_a_member_that_was_ready_when_the_line_broke_says_so_again(leader: Leader) -> None:
    got: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put(leader.member.join("train", dataset="d")), daemon=True).start()
    assert leader.hear() == Ready(stage="train", dataset="d")
    leader.hang_up()
    leader.accept()
    assert leader.hear() == Ready(stage="train", dataset="d")
    leader.line.say(Go(attempt=9))
    assert got.get(timeout=30) == 9


def test_a_stage_that_is_past_is_not_waited_for(leader: Leader) -> None:
    leader.line.say(Past())
    with pytest.raises(PastError):
        leader.member.join("train", dataset="d")


def test_an_end_between_two_stages_ends_nothing_that_is_at_work(leader: Leader) -> None:
    leader.line.say(End(code=ExitCode.SUPERSEDED, why="It belongs to another."))
    with pytest.raises(SupersededError, match="belongs to another"):
        leader.member.join("train", dataset="d")
    assert leader.lost.empty()


def test_a_member_that_joins_after_an_end_that_its_done_has_heard_hears_of_it_too(leader: Leader) -> None:
    leader.go()
    errors: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()

    def work() -> None:
        for deed in (leader.member.done, lambda: leader.member.join("evaluate", dataset="d")):
            try:
                deed()
            except OcrfleetError as error:
                errors.put(error)

    threading.Thread(target=work, daemon=True).start()
    assert leader.hear() == Done(attempt=1)
    leader.line.say(End(code=ExitCode.SUPERSEDED, why="It belongs to another."))
    assert [type(errors.get(timeout=20)) for _ in range(2)] == [SupersededError, SupersededError]


def test_a_member_that_left_does_not_come_back(leader: Leader) -> None:
    leader.go()
    leader.member.close()
    assert list(leader.heard) == []
    assert leader.lost.empty(), "it has left by itself"
    with pytest.raises(TransientError, match="left its gang"):
        leader.member.join("train", dataset="d")
    leader.listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        leader.listener.accept()


def test_a_member_that_was_sent_away_for_good_does_not_come_back(leader: Leader) -> None:
    leader.line.say(End(code=ExitCode.SUPERSEDED, why="It belongs to another."))
    with pytest.raises(SupersededError):
        leader.member.join("train", dataset="d")
    leader.hang_up()
    leader.listener.settimeout(0.5)
    with pytest.raises(TimeoutError):
        leader.listener.accept()


def test_a_leader_is_looked_for_once_a_second_and_each_time_for_ten() -> None:
    """A thousand nodes that look more often keep a name server busy."""
    assert (module.AGAIN, module.PATIENCE) == (1, 10)


def test_no_thread_of_a_member_holds_up_the_end_of_its_process(leader: Leader) -> None:
    leader.go()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "gang-line")


def test_a_member_that_waits_when_the_leader_is_lost_gives_it_up_after_the_deadline(leader: Leader) -> None:
    errors: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()

    def join() -> None:
        try:
            leader.member.join("train", dataset="d")
        except OcrfleetError as error:
            errors.put(error)

    threading.Thread(target=join, daemon=True).start()
    assert leader.hear() == Ready(stage="train", dataset="d")
    leader.member._deadline = 0.2
    leader.listener.close()
    leader.hang_up()
    assert "was out of reach" in str(errors.get(timeout=20))


def test_a_member_that_has_reached_the_leader_again_does_not_give_it_up(leader: Leader) -> None:
    """The deadline counts from each loss anew: a leader that is back has its full time."""
    ends: queue.SimpleQueue[OcrfleetError | int] = queue.SimpleQueue()

    def join() -> None:
        try:
            ends.put(leader.member.join("train", dataset="d"))
        except OcrfleetError as error:
            ends.put(error)

    threading.Thread(target=join, daemon=True).start()
    assert leader.hear() == Ready(stage="train", dataset="d")
    leader.member._deadline = 3.0
    leader.hang_up()
    leader.accept()
    assert leader.hear() == Ready(stage="train", dataset="d")
    with pytest.raises(queue.Empty):  # well over the deadline that ran while the leader was away
        ends.get(timeout=6)
    leader.line.say(Go(attempt=1))
    assert ends.get(timeout=30) == 1


def looking(listener: socket.socket, *signs: Sign | OcrfleetError | None, deadline: float = 60) -> Member:
    """Node 1, which finds these in the bucket, one each time that it looks; the last one again and again."""
    listener.settimeout(30)
    answers = [*signs]

    def look() -> Sign | None:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, OcrfleetError):
            raise answer
        return answer

    topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=listener.getsockname()[1])
    return Member(topology, run_id=RUN, sign=look, deadline=deadline, on_lost=lambda _: None)


@pytest.mark.parametrize(
    "first", [None, TransientError("The bucket is out of reach.")], ids=["missing", "out of reach"]
)
def test_a_member_looks_for_a_key_that_it_did_not_find(
    monkeypatch: pytest.MonkeyPatch, first: OcrfleetError | None
) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(looking(listener, first, first, SIGN)):
        with pytest.raises(RefusedError, match="connection was closed"):
            admitted(listener)
        line, rank = admitted(listener)
        line.close()
        assert rank == 1


def test_a_key_that_is_missing_until_the_deadline_is_named() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(looking(listener, None, deadline=0.3)) as member,
    ):
        with closing(listener.accept()[0]) as connection:
            assert connection.recv(1) == b""
        with pytest.raises(TransientError, match="the key of this run is not in the bucket yet"):
            member.join("train", dataset="d")


def test_a_member_that_has_an_old_key_reads_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has removed the run's checkpoints, and a new leader has created another key."""
    monkeypatch.setattr(module, "AGAIN", 0.05)
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, closing(looking(listener, OTHER, SIGN)):
        with pytest.raises(RefusedError, match="does not have the key"):
            admitted(listener)
        line, rank = admitted(listener)
        line.close()
        assert rank == 1


def test_a_bucket_that_refuses_the_key_ends_the_node_in_its_own_way() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        closing(looking(listener, AccessError("The bucket refused it."))) as member,
        closing(listener.accept()[0]),
        pytest.raises(AccessError, match="The bucket refused it"),
    ):
        member.join("train", dataset="d")


def test_a_node_that_hears_of_the_end_while_it_reports_a_failure_ends_as_its_leader_did(leader: Leader) -> None:
    """Their messages cross: the leader ends for good, and has not read the report yet."""
    leader.go()
    verdict: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
    threading.Thread(
        target=lambda: verdict.put(leader.member.failed(TransientError("connection reset by peer"))), daemon=True
    ).start()
    assert leader.hear() == Failed(attempt=1, code=ExitCode.TRANSIENT, why="connection reset by peer")
    leader.line.say(End(code=ExitCode.SUPERSEDED, why="It belongs to another."))
    assert isinstance(verdict.get(timeout=30), SupersededError)
    assert list(leader.heard) == [], "it hangs up by itself"


def test_a_report_of_a_failure_waits_for_the_leaders_answer(leader: Leader) -> None:
    """A node that leaves before it may miss that the leader ends for another reason."""
    leader.go()
    verdict: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
    error = TransientError("connection reset by peer")
    threading.Thread(target=lambda: verdict.put(leader.member.failed(error)), daemon=True).start()
    assert isinstance(leader.hear(), Failed)
    with pytest.raises(queue.Empty):
        verdict.get(timeout=0.3)
    leader.line.say(Noted())
    assert verdict.get(timeout=30) is error
