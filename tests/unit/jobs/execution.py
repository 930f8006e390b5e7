"""The API server's side of `exec`: a real command of this machine behind a real WebSocket (RFC 6455)."""

import base64
import contextlib
import hashlib
import json
import struct
import subprocess
import threading
from collections.abc import Iterator
from typing import IO, Any

PROTOCOL = "v5.channel.k8s.io"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _END = 2, 8


def accept(key: str) -> dict[str, str]:
    """Give the headers that answer a handshake."""
    digest = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": digest,
        "Sec-WebSocket-Protocol": PROTOCOL,
    }


def execute(command: list[str], came: IO[bytes], goes: IO[bytes]) -> None:
    """Run a command with its streams on channels, and tell its end as Kubernetes does."""
    lock = threading.Lock()

    def send(channel: int, data: bytes) -> None:
        with lock:
            goes.write(_frame(_BINARY, bytes([channel]) + data))
            goes.flush()

    target = None
    try:
        started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        target = started.stdin
    except OSError as error:
        send(3, json.dumps({"status": "Failure", "reason": "InternalError", "message": str(error)}).encode())
    giving = threading.Thread(target=_give, args=(came, target), daemon=True)
    giving.start()
    if target:
        reading = [
            threading.Thread(target=_take, args=(stream, channel, send), daemon=True)
            for channel, stream in ((1, started.stdout), (2, started.stderr))
        ]
        for each in reading:
            each.start()
        for each in reading:
            each.join()
        send(3, json.dumps(_status(started.wait())).encode())
    with lock:
        goes.write(_frame(_END, struct.pack(">H", 1000)))
        goes.flush()
    giving.join()  # what is still to come must be read, or the line breaks before the other side has read its own
    with contextlib.suppress(BrokenPipeError):
        if target:
            target.close()


def _status(code: int) -> dict[str, Any]:
    if code == 0:
        return {"status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(code)}]
    return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


def _give(came: IO[bytes], target: Any) -> None:
    for data in _frames(came):
        with contextlib.suppress(BrokenPipeError, ValueError):  # the command has ended
            if target and data[:1] == b"\x00":
                target.write(data[1:])
                target.flush()
            elif target and data == b"\xff\x00":  # channel 0 is closed
                target.close()


def _take(stream: Any, channel: int, send: Any) -> None:
    with stream, contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client has left
        while data := stream.read1(1 << 16):
            send(channel, data)


def _frames(came: IO[bytes]) -> Iterator[bytes]:
    while len(head := came.read(2)) == 2 and head[0] & 15 != _END:
        size = head[1] & 127
        if size == 126:
            (size,) = struct.unpack(">H", came.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", came.read(8))
        mask = came.read(4)
        yield bytes(byte ^ mask[place % 4] for place, byte in enumerate(came.read(size)))


def _frame(opcode: int, data: bytes) -> bytes:
    size = len(data)
    head = bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size) if size < 1 << 16 else None
    return bytes([0x80 | opcode]) + (head or b"\x7f" + struct.pack(">Q", size)) + data
