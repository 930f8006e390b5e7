"""The leader's side alone: where it listens, and how it ends. What a gang does with it is in test_rendezvous.py."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from jobs.local.plan import free_ports
from trainer.errors import SupersededError
from trainer.rendezvous import server
from trainer.rendezvous.line import Line
from trainer.rendezvous.server import Server
from trainer.run.topology import Topology

RUN = "receipts-00000001"


def serve(*hosts: str) -> tuple[Server, int]:
    port = free_ports(1)
    topology = Topology(nodes=len(hosts), hosts=hosts, port=port)
    return Server(topology, run_id=RUN, claim=lambda: 1, retries=3, deadline=60), port


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


@pytest.fixture
def gang() -> Iterator[tuple[Server, Line]]:
    """A server, and the raw line of a node that has said hello."""
    made, port = serve("127.0.0.1", "127.0.0.1")
    with closing(made), closing(Line(socket.create_connection(("127.0.0.1", port)))) as line:
        line.say(say="hello", node=1, run=RUN)
        yield made, line


def test_no_thread_of_a_server_holds_up_the_end_of_its_process(gang: tuple[Server, Line]) -> None:
    _, line = gang
    line.say(say="done", attempt=7)
    assert next(line.hear())["say"] == "again", "so all three are at work"
    ours = [thread for thread in threading.enumerate() if thread.name.startswith("gang")]
    assert {thread.name for thread in ours} >= {"gang", "gang-door", "gang-ear"}
    assert all(thread.daemon for thread in ours)


def test_the_last_word_is_said_before_a_closed_server_hangs_up(gang: tuple[Server, Line]) -> None:
    made, line = gang
    line.say(say="done", attempt=7)
    heard = line.hear()
    assert next(heard)["say"] == "again"
    made.end(SupersededError("This run belongs to another now."))
    made.close()
    assert [(each["say"], each["why"]) for each in heard] == [("end", "This run belongs to another now.")]


def test_a_server_that_is_closed_first_does_what_it_was_told_before() -> None:
    """The bucket answers late; the leader ends for good meanwhile, and leaves."""
    port, claiming, answered = free_ports(1), threading.Event(), threading.Event()

    def claim() -> int:
        claiming.set()
        answered.wait(60)
        return 7

    topology = Topology(nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=port)
    made = Server(topology, run_id=RUN, claim=claim, retries=3, deadline=60)
    lines = [Line(socket.create_connection(("127.0.0.1", port))) for _ in range(2)]
    for rank, line in enumerate(lines):
        line.say(say="hello", node=rank, run=RUN)
        line.say(say="ready", stage="train", dataset="d")
    assert claiming.wait(30)
    made.end(SupersededError("This run belongs to another now."))
    closing_it = threading.Thread(target=made.close)
    closing_it.start()
    closing_it.join(0.5)
    waited = closing_it.is_alive()
    answered.set()
    closing_it.join(30)
    assert waited
    for line in lines:
        assert [message["say"] for message in line.hear()] == ["go", "end"]
        line.close()


def test_a_connection_that_comes_to_a_closed_server_is_refused(gang: tuple[Server, Line]) -> None:
    made, _ = gang
    port = made._topology.port
    made.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=30)


def test_the_last_word_has_some_seconds() -> None:
    assert server.LAST_WORD == 5


@pytest.mark.parametrize("rank", [-1, 2, 99])
def test_a_node_that_the_gang_has_no_place_for_is_turned_away(gang: tuple[Server, Line], rank: int) -> None:
    made, _ = gang
    with closing(Line(socket.create_connection(("127.0.0.1", made._topology.port)))) as line:
        line.say(say="hello", node=rank, run=RUN)
        line.say(say="done", attempt=1)
        assert list(line.hear()) == []


def test_a_pod_that_was_replaced_is_told_to_end_and_hung_up_on(gang: tuple[Server, Line]) -> None:
    """On a node that was cut off, it may still run."""
    made, old = gang
    heard = old.hear()
    old.say(say="done", attempt=7)
    assert next(heard)["say"] == "again", "so the old one is known"
    with closing(Line(socket.create_connection(("127.0.0.1", made._topology.port)))) as new:
        new.say(say="hello", node=1, run=RUN)
        assert list(heard) == [{"say": "end", "code": 75, "why": "Another pod has replaced node 1."}]
        new.say(say="done", attempt=7)
        assert next(new.hear())["say"] == "again", "the new one stays"


def test_a_connection_that_has_ended_is_forgotten() -> None:
    """Probes and port scanners come for as long as a run lasts."""
    made, port = serve("127.0.0.1", "127.0.0.1")
    with closing(made):
        with closing(Line(socket.create_connection(("127.0.0.1", port)))) as line:
            line.say(say="hello", node=1, run="another-00000002")
            assert list(line.hear()) == []
        for ear in [thread for thread in threading.enumerate() if thread.name == "gang-ear"]:
            ear.join(30)
        assert not made._lines


def test_a_node_that_waits_alone_hears_who_is_missing() -> None:
    """One of two nodes is there: the gang is not complete, so its deadline runs on."""
    port = free_ports(1)
    topology = Topology(nodes=2, hosts=("127.0.0.1", "127.0.0.1"), port=port)
    made = Server(topology, run_id=RUN, claim=lambda: 1, retries=3, deadline=2)
    with closing(made), closing(Line(socket.create_connection(("127.0.0.1", port)))) as line:
        line.say(say="hello", node=1, run=RUN)
        heard = next(line.hear())
        assert (heard["say"], heard["code"]) == ("end", 75)
        assert "node 0" in heard["why"].lower()


def test_a_gang_whose_attempt_cannot_be_claimed_hears_why() -> None:
    """Another object of the same run holds it now."""
    port = free_ports(1)
    topology = Topology(nodes=1, hosts=("127.0.0.1",), port=port)

    def claim() -> int:
        raise SupersededError("This run belongs to job-2 now.")

    made = Server(topology, run_id=RUN, claim=claim, retries=3, deadline=60)
    with closing(made), closing(Line(socket.create_connection(("127.0.0.1", port)))) as line:
        line.say(say="hello", node=0, run=RUN)
        line.say(say="ready", stage="train", dataset="d")
        heard = next(line.hear())
    assert (heard["say"], heard["code"], heard["why"]) == ("end", 46, "This run belongs to job-2 now.")


READY = {"say": "ready", "stage": "train", "dataset": "d"}


def test_a_stage_that_is_done_after_the_end_is_not_taken(gang: tuple[Server, Line]) -> None:
    """Its results are not kept: the gang was sent away from it."""
    made, second = gang
    with closing(Line(socket.create_connection(("127.0.0.1", made._topology.port)))) as first:
        first.say(say="hello", node=0, run=RUN)
        heard = first.hear()
        for line in (first, second):
            line.say(**READY)
        assert next(heard) == {"say": "go", "attempt": 1}
        made.end(SupersededError("A newer object runs."))
        assert next(heard)["say"] == "end"
        first.say(say="done", attempt=1)
        assert next(heard)["say"] == "again"


def test_a_node_that_was_ready_and_left_is_waited_for(gang: tuple[Server, Line]) -> None:
    made, second = gang
    second.say(**READY)
    second.say(say="done", attempt=7)
    assert next(second.hear())["say"] == "again", "so it is known to be ready"
    ears = [thread for thread in threading.enumerate() if thread.name == "gang-ear"]
    second.close()
    for ear in ears:  # one is this server's; others may be left of other tests, and are about to end
        ear.join(30)
    with (
        closing(Line(socket.create_connection(("127.0.0.1", made._topology.port)))) as first,
        closing(Line(socket.create_connection(("127.0.0.1", made._topology.port)))) as successor,
    ):
        first.say(say="hello", node=0, run=RUN)
        first.say(**READY)
        first.say(say="done", attempt=7)
        heard = first.hear()
        assert next(heard)["say"] == "again", "no attempt begins before both are there"
        successor.say(say="hello", node=1, run=RUN)
        successor.say(**READY)
        assert next(heard)["say"] == "go"
