"""The leader's side alone: where it listens, and how it ends. What a gang does with it is in test_rendezvous.py."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from jobs.local.plan import free_ports
from tests.unit.trainer.rendezvous.peers import RUN, SIGN, connected, introduced
from trainer.contract import ExitCode
from trainer.errors import SupersededError
from trainer.rendezvous import server
from trainer.rendezvous.line import Line, RefusedError
from trainer.rendezvous.messages import CHALLENGE, OF_LEADER, Again, Done, End, Go, OfLeader, Past, Ready
from trainer.rendezvous.server import Server
from trainer.run.topology import Topology


def serve(*hosts: str) -> tuple[Server, int]:
    port = free_ports(1)
    topology = Topology(nodes=len(hosts), hosts=hosts, port=port)
    return Server(topology, run_id=RUN, sign=SIGN, claim=lambda: 1, retries=3, deadline=60), port


@pytest.mark.parametrize(
    ("hosts", "reached"),
    [(("127.0.0.1", "node-1"), False), (("node-0", "127.0.0.1"), True), (("node-0", "node-1"), True)],
    ids=["on this machine", "led by another name", "on several"],
)
def test_a_gang_of_this_machine_is_out_of_reach_for_others(hosts: tuple[str, str], reached: bool) -> None:
    """127.0.0.2 stands for any other address of the machine."""
    made, port = serve(*hosts)
    with closing(made):
        socket.create_connection(("127.0.0.1", port), timeout=30).close()
        if reached:
            socket.create_connection(("127.0.0.2", port), timeout=30).close()
            return
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=30)


def test_a_connection_for_which_no_thread_can_be_started_leaves_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one connection, one that keeps its place would keep all nodes out."""
    monkeypatch.setattr(server, "_places", lambda _: 1)
    made, port = serve("127.0.0.1", "127.0.0.1")
    start, failures = threading.Thread.start, iter(range(2))

    def start_later(thread: threading.Thread) -> None:
        if thread.name == "gang-ear" and next(failures, None) is not None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_later)
    with closing(made):
        for _ in range(2):
            with socket.create_connection(("127.0.0.1", port), timeout=30) as refused:
                assert refused.recv(1) == b"", "it is closed"
        introduced(port).close()


LOST = Again(why="A peer was lost.")
READY = Ready(stage="train", dataset="d")
SUPERSEDED = SupersededError("This run belongs to another now.")
ENDED = End(code=ExitCode.SUPERSEDED, why="This run belongs to another now.")


@pytest.fixture
def gang() -> Iterator[tuple[Server, Line]]:
    """A server, and the line of a node that it knows."""
    made, port = serve("127.0.0.1", "127.0.0.1")
    with closing(made), closing(introduced(port)) as line:
        yield made, line


def heard(line: Line) -> OfLeader:
    """The next message."""
    return next(line.hear(OF_LEADER))


def closed(made: Server) -> threading.Thread:
    """Close a server, in another thread, since it waits until its nodes hang up."""
    thread = threading.Thread(target=made.close)
    thread.start()
    return thread


def test_no_thread_of_a_server_holds_up_the_end_of_its_process(gang: tuple[Server, Line]) -> None:
    _, line = gang
    line.say(Done(attempt=7))
    assert heard(line) == LOST, "so all three are at work"
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("gang")]
    assert {thread.name for thread in ours} >= {"gang", "gang-door", "gang-ear"}
    assert all(thread.daemon for thread in ours)


def test_the_last_word_is_said_before_a_closed_server_hangs_up(gang: tuple[Server, Line]) -> None:
    made, line = gang
    line.say(Done(attempt=7))
    assert heard(line) == LOST
    made.end(SUPERSEDED)
    closing_it = closed(made)
    assert list(line.hear(OF_LEADER)) == [ENDED]
    line.close()
    closing_it.join(30)


def test_a_node_may_finish_its_sentence_after_the_last_word(gang: tuple[Server, Line]) -> None:
    """What arrives at a closed connection is answered with a reset, which can overtake the last word."""
    made, line = gang
    made.end(SUPERSEDED)
    closing_it = closed(made)
    assert list(line.hear(OF_LEADER)) == [ENDED]
    for _ in range(2):
        line.socket.sendall(b"a line that was on its way\n")
        assert line.socket.recv(1) == b""
    line.close()
    closing_it.join(30)


def test_a_node_that_connects_after_the_end_hears_it_too(gang: tuple[Server, Line]) -> None:
    """Its line broke just then."""
    made, line = gang
    made.end(SUPERSEDED)
    assert heard(line) == ENDED
    for node in (0, 1):
        with closing(introduced(made._topology.port, node=node)) as late:
            assert heard(late) == ENDED


def test_nodes_that_leave_after_the_end_are_not_missing() -> None:
    port = free_ports(1)
    topology = Topology(nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=port)
    made = Server(topology, run_id=RUN, sign=SIGN, claim=lambda: 1, retries=3, deadline=0.5)
    with closing(made), closing(introduced(port, node=0)) as first:
        with closing(introduced(port, node=1)):
            made.end(SUPERSEDED)
            hearing = first.hear(OF_LEADER)
            assert next(hearing) == ENDED
        first.socket.settimeout(1.5)
        assert list(hearing) == [], "nothing until the time is up"


def test_a_peer_that_does_not_hang_up_cannot_hold_up_the_end(
    gang: tuple[Server, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "LAST_WORD", 0.2)
    made, line = gang
    made.close()
    assert list(line.hear(OF_LEADER)) == []
    with made._changed:
        assert made._changed.wait_for(lambda: not made._known, timeout=30)


def test_strangers_are_hung_up_on_when_a_server_closes(gang: tuple[Server, Line]) -> None:
    made, line = gang
    with closing(connected(made._topology.port)) as stranger:
        stranger.expect(CHALLENGE, until=time.monotonic() + 30)
        line.close()
        made.close()
        stranger.socket.settimeout(5)  # less than it has to say who it is
        assert stranger.socket.recv(1) == b""


def test_a_node_that_is_ready_when_the_stage_is_kept_hears_that_it_is_past(gang: tuple[Server, Line]) -> None:
    made, line = gang
    line.say(READY)
    line.say(Done(attempt=7))
    assert heard(line) == LOST, "so it is known to be ready"
    made.keep("train")
    assert heard(line) == Past()


def test_lines_that_are_not_logged_are_counted(gang: tuple[Server, Line], caplog: pytest.LogCaptureFixture) -> None:
    made, _ = gang
    for number in range(4):
        made._log(f"line {number}.")
    made._logged -= server.PAUSE
    made._log("line 4.")
    made._logged -= server.PAUSE
    made._log("line 5.")
    assert caplog.messages == [
        "line 0.",
        "line 4. 3 like this since the last one are not logged.",
        "line 5.",
    ]


def test_a_server_that_is_closed_first_does_what_it_was_told_before() -> None:
    """The bucket answers late; the leader ends for good meanwhile, and leaves."""
    port, claiming, answered = free_ports(1), threading.Event(), threading.Event()

    def claim() -> int:
        claiming.set()
        answered.wait(60)
        return 7

    topology = Topology(nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=port)
    made = Server(topology, run_id=RUN, sign=SIGN, claim=claim, retries=3, deadline=60)
    lines = [introduced(port, node=rank) for rank in range(2)]
    for line in lines:
        line.say(READY)
    assert claiming.wait(30)
    made.end(SUPERSEDED)
    closing_it = closed(made)
    closing_it.join(0.5)
    waited = closing_it.is_alive()
    answered.set()
    assert waited
    for line in lines:
        assert list(line.hear(OF_LEADER)) == [Go(attempt=7), ENDED]
        line.close()
    closing_it.join(30)


def test_a_connection_that_comes_to_a_closed_server_is_refused(gang: tuple[Server, Line]) -> None:
    made, line = gang
    line.close()
    made.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made._topology.port), timeout=30)


def test_the_last_word_has_some_seconds() -> None:
    assert server.LAST_WORD == 5


@pytest.mark.parametrize("rank", [2, 99])
def test_a_node_that_the_gang_has_no_place_for_is_turned_away(gang: tuple[Server, Line], rank: int) -> None:
    made, _ = gang
    with pytest.raises(RefusedError):
        introduced(made._topology.port, node=rank)


def test_a_pod_that_was_replaced_is_told_to_end_and_hung_up_on(gang: tuple[Server, Line]) -> None:
    """On a node that was cut off, it may still run."""
    made, old = gang
    hearing = old.hear(OF_LEADER)
    old.say(Done(attempt=7))
    assert next(hearing) == LOST, "so the old one is known"
    with closing(introduced(made._topology.port)) as new:
        assert list(hearing) == [End(code=ExitCode.TRANSIENT, why="Another pod has replaced node 1.")]
        old.say(READY)
        new.say(Done(attempt=7))
        assert heard(new) == LOST, "the new one stays"


def test_a_connection_that_has_ended_is_forgotten() -> None:
    """Probes and port scanners come for as long as a run lasts."""
    made, port = serve("127.0.0.1", "127.0.0.1")
    with closing(made):
        with pytest.raises(RefusedError):
            introduced(port, run="another-00000002")
        connected(port).close()
        introduced(port).close()
        with made._changed:
            assert made._changed.wait_for(lambda: not made._strangers and not made._known, timeout=30)


def test_a_node_that_waits_alone_hears_who_is_missing() -> None:
    """One of two nodes is there: the gang is not complete, so its deadline runs on."""
    port = free_ports(1)
    topology = Topology(nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=port)
    made = Server(topology, run_id=RUN, sign=SIGN, claim=lambda: 1, retries=3, deadline=2)
    with closing(made), closing(introduced(port)) as line:
        answer = heard(line)
        assert isinstance(answer, End)
        assert answer.code == 75
        assert "node 0" in answer.why.lower()


def test_a_gang_whose_attempt_cannot_be_claimed_hears_why() -> None:
    """Another object of the same run holds it now."""
    port = free_ports(1)
    topology = Topology(nodes=1, hosts=("127.0.0.1",), port=port)

    def claim() -> int:
        raise SupersededError("This run belongs to job-2 now.")

    made = Server(topology, run_id=RUN, sign=SIGN, claim=claim, retries=3, deadline=60)
    with closing(made), closing(introduced(port, node=0)) as line:
        line.say(READY)
        assert heard(line) == End(code=ExitCode.SUPERSEDED, why="This run belongs to job-2 now.")


def test_a_stage_that_is_done_after_the_end_is_not_taken(gang: tuple[Server, Line]) -> None:
    """Its results are not kept: the gang was sent away from it."""
    made, second = gang
    with closing(introduced(made._topology.port, node=0)) as first:
        for line in (first, second):
            line.say(READY)
        assert heard(first) == Go(attempt=1)
        made.end(SUPERSEDED)
        assert heard(first) == ENDED
        first.say(Done(attempt=1))
        assert heard(first) == LOST


def test_a_node_that_was_ready_and_left_is_waited_for(gang: tuple[Server, Line]) -> None:
    made, second = gang
    second.say(READY)
    second.say(Done(attempt=7))
    assert heard(second) == LOST, "so it is known to be ready"
    ears = [thread for thread in threading.enumerate() if thread.name == "gang-ear"]
    second.close()
    for ear in ears:  # one is this server's; others may be left of other tests, and are about to end
        ear.join(30)
    with (
        closing(introduced(made._topology.port, node=0)) as first,
        closing(introduced(made._topology.port, node=1)) as successor,
    ):
        first.say(READY)
        first.say(Done(attempt=7))
        assert heard(first) == LOST, "no attempt begins before both are there"
        successor.say(READY)
        assert heard(first) == Go(attempt=1)
