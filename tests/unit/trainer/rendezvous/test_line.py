"""One connection between two supervisors: what is said, what is heard, and when a silent peer is given up."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from trainer.rendezvous.line import Line


@pytest.fixture
def pair() -> Iterator[tuple[Line, socket.socket]]:
    """A line, and the raw other end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        connection, _ = server.accept()
    connection.settimeout(10)  # as after connecting with a deadline
    with closing(Line(connection)) as line, other:
        other.settimeout(30)
        yield line, other


def heard(line: Line, other: socket.socket, *said: bytes) -> list[dict[str, object]]:
    """What a line hears of what its other end says before it hangs up."""
    for message in said:
        other.sendall(message)
    other.shutdown(socket.SHUT_WR)
    return list(line.hear())


def test_a_message_is_one_line_of_json(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    line.say(say="go", attempt=2)
    with other.makefile("rb") as stream:
        assert json.loads(stream.readline()) == {"say": "go", "attempt": 2}


def test_messages_are_heard_in_their_order_until_the_other_end_hangs_up(pair: tuple[Line, socket.socket]) -> None:
    assert heard(*pair, b'{"say": "hello"}\n{"sa', b'y": "done"}\n') == [{"say": "hello"}, {"say": "done"}]


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\n", b"[]\n", b'["say"]\n', b'"say"\n', b"{}\n", b"\xff\n", b'{"attempt": 1}\n'],
    ids=["HTTP", "list", "list with the word", "text", "empty", "binary", "without the word"],
)
def test_what_is_not_of_this_protocol_ends_the_hearing(pair: tuple[Line, socket.socket], noise: bytes) -> None:
    assert heard(*pair, b'{"say": "hello"}\n', noise, b'{"say": "done"}\n') == [{"say": "hello"}]


def test_a_message_has_at_most_64_kib(pair: tuple[Line, socket.socket]) -> None:
    """A stranger that sends without end must not fill the memory."""

    def message(size: int) -> bytes:
        head, tail = b'{"say": "', b'"}'
        return head + b"x" * (size - len(head) - len(tail)) + tail + b"\n"

    lengths = [len(str(each["say"])) for each in heard(*pair, message(1 << 16), message((1 << 16) + 1))]
    assert lengths == [(1 << 16) - 11]


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
        line.say(say="go")
    assert list(line.hear()) == []


def test_closing_is_heard_by_both_ends_and_may_be_done_twice(pair: tuple[Line, socket.socket]) -> None:
    line, other = pair
    line.close()
    assert other.recv(1) == b""
    line.close()


def test_closing_ends_a_hearing_that_is_under_way(pair: tuple[Line, socket.socket]) -> None:
    """Whoever hears holds the connection open; without an end of its own it would wait for ever."""
    line, other = pair
    heard = line.hear()
    other.sendall(b'{"say": "hello"}\n')
    assert next(heard) == {"say": "hello"}
    line.close()
    assert other.recv(1) == b""
    assert list(heard) == []


def test_two_lines_of_one_connection_are_two(pair: tuple[Line, socket.socket]) -> None:
    """The server keeps them in sets, by themselves."""
    line, _ = pair
    assert len({line, Line(line.socket)}) == 2
