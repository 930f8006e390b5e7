"""Where the nodes of a gang meet before each attempt, and hear of one another's end.

The leader's supervisor serves; every supervisor, the leader's too, keeps a connection to it. All must be ready for the
same stage before any starts its workers. When one fails or is lost, all end theirs at once and meet again as the next
attempt. Paddle's own rendezvous has no deadline, and a peer that is lost during a collective is noticed late or never.
"""

import contextlib
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from trainer.contract import GANG_STAGES, ExitCode
from trainer.errors import OcrfleetError, StoppedError, TransientError, error_for
from trainer.topology import Topology

AGAIN: Final = 1.0
"""Seconds between two tries to reach the leader, which may not have a name yet."""

_ALIVE: Final = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 4}
"""A node that is cut off says nothing: it is given up after 30 s of silence of its kernel."""

_LONGEST: Final = 1 << 16
"""Bytes of a message; a longer one is not of this protocol."""

Message = dict[str, Any]


class PeerLostError(TransientError):
    """Another node of the gang has left its work; this one has nothing to reproach itself with."""


class PastError(Exception):
    """The gang has done this stage already."""


@dataclass(frozen=True, eq=False)
class _Line:
    """One connection, and what is said over it: JSON objects, a line each."""

    socket: socket.socket

    def __post_init__(self) -> None:
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _ALIVE.items():
            self.socket.setsockopt(socket.IPPROTO_TCP, option, value)

    def say(self, **message: Any) -> None:
        with contextlib.suppress(OSError):  # whoever is gone is heard of by listening
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> Iterator[Message]:
        with contextlib.suppress(OSError, ValueError), self.socket.makefile("rb") as stream:
            while line := stream.readline(_LONGEST):
                message = json.loads(line)
                if not isinstance(message, dict) or "say" not in message:
                    return
                yield message

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Server:
    """The leader's side: lets the gang go when all are ready, and calls it back when one is lost."""

    def __init__(
        self, topology: Topology, *, run_id: str, claim: Callable[[], int], retries: int, deadline: float
    ) -> None:
        """Listen.

        Args:
            topology: the gang.
            run_id: whose gang it is; a node of another run is not heard.
            claim: gives the number of the next attempt; called for the first one, and after each loss.
            retries: attempts after the first that may follow a loss.
            deadline: seconds that a node may be absent.
        """
        self._topology, self._run_id, self._claim = topology, run_id, claim
        self._left, self._deadline = retries, deadline
        self._inbox: queue.SimpleQueue[tuple[int, _Line | None, Message]] = queue.SimpleQueue()
        self._members: dict[int, _Line] = {}
        self._ready: dict[int, str] = {}
        self._past: set[str] = set()
        self._stage, self._attempt, self._void = "", 0, True
        self._at_work: set[int] = set()
        self._absent_since: float | None = time.monotonic()
        self._lines: set[_Line] | None = set()
        """All connections, those of strangers too; None when it is closed."""
        self._lock = threading.Lock()
        here = topology.hosts[0] if topology.hosts[0] == "127.0.0.1" else ""
        self._listener = socket.create_server((here, topology.port), backlog=1024)
        threading.Thread(target=self._accept, name="gang-door", daemon=True).start()
        self._thread = threading.Thread(target=self._serve, name="gang", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it, and all connections with it; what was said before is delivered."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._inbox.put((-1, None, {}))
        self._thread.join(5)
        with self._lock:
            lines, self._lines = self._lines or set(), None
        for line in lines:
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._listen, args=(connection,), daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        line, rank = _Line(connection), -1
        with self._lock:
            if self._lines is None:
                line.close()
                return
            self._lines.add(line)
        for message in line.hear():
            if message["say"] == "hello" and message.get("run") == self._run_id:
                rank = int(message["node"])
            if not 0 <= rank < self._topology.nodes:
                break
            self._inbox.put((rank, line, message))
        else:
            if rank >= 0:
                self._inbox.put((rank, line, {"say": "gone"}))
        line.close()
        with self._lock:
            if self._lines is not None:
                self._lines.discard(line)

    def _serve(self) -> None:
        while True:
            since = self._absent_since
            seconds = None if since is None else max(0.0, since + self._deadline - time.monotonic())
            try:
                rank, line, message = self._inbox.get(timeout=seconds)
            except queue.Empty:
                self._end(ExitCode.TRANSIENT, self._who_is_missing())
                continue
            if line is None:
                return
            if message["say"] == "hello":
                self._welcome(rank, line)
            elif self._members.get(rank) is line:
                self._obey(rank, line, message)

    def _welcome(self, rank: int, line: _Line) -> None:
        old = self._members.get(rank)
        self._members[rank] = line
        if old is not None:
            self._ready.pop(rank, None)
            self._lose(rank, "it was started anew")
            # If the old one still lives, on a node that was cut off, it must not come back.
            old.say(say="end", code=int(ExitCode.TRANSIENT), why=f"Another pod has taken the place of node {rank}.")
            old.close()
        if len(self._members) == self._topology.nodes:
            self._absent_since = None

    def _obey(self, rank: int, line: _Line, message: Message) -> None:
        current = rank in self._at_work and message.get("attempt") == self._attempt
        match message["say"]:
            case "ready":
                self._lose(rank, "it has left its work")
                self._ready[rank] = message["stage"]
                if rank == 0:
                    # The bucket has told it what is done; a new leader may know of more than those who wait for it.
                    self._past |= set(GANG_STAGES[: GANG_STAGES.index(message["stage"])])
                self._start()
            case "done" if current:
                self._at_work.discard(rank)
                # What the leader has done is done: its receipt is on its way to the bucket.
                if rank == 0:
                    self._past.add(self._stage)
                line.say(say="noted")
            case "done":
                line.say(say="noted" if self._stage in self._past else "again", why="The gang was called back.")
            case "failed" if current and message["code"] == ExitCode.TRANSIENT:
                self._lose(rank, message["why"])
            case "failed" if current:
                del self._members[rank]
                self._end(message["code"], f"Node {rank}: {message['why']}")
            case "gone":
                del self._members[rank]
                self._ready.pop(rank, None)
                self._absent_since = self._absent_since or time.monotonic()
                self._lose(rank, "its connection was closed")

    def _start(self) -> None:
        """Let all go when all are ready for the same stage; tell those who are behind."""
        for rank in [rank for rank, stage in self._ready.items() if stage in self._past]:
            del self._ready[rank]
            self._members[rank].say(say="past")
        if len(self._ready) < self._topology.nodes or len(set(self._ready.values())) > 1:
            return
        try:
            self._attempt = self._claim() if self._void else self._attempt
        except OcrfleetError as error:
            self._end(error.exit_code, str(error))
            return
        self._void = False
        self._stage, self._at_work = self._ready[0], set(self._ready)
        self._ready.clear()
        for line in self._members.values():
            line.say(say="go", attempt=self._attempt)

    def _lose(self, rank: int, why: str) -> None:
        """Call the others back from a stage in which one was lost."""
        if rank not in self._at_work:
            return
        if self._stage in self._past:
            self._at_work.discard(rank)
            return
        self._at_work.clear()
        self._void = True
        why = f"Node {rank} was lost: {why}"
        if self._left <= 0:
            self._end(ExitCode.TRANSIENT, why)
            return
        self._left -= 1
        for other, line in self._members.items():
            if other != rank:
                line.say(say="again", why=why)

    def _end(self, code: int, why: str) -> None:
        """Send all away for good."""
        self._absent_since = None
        self._at_work.clear()
        for line in self._members.values():
            line.say(say="end", code=int(code), why=why)

    def _who_is_missing(self) -> str:
        absent = [rank for rank in range(self._topology.nodes) if rank not in self._members]
        names = ", ".join(f"{rank} ({self._topology.hosts[rank]})" for rank in absent)
        return (
            f"Missing for {self._deadline:.0f} s (placement.deadlines.rendezvous): node {names}. "
            "Why its pod is not there, its own events say."
        )


class Member:
    """A node's side. It looks for the leader from its first moment, and again whenever the line breaks."""

    def __init__(self, topology: Topology, *, run_id: str, deadline: float, on_lost: Callable[[str], None]) -> None:
        """Be one of a gang.

        Args:
            topology: the gang, as this node sees it.
            run_id: whose gang it is.
            deadline: seconds that the leader may be out of reach.
            on_lost: called, from another thread, when what this node's workers do has become void.
        """
        self._topology, self._run_id, self._deadline, self._on_lost = topology, run_id, deadline, on_lost
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._line: _Line | None = None
        self._ready: str | None = None
        self._attempt: int | None = None
        """Of the work that this node is at; None between two stages."""
        self._closed = threading.Event()
        self._unreached: float | None = time.monotonic()
        threading.Thread(target=self._keep, name="gang-line", daemon=True).start()

    def join(self, stage: str) -> int:
        """Wait until all nodes are ready for a stage; give the attempt's number.

        Raises:
            PastError: the gang has done it.
            TransientError: a node is missing, and this says which.
            OcrfleetError: of the class with which another node has ended.
        """
        with self._lock:
            self._ready = stage
            if self._line:
                self._line.say(say="ready", stage=stage)
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
        """Say that this node's workers have done the stage.

        Raises:
            PeerLostError: the gang was called back before the leader had heard it.
        """
        with self._lock:
            told = self._line is not None and self._attempt is not None
            if self._line and told:
                self._line.say(say="done", attempt=self._attempt)
        while told:
            answer = self._hear()
            match answer["say"]:
                case "noted":
                    self._attempt = None
                    return
                case "again" | "end" | "lost":
                    # What ends all is said once more when this node joins again.
                    if answer["say"] == "end":
                        self._inbox.put(answer)
                    break
        self._attempt = None
        raise PeerLostError("The gang was called back when this node had just done its part.")

    def failed(self, error: OcrfleetError) -> None:
        """Say that they have not, unless it was others who made them fail, or this node is told to stop."""
        if isinstance(error, PeerLostError | StoppedError):
            self._attempt = None
        else:
            self._tell("failed", code=int(error.exit_code), why=str(error))

    def close(self) -> None:
        """Leave the gang."""
        self._closed.set()
        self._inbox.put({"say": "end", "code": int(ExitCode.TRANSIENT), "why": "This node has left its gang."})
        with self._lock:
            self._attempt = None
            if self._line:
                self._line.close()

    def _hear(self) -> Message:
        """Wait for what the leader says next, and for the leader if it is out of reach."""
        since = self._unreached
        try:
            return self._inbox.get(
                timeout=None if since is None else max(0.0, since + self._deadline - time.monotonic())
            )
        except queue.Empty:
            raise TransientError(
                f"Node 0 ({self._topology.hosts[0]}) was out of reach for {self._deadline:.0f} s "
                "(placement.deadlines.rendezvous). Why its pod is not there, its own events say."
            ) from None

    def _tell(self, what: str, **facts: Any) -> None:
        with self._lock:
            if self._line and self._attempt is not None:
                self._line.say(say=what, attempt=self._attempt, **facts)
            self._attempt = None

    def _keep(self) -> None:
        host = "127.0.0.1" if self._topology.leader else self._topology.hosts[0]
        while not self._closed.is_set():
            try:
                line = _Line(socket.create_connection((host, self._topology.port), timeout=10))
            except OSError:
                self._closed.wait(AGAIN)
                continue
            with self._lock:
                if self._closed.is_set():
                    line.close()
                    return
                self._line, self._unreached = line, None
                line.say(say="hello", node=self._topology.node_rank, run=self._run_id)
                if self._ready:
                    line.say(say="ready", stage=self._ready)
            self._inbox.put({"say": "reached"})
            for message in line.hear():
                self._obey(message)
            with self._lock:
                self._line, self._unreached = None, time.monotonic()
            line.close()
            self._lose("Node 0, the leader, was lost: its connection was closed")
            self._inbox.put({"say": "lost"})
            # One that is turned away must not knock without end.
            self._closed.wait(AGAIN)

    def _obey(self, message: Message) -> None:
        match message["say"]:
            case "go":
                with self._lock:
                    self._attempt, self._ready = int(message["attempt"]), None
                self._inbox.put(message)
            case "again" | "end":
                if message["say"] == "end":
                    self._closed.set()
                self._inbox.put(message)
                self._lose(message["why"])
            case "past" | "noted":
                self._inbox.put(message)

    def _lose(self, why: str) -> None:
        with self._lock:
            at_work, self._attempt = self._attempt is not None, None
        if at_work:
            self._on_lost(why)
