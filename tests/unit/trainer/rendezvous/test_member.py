"""A node's side alone, against a raw leader that says what a test wants. Gangs are in test_rendezvous.py."""

import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest

from jobs.local.plan import free_ports
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError, StoppedError, SupersededError, TransientError
from trainer.rendezvous import member as module
from trainer.rendezvous.line import Line, Message
from trainer.rendezvous.member import Member, PastError, PeerLostError
from trainer.run.topology import Topology


class Leader:
    """The other end of a member's line."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.lost: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=self.listener.getsockname()[1])
        self.member = Member(topology, run_id="r-1", deadline=60, on_lost=self.lost.put)
        self.accept()

    def accept(self) -> None:
        self.line = Line(self.listener.accept()[0])
        self.heard: Any = self.line.hear()
        self.hello = self.hear()

    def hang_up(self) -> None:
        self.line.close()
        self.heard.close()  # a hearing that is left under way keeps the socket open

    def hear(self) -> Message:
        return next(self.heard)

    def go(self, attempt: int = 1) -> int:
        """Let the member begin to train."""
        got: queue.SimpleQueue[int] = queue.SimpleQueue()
        threading.Thread(target=lambda: got.put(self.member.join("train", dataset="d")), daemon=True).start()
        assert self.hear() == {"say": "ready", "stage": "train", "dataset": "d"}
        self.line.say(say="go", attempt=attempt)
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
    assert leader.hello == {"say": "hello", "node": 1, "run": "r-1"}
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
        with closing(Member(topology, run_id="r-1", deadline=60, on_lost=lambda _: None)) as member:
            with closing(Line(listener.accept()[0])) as line:
                line.say(say="past")
                with pytest.raises(PastError):
                    member.join("train", dataset="d")
            assert member.leader_address == address


def test_done_names_the_attempt_and_waits_for_the_leaders_word(leader: Leader) -> None:
    leader.go(attempt=4)
    ended: queue.SimpleQueue[object] = queue.SimpleQueue()
    threading.Thread(target=lambda: ended.put(leader.member.done()), daemon=True).start()
    assert leader.hear() == {"say": "done", "attempt": 4}
    assert ended.empty()
    leader.line.say(say="noted")
    assert ended.get(timeout=30) is None


def test_a_failure_is_said_with_its_code_and_a_lost_peer_is_not(leader: Leader) -> None:
    leader.go()
    told = threading.Thread(target=lambda: leader.member.failed(TransientError("Killed.")), daemon=True)
    told.start()
    assert leader.hear() == {"say": "failed", "attempt": 1, "code": int(ExitCode.TRANSIENT), "why": "Killed."}
    leader.line.say(say="noted")
    told.join(30)
    leader.go(attempt=2)
    for error in (PeerLostError("another"), StoppedError("told to stop")):
        assert leader.member.failed(error) is error
    assert leader.go(attempt=3) == 3, "nothing was said in between"


def test_a_call_back_ends_the_work_and_the_next_attempt_is_joined(leader: Leader) -> None:
    leader.go()
    leader.line.say(say="again", why="Node 2 was lost.")
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
    assert leader.hello == {"say": "hello", "node": 1, "run": "r-1"}
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
    with closing(Member(topology, run_id="r-1", deadline=60, on_lost=lambda _: None)):
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
    with closing(Member(topology, run_id="r-1", deadline=60, on_lost=lambda _: None)):
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
    assert leader.hear()["say"] == "ready"
    leader.hang_up()
    leader.accept()
    assert leader.hear() == {"say": "ready", "stage": "train", "dataset": "d"}
    leader.line.say(say="go", attempt=9)
    assert got.get(timeout=30) == 9


def test_a_stage_that_is_past_is_not_waited_for(leader: Leader) -> None:
    leader.line.say(say="past")
    with pytest.raises(PastError):
        leader.member.join("train", dataset="d")


def test_an_end_between_two_stages_ends_nothing_that_is_at_work(leader: Leader) -> None:
    leader.line.say(say="end", code=int(ExitCode.SUPERSEDED), why="It belongs to another.")
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
    assert leader.hear()["say"] == "done"
    leader.line.say(say="end", code=int(ExitCode.SUPERSEDED), why="It belongs to another.")
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
    leader.line.say(say="end", code=int(ExitCode.SUPERSEDED), why="It belongs to another.")
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
    assert leader.hear()["say"] == "ready"
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
    assert leader.hear()["say"] == "ready"
    leader.member._deadline = 3.0
    leader.hang_up()
    leader.accept()
    assert leader.hear()["say"] == "ready"
    with pytest.raises(queue.Empty):  # well over the deadline that ran while the leader was away
        ends.get(timeout=6)
    leader.line.say(say="go", attempt=1)
    assert ends.get(timeout=30) == 1
