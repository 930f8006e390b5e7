"""A command's end, as the API server tells it, becomes an exit code. Its streams: commands/test_shell.py."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from websocket import WebSocketConnectionClosedException

from jobs.kube import exec
from trainer.errors import OcrfleetError, TransientError


class Frame:
    def __init__(self, data: bytes) -> None:
        self.data = data


class Socket:
    """A WebSocket that has these messages, and then ends."""

    def __init__(self, *messages: tuple[int, bytes]) -> None:
        self.messages = [*messages, (8, b"")]
        self.closed = False

    def recv_data_frame(self, control: bool) -> tuple[int, Frame]:
        opcode, data = self.messages.pop(0)
        return opcode, Frame(data)

    def send(self, data: bytes, opcode: int) -> None:
        """Take what is typed."""

    def close(self, timeout: float) -> None:
        self.closed = True

    def shutdown(self) -> None:
        """The line is down."""


def status(**status: Any) -> tuple[int, bytes]:
    return 2, b"\x03" + json.dumps(status).encode()


def failed(*causes: dict[str, str]) -> tuple[int, bytes]:
    return status(status="Failure", message="it broke", details={"causes": causes})


@pytest.fixture(autouse=True)
def _no_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        yield


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([status(status="Success")], 0),
        ([failed({"reason": "Other", "message": "3"}, {"reason": "ExitCode", "message": "41"})], 41),
        ([(2, b""), (9, b"ping"), status(status="Success")], 0),
        ([(2, b'\x03{"status": "Suc'), (1, b'\x03cess"}')], 0),
    ],
    ids=["success", "exit code", "empty and control frames", "in two parts"],
)
def test_the_commands_end_is_the_exit_code(messages: Sequence[tuple[int, bytes]], code: int) -> None:
    socket = Socket(*messages)
    assert exec.attach(socket, terminal=False) == code
    assert socket.closed


@pytest.mark.parametrize(
    "causes", [(), ({"reason": "Other", "message": "3"},), ({"reason": "ExitCode", "message": "x"},)]
)
def test_a_command_that_did_not_start_is_an_error_with_its_message(causes: Sequence[dict[str, str]]) -> None:
    with pytest.raises(OcrfleetError, match="cannot run in the pod: it broke"):
        exec.attach(Socket(failed(*causes)), terminal=False)


@pytest.mark.parametrize(
    "body", [[1], {}, {"details": "x"}, {"details": {"causes": [1]}}, {"details": {"causes": "x"}}]
)
def test_a_status_of_another_form_is_an_error(body: Any) -> None:
    with pytest.raises(OcrfleetError, match="cannot run in the pod: no message"):
        exec.attach(Socket((2, b"\x03" + json.dumps(body).encode())), terminal=False)


@pytest.mark.parametrize("code", ["\u00b2", "9" * 5000, "-1"])
def test_an_exit_code_that_is_none_is_an_error(code: str) -> None:
    with pytest.raises(OcrfleetError, match="cannot run in the pod"):
        exec.attach(Socket(failed({"reason": "ExitCode", "message": code})), terminal=False)


def test_a_line_that_the_library_gives_up_has_broken() -> None:
    class Closed(Socket):
        def recv_data_frame(self, control: bool) -> tuple[int, Frame]:
            raise WebSocketConnectionClosedException("Connection to remote host was lost.")

    with pytest.raises(TransientError, match="connection to the pod broke"):
        exec.attach(Closed(), terminal=False)
    with pytest.raises(TransientError, match="connection to the pod broke"):
        exec.attach(Socket((2, b"\x03not JSON")), terminal=False)


def test_a_line_that_ends_without_a_status_has_broken() -> None:
    with pytest.raises(TransientError, match="connection to the pod broke"):
        exec.attach(Socket((2, b"\x01said\n")), terminal=False)


def test_output_and_errors_go_where_they_belong(capfd: pytest.CaptureFixture[str]) -> None:
    exec.attach(
        Socket((2, b"\x01out\n"), (2, b"\x02err\n"), (2, b"\x07odd\n"), status(status="Success")), terminal=False
    )
    assert capfd.readouterr() == ("out\n", "err\n")


def test_a_pipe_is_no_terminal() -> None:
    script = "from jobs.kube import exec; print(exec.terminal())"
    ran = subprocess.run([sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert ran.stdout == b"False\n"
