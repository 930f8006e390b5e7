"""What another pod of the cluster tries that can open connections to a gang, and what a faulty node may say."""

import contextlib
import json
import logging
import os
import queue
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.local.plan import free_ports
from tests.unit.trainer.rendezvous.peers import OTHER, RUN, SIGN, admitted, find, introduced, raw
from tests.unit.trainer.rendezvous.test_rendezvous import DATA, Gang
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError, TransientError
from trainer.rendezvous import Member, handshake, server
from trainer.rendezvous import member as members
from trainer.rendezvous.line import RefusedError
from trainer.rendezvous.messages import OF_LEADER, Done, End, Failed, Go, Ready, encode
from trainer.rendezvous.server import Server
from trainer.run.topology import Topology

HELLO = encode({"say": "hello", "node": 1, "run": RUN})
"""Of the protocol before nodes proved who they are."""

FORGED = encode({"say": "hello", "node": 1, "nonce": b"n" * 32, "proof": b"p" * 32})

READY_WITHOUT_A_STAGE = b'{"say": "ready"}'


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "AGAIN", 0.05)


@pytest.fixture
def gang() -> Iterator[Gang]:
    with closing(Gang(2)) as made:
        yield made


def works(gang: Gang, attempt: int = 1) -> bool:
    """Whether a gang does a stage, as if nothing had happened."""
    together = gang.join("train") == dict.fromkeys(range(gang.nodes), attempt)
    for member in gang.members.values():
        member.done()
    return together


def attack(port: int, *said: bytes) -> bytes:
    """Connect as a stranger, say something, and return the answer once the other end has hung up."""
    with socket.create_connection(("127.0.0.1", port)) as line, suppress(OSError):
        line.settimeout(30)
        for each in said:
            line.sendall(each + b"\n")
        return b"".join(iter(lambda: line.recv(1 << 16), b""))
    return b""


@pytest.mark.parametrize(
    "said",
    [
        (HELLO, READY_WITHOUT_A_STAGE),
        (HELLO, b'{"say": "failed"}'),
        (FORGED, READY_WITHOUT_A_STAGE),
        (b'{"say": "hello", "node": "one", "run": "%s"}' % RUN.encode(),),
        (b'{"say": "hello", "node": 1e99, "run": "%s"}' % RUN.encode(),),
        (b"[" * 2000,),
    ],
    ids=["ready without a stage", "failed without facts", "forged", "a rank in words", "a large rank", "nested"],
)
def test_no_message_of_a_stranger_ends_a_gang(gang: Gang, said: tuple[bytes, ...]) -> None:
    attack(gang.port, *said)
    assert works(gang)


@pytest.mark.parametrize("hello", [HELLO, FORGED], ids=["without a proof", "with a wrong proof"])
def test_no_stranger_takes_the_place_of_a_node(gang: Gang, hello: bytes) -> None:
    gang.join("train")
    assert attack(gang.port, hello, encode(Failed(attempt=1, code=ExitCode.DIVERGED, why="It lies."))).count(b"\n") == 1
    for rank, member in gang.members.items():
        member.done()
        assert gang.lost[rank].empty()


def test_a_node_with_another_key_is_refused_and_the_gang_works(gang: Gang, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(RefusedError):
        introduced(gang.port, sign=OTHER)
    assert works(gang)
    assert "Closed a connection from 127.0.0.1: it does not have the key of this run." in caplog.text


def test_a_recorded_connection_is_worthless(gang: Gang) -> None:
    """All that a node has said, said once more."""
    recorded = bytearray()
    port = free_ports(1)
    gang.members[1].close()
    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1",) * 2, port=port)
        with closing(Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=lambda _: None)) as member:
            node, _ = listener.accept()
            with node, socket.create_connection(("127.0.0.1", gang.port)) as leader:
                up = threading.Thread(target=relay, args=(node, leader, recorded.extend), daemon=True)
                down = threading.Thread(target=relay, args=(leader, node, len), daemon=True)
                up.start()
                down.start()
                joined = threading.Thread(target=member.join, args=("train",), kwargs={"dataset": DATA})
                joined.start()
                assert gang.join("train", 0) == {0: 1}
                joined.join(30)
                leader.shutdown(socket.SHUT_RDWR)
                up.join(30)
                down.join(30)
    assert b'"ready"' in recorded
    gang.members[1] = gang.member(1)
    gang.lost[0].get(timeout=30)
    assert gang.join("train") == {0: 2, 1: 2}
    assert b'"welcome"' not in attack(gang.port, bytes(recorded))
    for rank, member in gang.members.items():
        member.done()
        assert gang.lost[rank].empty()


def relay(source: socket.socket, target: socket.socket, see: Callable[[bytes], object]) -> None:
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            see(chunk)
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def test_who_passes_the_proofs_on_cannot_speak_afterwards(gang: Gang) -> None:
    """A pod to which the leader's name led: it ends the connection, and not the gang."""
    ended = encode(End(code=ExitCode.SPEC, why="Delete your datasets.")) + b"\n"
    inserted = threading.Event()
    port = free_ports(1)
    gang.members[1].close()
    with closing(socket.create_server(("127.0.0.1", port))) as listener:
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1",) * 2, port=port)
        lost: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
        with closing(Member(topology, run_id=RUN, sign=find, deadline=1, on_lost=lost.put)) as member:
            node, _ = listener.accept()
            listener.close()
            with node, socket.create_connection(("127.0.0.1", gang.port)) as leader:
                threading.Thread(target=relay, args=(node, leader, len), daemon=True).start()

                def insert(chunk: bytes) -> None:
                    if b'"go"' in chunk:
                        inserted.set()

                def down() -> None:
                    relay(leader, node, insert)

                threading.Thread(target=down, daemon=True).start()
                threading.Thread(target=gang.members[0].join, args=("train",), kwargs={"dataset": DATA}).start()
                assert member.join("train", dataset=DATA) == 1
                assert inserted.wait(30)
                node.sendall(ended)
                reason = lost.get(timeout=30)
            assert reason.exit_code == ExitCode.TRANSIENT
            assert "Delete" not in str(reason)
            with pytest.raises(TransientError, match="was out of reach") as missed:
                member.join("train", dataset=DATA)
            assert "does not have the seal" in str(missed.value)


@pytest.mark.parametrize(
    "said",
    [
        READY_WITHOUT_A_STAGE,
        b'{"say": "hello", "node": 0, "run": "%s"}' % RUN.encode(),
        b'{"say": "done"}',
        b'{"say": "failed", "attempt": 1, "code": 45000, "why": "x"}',
        b'{"say": "go", "attempt": 1}',
        b'{"say": "shutdown"}',
        b"x" * 100_000,
        b"\xff\xfe",
    ],
    ids=lambda said: str(said[:40]),
)
def test_a_node_that_breaks_the_protocol_costs_its_connection_and_no_more(
    gang: Gang, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the key. Its gang takes it for lost, and works once a good one is back."""
    gang.join("train")
    gang.members[1].close()
    assert "Node 1 was lost" in gang.lost[0].get(timeout=30)
    with closing(introduced(gang.port)) as line:
        raw(line, said)
        assert list(line.hear(OF_LEADER)) == []
    gang.members[1] = gang.member(1)
    assert works(gang, attempt=2)
    assert "Closed a connection from 127.0.0.1: a message is" in caplog.text


def test_nothing_that_a_stranger_says_is_in_the_log(gang: Gang, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for said in (b'{"say": "\\u001b]52;c;WORDS"}', b"WORDS", b'{"say": "hello", "node": 1, "run": "WORDS"}'):
        attack(gang.port, said)
    assert works(gang)
    assert "WORDS" not in caplog.text
    assert "not of this protocol" in caplog.text


def test_what_a_node_says_comes_without_control_characters(gang: Gang) -> None:
    gang.join("train")
    gang.members[1].failed(TransientError("Worker 3: \x1b]52;c;bHM=\x07\x9b2J fell.\nIt said so."))
    assert gang.lost[0].get(timeout=30) == "Node 1 was lost: Worker 3:  ]52;c;bHM=  2J fell. It said so."


def test_a_flood_of_strangers_does_not_fill_the_log(gang: Gang, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(200):
        attack(gang.port, b"noise")
    assert works(gang)
    assert caplog.text.count("Closed a connection") < 100


def test_idle_connections_do_not_keep_nodes_out(gang: Gang) -> None:
    gang.members[1].close()
    with contextlib.ExitStack() as idle:
        for _ in range(2 * server.STRANGERS):
            idle.enter_context(socket.create_connection(("127.0.0.1", gang.port)))
        gang.members[1] = gang.member(1)
        assert works(gang)
        assert len([thread for thread in threading.enumerate() if thread.name == "gang-ear"]) < 2 * server.STRANGERS


def test_idle_connections_are_closed(gang: Gang, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE", 0.2)
    attack(gang.port)
    assert works(gang)


GANG_OF_FEW_DESCRIPTORS = """
import logging, os, queue, resource, sys
from contextlib import closing
from logging.handlers import QueueHandler
from tests.unit.trainer.rendezvous.test_rendezvous import Gang
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
with closing(Gang(2)) as gang:
    gang.join("train")
    gang.members[1].close()
    gang.lost[0].get(timeout=30)
    logged, taken = queue.SimpleQueue(), []
    logging.getLogger("trainer").addHandler(QueueHandler(logged))
    if sys.argv[1:] == ["taken"]:
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
    print(gang.port, flush=True)
    print(logged.get(timeout=60).getMessage(), flush=True)
    sys.stdin.readline()
    for each in taken:
        os.close(each)
    gang.members[1] = gang.member(1)
    print(sorted(gang.join("train").items()), flush=True)
"""


@pytest.mark.parametrize("argument", ["", "taken"], ids=["by a flood", "by others"])
def test_file_descriptors_that_are_taken_do_not_keep_nodes_out(argument: str) -> None:
    """In another process, since the limit is the server's. Accepting fails while none is left, and works again."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", GANG_OF_FEW_DESCRIPTORS, argument],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        contextlib.ExitStack() as idle,
    ):
        assert process.stdout
        port = int(process.stdout.readline())
        for _ in range(100):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
        logged = process.stdout.readline()
        out, err = process.communicate("go\n", timeout=60)
    assert out == "[(0, 2), (1, 2)]\n", err
    assert ("Too many open files" in logged) == (argument == "taken")


@pytest.mark.parametrize(("limit", "places"), [(64, 8), (1024, 68), (resource.RLIM_INFINITY, 68)])
def test_strangers_take_at_most_an_eighth_of_the_file_descriptors(
    monkeypatch: pytest.MonkeyPatch, limit: int, places: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    with closing(Gang(2)) as gang:
        assert gang.server._places == places


class Leader:
    """A member, and the listener that it takes for its leader's."""

    def __init__(self, *, deadline: float = 60) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.lost: queue.SimpleQueue[OcrfleetError] = queue.SimpleQueue()
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1",) * 2, port=self.listener.getsockname()[1])
        self.member = Member(topology, run_id=RUN, sign=find, deadline=deadline, on_lost=self.lost.put)

    def works(self) -> bool:
        """Whether the member still meets its leader."""
        line, rank = admitted(self.listener)
        with closing(line):
            line.say(Go(attempt=7))
            return rank == 1 and self.member.join("train", dataset=DATA) == 7

    def close(self) -> None:
        self.member.close()
        self.listener.close()


@pytest.fixture
def leader() -> Iterator[Leader]:
    with closing(Leader()) as made:
        yield made


@pytest.mark.parametrize(
    "said",
    [b'{"say": "go"}', b'{"say": "end", "code": 40, "why": "Go away."}', b'{"say": "welcome"}', b"[]", b"x" * 5000],
    ids=lambda said: str(said[:40]),
)
def test_a_leader_without_a_proof_is_not_obeyed(leader: Leader, said: bytes) -> None:
    with closing(leader.listener.accept()[0]) as line:
        line.settimeout(30)
        line.sendall(said + b"\n")
        with suppress(OSError):
            assert line.recv(1) == b""
    assert leader.works()


@pytest.mark.parametrize(
    "said", [b'{"say": "go"}', b'{"say": "go", "attempt": null}', b'{"say": "end"}', b"null"], ids=str
)
def test_a_leader_that_breaks_the_protocol_is_left_and_met_again(leader: Leader, said: bytes) -> None:
    line, _ = admitted(leader.listener)
    with closing(line):
        raw(line, said)
        raw(line, said)
    assert leader.works()


def test_a_leader_with_another_key_is_named_when_the_deadline_expires() -> None:
    with closing(Leader(deadline=0.5)) as leader:
        for _ in range(2):  # when it comes again, it knows why it was refused
            with pytest.raises(RefusedError):
                admitted(leader.listener, sign=OTHER)
        with pytest.raises(TransientError, match="the nodes did not meet: the connection was closed before") as missed:
            leader.member.join("train", dataset=DATA)
        assert "Node 0 (127.0.0.1) was out of reach for 0 s" in str(missed.value)


SAID = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {
            "say": st.sampled_from(
                ["hello", "ready", "done", "failed", "go", "again", "end", "past", "noted", "welcome"]
            )
        },
        optional={
            name: st.none() | st.integers() | st.text(max_size=40) | st.lists(st.integers(), max_size=2)
            for name in ("node", "run", "nonce", "proof", "stage", "dataset", "attempt", "code", "why")
        },
    ).map(lambda value: json.dumps(value).encode()),
)
"""Lines, of which many are nearly messages."""

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@FUZZ
@given(said=st.lists(SAID, min_size=1, max_size=4), sealed=st.booleans())
def test_no_garbage_kills_a_thread_of_the_server(gang: Gang, said: list[bytes], sealed: bool) -> None:
    if not sealed:
        with socket.create_connection(("127.0.0.1", gang.port)) as stranger, suppress(OSError):
            for each in said:
                stranger.sendall(each + b"\n")
    else:
        with closing(introduced(gang.port)) as node:
            for each in said:
                raw(node, each)
    alive = {thread.name for thread in threading.enumerate()}
    assert {"gang", "gang-door"} <= alive
    # The gang thread still answers, with what nobody is told after an unexpected failure.
    with closing(introduced(gang.port)) as node:
        node.say(Done(attempt=999))
        assert type(next(node.hear(OF_LEADER))).__name__ in ("Again", "End")
    assert "unexpectedly" not in (gang.server._final.why if gang.server._final else "")


@FUZZ
@given(said=st.lists(SAID, min_size=1, max_size=4), sealed=st.booleans())
def test_no_garbage_kills_the_thread_of_a_member(said: list[bytes], sealed: bool) -> None:
    with closing(Leader()) as leader:
        if sealed:
            line, _ = admitted(leader.listener)
            with closing(line):
                for each in said:
                    raw(line, each)
        else:
            with closing(leader.listener.accept()[0]) as stranger, suppress(OSError):
                for each in said:
                    stranger.sendall(each + b"\n")
        if not leader.member.ended:
            with suppress(TimeoutError):
                leader.listener.settimeout(5)
                line, _ = admitted(leader.listener)
                line.close()
                return
        # Only an order of a leader that has the key may end it.
        assert sealed
        assert leader.member.ended
        assert "unexpectedly" not in str(leader.member.ended)


def test_a_fault_of_the_gangs_thread_ends_all_nodes_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """Such as an unreadable note in the bucket."""
    port = free_ports(1)
    topology = Topology(nodes=2, hosts=("127.0.0.1",) * 2, port=port)

    def claim() -> int:
        raise KeyError("process")

    made = Server(topology, run_id=RUN, sign=SIGN, claim=claim, retries=3, deadline=60)
    with closing(made), closing(introduced(port, node=0)) as first, closing(introduced(port, node=1)) as second:
        for line in (first, second):
            line.say(Ready(stage="train", dataset="d"))
        for line in (first, second):
            end = next(line.hear(OF_LEADER))
            assert isinstance(end, End)
            assert end.code == ExitCode.TRANSIENT
            assert "failed unexpectedly (KeyError)" in end.why
    assert "raise KeyError" in caplog.text, "the traceback"


def test_a_fault_of_the_door_ends_all_nodes_with_a_sentence(gang: Gang, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that is broken accepts nobody any more: a node that is lost could never come back."""
    gang.join("train")
    gang.server._listener.shutdown(socket.SHUT_RDWR)
    for rank in (0, 1):
        assert "failed unexpectedly (OSError)" in gang.lost[rank].get(timeout=30)
        with pytest.raises(TransientError, match="failed unexpectedly"):
            gang.members[rank].join("train", dataset=DATA)
    assert "Traceback" in caplog.text


def test_a_fault_of_a_members_thread_ends_the_node_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    def fall(_: OcrfleetError) -> None:
        raise KeyError("worker")

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(30)
        topology = Topology(node_rank=1, nodes=2, hosts=("127.0.0.1",) * 2, port=listener.getsockname()[1])
        with closing(Member(topology, run_id=RUN, sign=find, deadline=60, on_lost=fall)) as member:
            line, _ = admitted(listener)
            with closing(line):
                line.say(Go(attempt=1))
                assert member.join("train", dataset=DATA) == 1
            with pytest.raises(TransientError, match=r"failed unexpectedly \(KeyError\)"):
                member.join("train", dataset=DATA)
    assert "raise KeyError" in caplog.text, "the traceback"


def test_a_stranger_that_finds_a_fault_of_the_handshake_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    port, faults = free_ports(1), iter([KeyError("fault")])

    def sign(data: bytes) -> bytes:
        for fault in faults:
            raise fault
        return SIGN(data)

    topology = Topology(nodes=1, hosts=("127.0.0.1",), port=port)
    made = Server(topology, run_id=RUN, sign=sign, claim=lambda: 1, retries=3, deadline=60)
    with closing(made):
        attack(port, FORGED)
        with closing(introduced(port, node=0)) as line:
            line.say(Ready(stage="train", dataset="d"))
            assert next(line.hear(OF_LEADER)) == Go(attempt=1)
    assert "the handshake failed unexpectedly" in caplog.text


def test_a_connection_of_a_stranger_has_ten_seconds_and_64_places() -> None:
    assert (handshake.HANDSHAKE, server.STRANGERS) == (10, 64)
