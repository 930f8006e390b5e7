"""How two nodes prove to each other that both hold the key of the run."""

import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.unit.trainer.rendezvous.peers import OTHER, RUN, SIGN, pair
from trainer.rendezvous import handshake
from trainer.rendezvous.handshake import Sign, admit, introduce
from trainer.rendezvous.line import Line, RefusedError
from trainer.rendezvous.messages import CHALLENGE, OF_LEADER, OF_MEMBER, WELCOME, Challenge, Done, Go, Hello, Welcome


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    """The leader's end of a connection, and a node's."""
    with pair() as (leader, other):
        yield leader, Line(other)


def meet(ends: tuple[Line, Line], *, node: Callable[[Line], None], leader: Sign = SIGN) -> object:
    """Let both ends do their part, and return the leader's result."""
    results: queue.SimpleQueue[object] = queue.SimpleQueue()

    def lead() -> None:
        try:
            results.put(admit(ends[0], leader, run_id=RUN, nodes=3))
        except RefusedError as error:
            results.put(str(error))
            ends[0].hang_up()

    threading.Thread(target=lead, daemon=True).start()
    node(ends[1])
    return results.get(timeout=30)


def test_both_ends_know_each_other_and_what_they_say_is_sealed(ends: tuple[Line, Line]) -> None:
    leader, node = ends
    assert meet(ends, node=lambda line: introduce(line, SIGN, run_id=RUN, node=2)) == 2
    node.say(Done(attempt=1))
    leader.say(Go(attempt=1))
    assert next(leader.hear(OF_MEMBER)) == Done(attempt=1)
    assert next(node.hear(OF_LEADER)) == Go(attempt=1)
    node.socket.sendall(b'{"say":"done","attempt":1}\n')
    with pytest.raises(RefusedError, match="seal"):
        next(leader.hear(OF_MEMBER))


@pytest.mark.parametrize(
    ("sign", "run", "node", "reason"),
    [
        (OTHER, RUN, 1, "does not have the key"),
        (SIGN, "receipts-00000002", 1, "does not have the key"),
        (SIGN, RUN, 3, "this run has 3 nodes"),
    ],
    ids=["another key", "another run", "no such node"],
)
def test_a_node_that_is_not_of_this_run_is_refused_and_hears_nothing(
    ends: tuple[Line, Line], sign: Sign, run: str, node: int, reason: str
) -> None:
    def knock(line: Line) -> None:
        with pytest.raises(RefusedError, match="connection was closed"):
            introduce(line, sign, run_id=run, node=node)

    assert reason in str(meet(ends, node=knock))


def test_the_proof_of_one_rank_is_none_of_another(ends: tuple[Line, Line]) -> None:
    """Not for somebody who changes the hello of a node on its way either."""

    def knock(line: Line) -> None:
        challenge = line.expect(CHALLENGE, until=time.monotonic() + 30)
        nonce = secrets.token_bytes(32)
        proof = handshake._Signed(SIGN, run_id=RUN, node=1, nonces=(challenge.nonce, nonce))("node")
        line.say(Hello(node=2, nonce=nonce, proof=proof))

    assert meet(ends, node=knock) == "it does not have the key of this run"


def test_a_recorded_hello_is_refused(ends: tuple[Line, Line]) -> None:
    with pair() as (leader, other):
        node = Line(other)
        recorded: list[Hello] = []

        def introduce_and_record(line: Line) -> None:
            say = line.say
            line.say = lambda message: (recorded.append(message), say(message))  # type: ignore
            introduce(line, SIGN, run_id=RUN, node=1)

        assert meet((leader, node), node=introduce_and_record) == 1

    def replay(line: Line) -> None:
        line.expect(CHALLENGE, until=time.monotonic() + 30)
        line.say(recorded[0])

    assert meet(ends, node=replay) == "it does not have the key of this run"


@pytest.mark.parametrize("proof", ["another key", "recorded", "returned"])
def test_a_peer_that_is_not_the_leader_is_refused(ends: tuple[Line, Line], proof: str) -> None:
    leader, node = ends
    refused: queue.SimpleQueue[str] = queue.SimpleQueue()

    def come() -> None:
        try:
            introduce(node, SIGN, run_id=RUN, node=1)
        except RefusedError as error:
            refused.put(str(error))

    threading.Thread(target=come, daemon=True).start()
    nonce = bytes(32)
    leader.say(Challenge(nonce=nonce))
    hello = leader.expect(handshake.HELLO, until=time.monotonic() + 30)
    proofs = {
        "another key": handshake._Signed(OTHER, run_id=RUN, node=1, nonces=(nonce, hello.nonce))("leader"),
        "recorded": handshake._Signed(SIGN, run_id=RUN, node=1, nonces=(nonce, bytes(32)))("leader"),
        "returned": hello.proof,
    }
    leader.say(Welcome(proof=proofs[proof]))
    assert refused.get(timeout=30) == "it does not have the key of this run"


def test_a_hello_has_ten_seconds_however_slowly_it_comes(
    ends: tuple[Line, Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handshake.HANDSHAKE == 10
    monkeypatch.setattr(handshake, "HANDSHAKE", 0.5)

    def drip(line: Line) -> None:
        line.socket.settimeout(0.05)
        line.expect(CHALLENGE, until=time.monotonic() + 30)
        line.socket.settimeout(0.05)
        while True:
            try:
                line.socket.sendall(b" ")
                if not line.socket.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    assert meet(ends, node=drip) == "it did not say who it is in time"


def test_a_member_gives_a_silent_leader_up(ends: tuple[Line, Line], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "HANDSHAKE", 0.2)
    with pytest.raises(RefusedError, match="in time"):
        introduce(ends[1], SIGN, run_id=RUN, node=1)


def test_what_is_sent_in_a_handshake_is_no_key_of_what_follows(ends: tuple[Line, Line]) -> None:
    """Somebody who has heard it all cannot speak afterwards."""
    sent: list[bytes] = []
    sealing = ends[0].seal
    signatures: list[bytes] = []

    def recorded(*, sent: bytes, heard: bytes) -> None:
        signatures.extend((sent, heard))
        sealing(sent=sent, heard=heard)

    ends[0].seal = recorded  # type: ignore[method-assign]

    def knock(line: Line) -> None:
        challenge = line.expect(CHALLENGE, until=time.monotonic() + 30)
        signed = handshake._Signed(SIGN, run_id=RUN, node=1, nonces=(challenge.nonce, bytes(32)))
        line.say(Hello(node=1, nonce=bytes(32), proof=signed("node")))
        welcome = line.expect(WELCOME, until=time.monotonic() + 30)
        sent.extend((challenge.nonce, signed("node"), welcome.proof))

    assert meet(ends, node=knock) == 1
    assert len({*sent, *signatures}) == 5


def test_a_port_that_speaks_first_in_another_protocol_is_refused(ends: tuple[Line, Line]) -> None:
    ends[0].socket.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
    with pytest.raises(RefusedError, match="not of this protocol"):
        introduce(ends[1], SIGN, run_id=RUN, node=1)


def test_a_handshake_with_a_closed_connection_is_refused(ends: tuple[Line, Line]) -> None:
    ends[0].socket.shutdown(socket.SHUT_RDWR)
    with pytest.raises(RefusedError, match="connection was closed"):
        introduce(ends[1], SIGN, run_id=RUN, node=1)
