"""A node's side of its gang's rendezvous."""

import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from trainer.contract import ExitCode
from trainer.errors import OcrfleetError, StoppedError, TransientError, error_for
from trainer.rendezvous import deadline
from trainer.rendezvous.line import Line, Message
from trainer.run.topology import Topology

AGAIN: Final = 1.0
"""Seconds between two tries to reach the leader, which may not have a name yet."""

PATIENCE: Final = 10.0
"""Seconds for one such try."""


class PeerLostError(TransientError):
    """A peer was lost; this node is not at fault."""


class PastError(Exception):
    """The gang has done this stage already."""


class Member:
    """A node's side. It looks for the leader from its first moment, and again whenever the line breaks."""

    def __init__(
        self, topology: Topology, *, run_id: str, deadline: float, on_lost: Callable[[OcrfleetError], None]
    ) -> None:
        """Be one of a gang.

        Args:
            topology: the gang, as this node sees it.
            run_id: whose gang it is.
            deadline: seconds that the leader may be out of reach.
            on_lost: called, from another thread, when what this node's workers do has become void: with a PeerLostError
                when the gang meets again, else with what ends it.
        """
        self._topology, self._run_id, self._deadline, self._on_lost = topology, run_id, deadline, on_lost
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._ready: tuple[str, str] | None = None
        self._attempt: int | None = None
        """Of the work that this node is at; None between two stages."""
        self._ended: OcrfleetError | None = None
        """Why the leader has ended the gang for good."""
        self.leader_address: str | None = None
        """Where it has last reached the leader: an address of IPv4, since Paddle's store knows no other."""
        self._closed = threading.Event()
        self._unreached: float | None = time.monotonic()
        threading.Thread(target=self._keep, name="gang-line", daemon=True).start()

    def join(self, stage: str, *, dataset: str) -> int:
        """Wait until all nodes are ready for a stage, and return the attempt's number.

        Args:
            stage: what the gang is to do.
            dataset: identifies this node's prepared data; the leader's must be the same.

        Raises:
            PastError: the gang has done it, and the leader has stored the results.
            TransientError: a node is missing, and this says which.
            OcrfleetError: of the class with which another node has ended.
        """
        with self._lock:
            self._ready = stage, dataset
            if self._line:
                self._line.say(say="ready", stage=stage, dataset=dataset)
        while True:
            answer = self._hear()
            match answer["say"]:
                case "go":
                    return int(answer["attempt"])
                case "past":
                    self._ready = None
                    raise PastError
                case "end":
                    raise error_for(answer["code"], answer["why"])

    def done(self) -> None:
        """Report that this node's workers have finished the stage.

        Raises:
            PeerLostError: the gang was restarted before the leader received the report.
            OcrfleetError: the leader ended the gang before it received the report; its class says why.
        """
        if not self._tell("done"):
            raise self._ended or PeerLostError("A peer was lost just after this node had finished its part.")

    def failed(self, error: OcrfleetError) -> OcrfleetError:
        """Report that they failed, unless a lost peer caused it or this node is asked to stop.

        When this returns, the leader has informed the other nodes, so this node may leave.

        Returns:
            Why the work failed. If the leader has ended the gang meanwhile, that is the leader's reason, not the
            transient failure seen here: which of the two a node notices first is a matter of milliseconds.
        """
        if not isinstance(error, PeerLostError | StoppedError):
            self._tell("failed", code=int(error.exit_code), why=str(error))
        self._attempt = None
        return self._ended if self._ended and isinstance(error, TransientError) else error

    def close(self) -> None:
        """Leave the gang."""
        self._closed.set()
        self._inbox.put({"say": "end", "code": int(ExitCode.TRANSIENT), "why": "This node has left its gang."})
        with self._lock:
            self._attempt = None
            if self._line:
                self._line.close()

    def _hear(self) -> Message:
        """Wait for the leader's next message, and for the leader if it is out of reach."""
        try:
            return self._inbox.get(timeout=deadline.left(self._unreached, self._deadline))
        except queue.Empty:
            raise TransientError(
                f"Node 0 ({self._topology.hosts[0]}) was out of reach for {self._deadline:.0f} s "
                f"(placement.deadlines.rendezvous). `ocrfleet events {self._run_id}` shows why its pod is missing."
            ) from None

    def _tell(self, what: str, **facts: Any) -> bool:
        """Report how this node's work ended, and return whether the leader has acknowledged it."""
        with self._lock:
            told = self._line is not None and self._attempt is not None
            if self._line and told:
                self._line.say(say=what, attempt=self._attempt, **facts)
        noted = False
        while told:
            answer = self._hear()
            match answer["say"]:
                case "noted":
                    noted = True
                    break
                case "again" | "end" | "lost":
                    # What ends all is said once more when this node joins again.
                    if answer["say"] == "end":
                        self._inbox.put(answer)
                    break
        self._attempt = None
        return noted

    def _keep(self) -> None:
        while not self._closed.is_set():
            try:
                line, where = self._reach()
            except OSError:
                self._closed.wait(AGAIN)
                continue
            with closing(line):
                with self._lock:
                    if self._closed.is_set():
                        return
                    self._line, self._unreached, self.leader_address = line, None, where
                    line.say(say="hello", node=self._topology.node_rank, run=self._run_id)
                    if self._ready:
                        line.say(say="ready", stage=self._ready[0], dataset=self._ready[1])
                self._inbox.put({"say": "reached"})
                for message in line.hear():
                    self._obey(message)
                with self._lock:
                    self._line, self._unreached = None, time.monotonic()
            self._lose(PeerLostError("Node 0, the leader, was lost: its connection closed."))
            self._inbox.put({"say": "lost"})
            # A node that the leader rejects must not reconnect in a tight loop.
            self._closed.wait(AGAIN)

    def _reach(self) -> tuple[Line, str | None]:
        """Connect to the leader; return the line and the leader's IPv4 address."""
        host = "127.0.0.1" if self._topology.leader else self._topology.hosts[0]
        opened = socket.create_connection((host, self._topology.port), timeout=PATIENCE)
        try:
            return Line(opened), opened.getpeername()[0] if opened.family == socket.AF_INET else None
        except OSError:  # the leader has closed its listener meanwhile
            opened.close()
            raise

    def _obey(self, message: Message) -> None:
        match message["say"]:
            case "go":
                with self._lock:
                    self._attempt, self._ready = int(message["attempt"]), None
                self._inbox.put(message)
            case "again" | "end":
                error: OcrfleetError = PeerLostError(message["why"])
                if message["say"] == "end":
                    self._closed.set()
                    error = self._ended = error_for(message["code"], message["why"])
                # First, so that the work has ended before the message is handled.
                self._lose(error)
                self._inbox.put(message)
            case "past" | "noted":
                self._inbox.put(message)

    def _lose(self, error: OcrfleetError) -> None:
        with self._lock:
            at_work, self._attempt = self._attempt is not None, None
        if at_work:
            self._on_lost(error)
