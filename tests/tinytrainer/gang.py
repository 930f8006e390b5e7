"""All workers of a run as one gang: a ring of TCP connections between the endpoints that Paddle would use."""

import itertools
import os
import pickle
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, cast

import numpy as np
import numpy.typing as npt

from trainer.errors import OcrfleetError, TransientError

Array = npt.NDArray[Any]
T = TypeVar("T")

_LENGTH: Final = struct.Struct("!Q")
_PATIENCE: Final = 1800.0
"""Seconds until the next rank must listen. The supervisor's own deadline is nearer."""


class Gang:
    """This rank's place in the ring: it sends to the next rank, and receives from the one before it."""

    def __init__(self, rank: int, endpoints: Sequence[str]) -> None:
        """Join, once both neighbours are there.

        Args:
            rank: of this worker.
            endpoints: `host:port` of every rank, in order.

        Raises:
            TransientError: the next rank does not listen.
        """
        self.rank, self.world = rank, len(endpoints)
        if self.world == 1:
            return
        port = int(endpoints[rank].rpartition(":")[2])
        with socket.create_server(("", port), reuse_port=False) as listening:
            self._next = _connected(endpoints[(rank + 1) % self.world])
            self._before, _ = listening.accept()

    @classmethod
    def from_environment(cls) -> "Gang":
        """Join the gang that the environment describes, by the names of Paddle's contract."""
        return cls(int(os.environ["PADDLE_TRAINER_ID"]), os.environ["PADDLE_TRAINER_ENDPOINTS"].split(","))

    def gather(self, value: Any) -> list[Any]:
        """Return every rank's value, in rank order, on every rank.

        Raises:
            TransientError: a neighbour is gone.
        """
        values = {self.rank: value}
        passed = pickle.dumps((self.rank, value))
        for _ in range(self.world - 1):
            passed = self._exchange(passed)
            rank, received = pickle.loads(passed)
            values[rank] = received
        return [values[rank] for rank in range(self.world)]

    def mean(self, value: Array) -> Array:
        """Return the mean over the ranks, summed in rank order, so that it is the same on each."""
        total: Array = np.sum(self.gather(value), axis=0) / self.world
        return total.astype(value.dtype)

    def largest(self, values: Sequence[int]) -> list[int]:
        """Return the largest of each value over the ranks."""
        return [max(column) for column in zip(*self.gather(list(values)), strict=True)]

    def share(self, value: Any) -> Any:
        """Return rank 0's value on every rank."""
        return self.gather(value if self.rank == 0 else None)[0]

    def decide(self, choose: Callable[[], T]) -> T:
        """Return what rank 0 chooses, on every rank; an error of its choice is raised on all."""
        value, error = None, None
        if self.rank == 0:
            try:
                value = choose()
            except OcrfleetError as raised:
                error = raised
        value, error = self.share((value, error))
        if error is not None:
            raise error
        return cast(T, value)

    def meet(self) -> None:
        """Wait until every rank is here."""
        self.gather(None)

    def close(self) -> None:
        """Leave; the neighbours notice."""
        if self.world > 1:
            self._next.close()
            self._before.close()

    def _exchange(self, message: bytes) -> bytes:
        try:
            # Were all to send first, large messages would fill every buffer of the ring.
            if self.rank % 2 == 0:
                self._send(message)
                return self._receive()
            received = self._receive()
            self._send(message)
            return received
        except OSError as error:
            raise TransientError(f"Rank {self.rank} has lost a neighbour of the gang: {error}.") from error

    def _send(self, message: bytes) -> None:
        self._next.sendall(_LENGTH.pack(len(message)) + message)

    def _receive(self) -> bytes:
        return self._exactly(*_LENGTH.unpack(self._exactly(_LENGTH.size)))

    def _exactly(self, count: int) -> bytes:
        blocks = bytearray()
        while len(blocks) < count:
            block = self._before.recv(count - len(blocks))
            if not block:
                raise ConnectionResetError("it has closed its connection")
            blocks += block
        return bytes(blocks)


def _connected(endpoint: str) -> socket.socket:
    """Connect to a rank that may not listen yet, or whose name the cluster's DNS may not know yet."""
    host, _, port = endpoint.rpartition(":")
    until = time.monotonic() + _PATIENCE
    for attempt in itertools.count():
        try:
            line = socket.create_connection((host, int(port)), timeout=5)
        except OSError as error:
            if time.monotonic() > until:
                raise TransientError(f"{endpoint} does not listen: {error}.") from error
            time.sleep(min(1.0, 0.05 * 1.5**attempt))  # nobody says when it does
        else:
            line.settimeout(None)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return line
    raise AssertionError("unreachable")
