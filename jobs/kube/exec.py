"""A command in a container, as if it were here: its streams over a WebSocket, with a terminal or without."""

import json
import os
import re
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from websocket import WebSocketException

from jobs.kube.fields import several, text
from trainer.errors import OcrfleetError, TransientError

_IN, _OUT, _ERR, _STATUS, _SIZE, _CLOSE = 0, 1, 2, 3, 4, 255
"""Channels of Kubernetes' protocol v5.channel.k8s.io: the first byte of each message."""

_TEXT, _BINARY, _END = 1, 2, 8
"""Opcodes of WebSocket."""

_BLOCK: Final = 1 << 16


def terminal() -> bool:
    """Check whether a user sits here."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def attach(socket: Any, *, terminal: bool) -> int:
    """Join this process's streams with those of a command until it ends, and return its exit code.

    Args:
        socket: what `Cluster.execute` gave.
        terminal: as it was told; every key then goes there, Ctrl-C too.

    Raises:
        OcrfleetError: the command could not be started.
        TransientError: the line broke.
    """
    with _raw(socket) if terminal else _plain():
        threading.Thread(target=_send, args=(socket, sys.stdin.fileno()), name="input", daemon=True).start()
        try:
            return _code(_receive(socket))
        except (OSError, EOFError, WebSocketException) as error:
            raise TransientError(
                "The connection to the pod broke. The command there may still be running. Try again."
            ) from error
        finally:
            socket.close(timeout=1)
            socket.shutdown()  # which `close` leaves out where the other end has closed first


def _send(socket: Any, source: int) -> None:
    try:
        while data := os.read(source, _BLOCK):
            socket.send(bytes([_IN]) + data, opcode=_BINARY)
        socket.send(bytes([_CLOSE, _IN]), opcode=_BINARY)
    except Exception:  # noqa: BLE001  # the command has ended, or the line has: the other thread says which
        return


def _receive(socket: Any) -> dict[str, Any]:
    """Write the output, and return the result of the command as the API server reports it."""
    targets = {_OUT: sys.stdout.fileno(), _ERR: sys.stderr.fileno()}
    status = b""
    while True:
        opcode, frame = socket.recv_data_frame(True)
        if opcode == _END:
            break
        if opcode not in (_TEXT, _BINARY) or not frame.data:
            continue
        channel, data = frame.data[0], frame.data[1:]
        if channel in targets:
            _write(targets[channel], data)
        elif channel == _STATUS:
            status += data
    if not status:
        raise EOFError
    try:
        found = json.loads(status)
    except ValueError as error:
        raise EOFError from error
    return found if isinstance(found, dict) else {}


def _write(target: int, data: bytes) -> None:
    while data:
        data = data[os.write(target, data) :]


def _code(status: dict[str, Any]) -> int:
    if status.get("status") == "Success":
        return 0
    causes = several(status, "details", "causes")
    told = next((text(each, "message") for each in causes if text(each, "reason") == "ExitCode"), "")
    if re.fullmatch("[0-9]{1,3}", told):
        return int(told)
    raise OcrfleetError(f"The command cannot run in the pod: {status.get('message', 'no message')}.")


@contextmanager
def _plain() -> Iterator[None]:
    yield


@contextmanager
def _raw(socket: Any) -> Iterator[None]:
    """Pass every key to the command, and the size of the terminal whenever it changes."""
    source = sys.stdin.fileno()
    before = termios.tcgetattr(source)
    changed = threading.Event()
    changed.set()

    def tell() -> None:
        while changed.wait():
            changed.clear()
            columns, lines = shutil.get_terminal_size()
            try:
                socket.send(bytes([_SIZE]) + json.dumps({"Width": columns, "Height": lines}).encode(), opcode=_BINARY)
            except Exception:  # noqa: BLE001  # it has ended
                return

    old = signal.signal(signal.SIGWINCH, lambda *_: changed.set())
    threading.Thread(target=tell, name="size", daemon=True).start()
    try:
        tty.setraw(source, termios.TCSADRAIN)  # what is typed ahead stays
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, old)
