"""One connection between two supervisors: what is said, what is heard, and when a silent peer is given up."""

import hmac
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.unit.trainer.rendezvous import peers
from trainer.rendezvous.line import LONGEST, Line, RefusedError
from trainer.rendezvous.messages import CHALLENGE, OF_LEADER, OF_MEMBER, Challenge, Done, Go, Message, Past

FIRST, SECOND = bytes(32), bytes(range(32))
"""Keys of the two directions."""

DONE = b'{"say": "done", "attempt": 1}'


@pytest.fixture
def pair() -> Iterator[tuple[Line, socket.socket]]:
    """A line, and the raw other end of it."""
    with peers.pair() as made:
        yield made


@pytest.fixture
def sealed() -> Iterator[tuple[Line, Line]]:
    """Both ends of a connection whose nodes know each other."""
    with peers.pair() as (line, other):
        far = Line(other)
        line.seal(sent=FIRST, heard=SECOND)
        far.seal(sent=SECOND, heard=FIRST)
        yield line, far


def heard(line: Line, other: socket.socket, *said: bytes) -> list[Message]:
    """What a line hears of what its other end says before it hangs up."""
    for message in said:
        other.sendall(message)
    other.shutdown(socket.SHUT_WR)
    return list(line.hear(OF_MEMBER))


def test_a_message_is_one_line_of_json(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    line.say(Go(attempt=2))
    with other.makefile("rb") as stream:
        assert json.loads(stream.readline()) == {"say": "go", "attempt": 2}


def test_messages_are_heard_in_their_order_until_the_other_end_hangs_up(pair: tuple[Line, socket.socket]) -> None:
    assert heard(*pair, DONE + b'\n{"sa', b'y": "done", "attempt": 2}\n') == [Done(attempt=1), Done(attempt=2)]


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1",
        b"[]",
        b'["say"]',
        b'"say"',
        b"{}",
        b"",
        b"\xff",
        b'{"attempt": 1}',
        b'{"say": "done"}',
        b'{"say": "done", "attempt": "1"}',
        b'{"say": "done", "attempt": -1}',
        b'{"say": "done", "attempt": 1e999}',
        b'{"say": "done", "attempt": 1, "node": 2}',
        b'{"say": "ready", "dataset": "d"}',
        b'{"say": "ready", "stage": "\xff", "dataset": "d"}',
        b'{"say": "failed", "attempt": 1, "code": 3, "why": ""}',
        b'{"say": "go", "attempt": 1}',
        b'{"say": ' + b"[" * 500 + b"]" * 500 + b"}",
    ],
    ids=str,
)
def test_what_is_not_of_this_protocol_is_refused(pair: tuple[Line, socket.socket], noise: bytes) -> None:
    line, other = pair
    other.sendall(DONE + b"\n" + noise + b"\n" + DONE + b"\n")
    hearing = line.hear(OF_MEMBER)
    assert next(hearing) == Done(attempt=1)
    with pytest.raises(RefusedError, match=r"^a message is not of this protocol$"):
        next(hearing)


def test_what_is_nested_without_end_is_refused(sealed: tuple[Line, Line]) -> None:
    line, far = sealed
    peers.raw(far, b'{"x": ' + b"[" * 60_000)
    with pytest.raises(RefusedError, match="not of this protocol"):
        next(line.hear(OF_MEMBER))


@pytest.mark.parametrize(("size", "fits"), [(1 << 10, True), ((1 << 10) + 1, False)])
def test_a_message_of_a_stranger_has_at_most_1_kib(pair: tuple[Line, socket.socket], size: int, fits: bool) -> None:
    """One that sends without end must not fill the memory."""
    line, other = pair
    other.sendall(DONE.ljust(size) + b"\n")
    if fits:
        assert next(line.hear(OF_MEMBER)) == Done(attempt=1)
        return
    with pytest.raises(RefusedError, match="longer than 1024 bytes"):
        next(line.hear(OF_MEMBER))


@pytest.mark.parametrize("end", [b"\n", b""], ids=["complete", "without an end"])
def test_a_message_of_a_node_has_at_most_64_kib(sealed: tuple[Line, Line], end: bytes) -> None:
    line, far = sealed
    peers.raw(far, DONE.ljust(LONGEST - 65))
    hearing = line.hear(OF_MEMBER)
    assert next(hearing) == Done(attempt=1)
    far.socket.sendall(b"x" * (LONGEST + 1) + end)
    with pytest.raises(RefusedError, match="longer than 65536 bytes"):
        next(hearing)


def test_sealed_messages_are_heard_in_both_directions(sealed: tuple[Line, Line]) -> None:
    line, far = sealed
    for attempt in range(3):
        line.say(Go(attempt=attempt))
        far.say(Done(attempt=attempt))
    line.say_no_more()
    far.say_no_more()
    assert list(far.hear(OF_LEADER)) == [Go(attempt=attempt) for attempt in range(3)]
    assert list(line.hear(OF_MEMBER)) == [Done(attempt=attempt) for attempt in range(3)]


def test_a_seal_is_hmac_sha256_of_the_number_and_the_message(pair: tuple[Line, socket.socket]) -> None:
    """Numbers begin at 0, in 8 bytes."""
    line, other = pair
    line.seal(sent=FIRST, heard=SECOND)
    body = b'{"say":"go","attempt":2}'
    with other.makefile("rb") as stream:
        for number in range(2):
            line.say(Go(attempt=2))
            seal = hmac.new(FIRST, number.to_bytes(8, "big") + body, "sha256").hexdigest().encode()
            assert stream.readline() == seal + b" " + body + b"\n"


@pytest.mark.parametrize("what", ["changed", "repeated", "returned", "reordered", "without a seal", "empty"])
def test_a_message_that_was_tampered_with_is_refused(what: str) -> None:
    """By somebody between the two who has no key."""
    with peers.pair() as (line, middle), peers.pair() as (far, far_middle):
        line.seal(sent=FIRST, heard=SECOND)
        far.seal(sent=SECOND, heard=FIRST)
        with middle.makefile("rb") as said, far_middle.makefile("rb") as returned:
            line.say(Go(attempt=1))
            line.say(Past())
            first, second = said.readline(), said.readline()
            far.say(Done(attempt=1))
            lines = {
                "changed": [first.replace(b'"attempt":1', b'"attempt":2')],
                "repeated": [first, first],
                "returned": [returned.readline()],
                "reordered": [second, first],
                "without a seal": [b'{"say":"go","attempt":1}\n'],
                "empty": [b"\n"],
            }[what]
            far_middle.sendall(b"".join(lines))
        hearing = far.hear(OF_LEADER)
        for _ in lines[1:] if what == "repeated" else ():
            assert next(hearing) == Go(attempt=1)
        with pytest.raises(RefusedError, match="seal"):
            next(hearing)


def test_the_first_message_must_be_the_expected_one_and_complete_in_time(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    challenge = Challenge(nonce=bytes(32))
    far = Line(other)
    far.say(challenge)
    assert line.expect(CHALLENGE, until=time.monotonic() + 60) == challenge
    assert line.socket.gettimeout() is None
    other.sendall(b'{"say"')
    with pytest.raises(RefusedError, match="in time"):
        line.expect(CHALLENGE, until=time.monotonic() + 0.2)


def test_a_stranger_that_hangs_up_or_resets_is_refused(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    other.shutdown(socket.SHUT_WR)
    with pytest.raises(RefusedError, match="connection was closed"):
        line.expect(CHALLENGE, until=time.monotonic() + 60)
    line.close()
    with pytest.raises(RefusedError, match="connection was closed"):
        line.expect(CHALLENGE, until=time.monotonic() + 60)


def test_a_peer_that_was_cut_off_is_given_up_after_30_seconds_of_silence(pair: tuple[Line, socket.socket]) -> None:
    """Told by the kernel, which asks when nothing is said: a supervisor may have nothing to say for hours."""
    line, _ = pair
    assert line.socket.gettimeout() is None
    assert line.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    idle, pause, count, unheard = (
        line.socket.getsockopt(socket.IPPROTO_TCP, option)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    )
    assert (idle, idle + pause * count, unheard) == (10, 30, 30_000)


def test_saying_something_to_who_is_gone_is_no_error(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    other.close()
    for _ in range(100):
        line.say(Past())
    assert list(line.hear(OF_MEMBER)) == []


def test_closing_is_heard_by_both_ends_and_may_be_done_twice(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    line.close()
    assert other.recv(1) == b""
    line.close()
    line.hang_up()


def test_hanging_up_ends_a_hearing_that_is_under_way(pair: tuple[Line, socket.socket]) -> None:
    """Whoever hears holds the connection open; without an end of its own it would wait for ever."""
    line, other = pair
    hearing = line.hear(OF_MEMBER)
    other.sendall(DONE + b"\n")
    assert next(hearing) == Done(attempt=1)
    line.hang_up()
    assert other.recv(1) == b""
    assert list(hearing) == []


def test_who_says_no_more_still_hears(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    line.say_no_more()
    assert other.recv(1) == b""
    assert heard(line, other, DONE + b"\n", DONE + b"\n") == [Done(attempt=1), Done(attempt=1)]


def test_two_lines_of_one_connection_are_two(pair: tuple[Line, socket.socket]) -> None:
    """The server keeps them in sets, by themselves."""
    line, _ = pair
    assert len({line, Line(line.socket)}) == 2
