"""The leader's side of a gang's rendezvous."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

from trainer.contract import ExitCode
from trainer.errors import OcrfleetError
from trainer.rendezvous import deadline
from trainer.rendezvous.line import Line, Message
from trainer.run.topology import Topology

LAST_WORD: Final = 5.0
"""Seconds for the last messages to be sent when the server is closed: a peer that reads nothing cannot hold it up."""


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
        self._inbox: queue.SimpleQueue[tuple[int, Line, Message] | Message] = queue.SimpleQueue()
        """What members say, each with its rank and line; and without them what this process says itself."""
        self._members: dict[int, Line] = {}
        self._ready: dict[int, str] = {}
        self._datasets: dict[int, str] = {}
        self._past: set[str] = set()
        """Stages that the leader has done; no other node can be missed in them."""
        self._kept: set[str] = set()
        """Those of which the bucket has what came of them."""
        self._stage = ""
        self._attempt: int | None = None
        """Of the work that the gang is at; None where the next one is to be claimed."""
        self._at_work: set[int] = set()
        self._absent_since: float | None = time.monotonic()
        self._lines: set[Line] | None = set()
        """All connections, those of strangers too; None when it is closed."""
        self._lock = threading.Lock()
        here = topology.hosts[0] if topology.hosts[0] == "127.0.0.1" else ""
        self._listener = socket.create_server((here, topology.port), backlog=socket.SOMAXCONN)
        threading.Thread(target=self._accept, name="gang-door", daemon=True).start()
        self._thread = threading.Thread(target=self._serve, name="gang", daemon=True)
        self._thread.start()

    def keep(self, stage: str) -> None:
        """Announce to all nodes, now and later, that a stage's results are in the bucket."""
        self._inbox.put({"say": "kept", "stage": stage})

    def end(self, error: OcrfleetError) -> None:
        """Send all nodes away for good (safe in another thread)."""
        self._inbox.put({"say": "end", "code": int(error.exit_code), "why": str(error)})

    def close(self) -> None:
        """End it, and all connections with it; what was said before is delivered."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._inbox.put({})
        self._thread.join(LAST_WORD)
        with self._lock:
            lines, self._lines = self._lines or set(), None
        for line in lines:
            line.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._listen, args=(connection,), name="gang-ear", daemon=True).start()

    def _listen(self, connection: socket.socket) -> None:
        rank = None
        with contextlib.closing(Line(connection)) as line:
            with self._lock:
                if self._lines is None:
                    return
                self._lines.add(line)
            for message in line.hear():
                if message["say"] == "hello" and message.get("run") == self._run_id:
                    rank = int(message["node"])
                if rank is None or rank not in range(self._topology.nodes):
                    break
                self._inbox.put((rank, line, message))
            else:
                if rank is not None:
                    self._inbox.put((rank, line, {"say": "gone"}))
        with self._lock:
            if self._lines is not None:
                self._lines.discard(line)

    def _serve(self) -> None:
        while True:
            try:
                said = self._inbox.get(timeout=deadline.left(self._absent_since, self._deadline))
            except queue.Empty:
                self._end(ExitCode.TRANSIENT, self._who_is_missing())
                continue
            if isinstance(said, dict):
                if not said:
                    return
                self._obey_leader(said)
                continue
            rank, line, message = said
            if message["say"] == "hello":
                self._welcome(rank, line)
            elif self._members.get(rank) is line:
                self._obey(rank, line, message)

    def _obey_leader(self, message: Message) -> None:
        match message["say"]:
            case "kept":
                self._kept.add(message["stage"])
                self._start()
            case "end":
                self._end(message["code"], message["why"])

    def _welcome(self, rank: int, line: Line) -> None:
        old = self._members.get(rank)
        self._members[rank] = line
        if old is not None:
            self._ready.pop(rank, None)
            self._lose(rank, "it was restarted.")
            # If the old pod still runs, on a node that was cut off, it must not come back.
            old.say(say="end", code=int(ExitCode.TRANSIENT), why=f"Another pod has replaced node {rank}.")
            old.close()
        if len(self._members) == self._topology.nodes:
            self._absent_since = None

    def _obey(self, rank: int, line: Line, message: Message) -> None:
        current = rank in self._at_work and message.get("attempt") == self._attempt
        match message["say"]:
            case "ready":
                self._lose(rank, "it stopped working on the stage.")
                self._ready[rank], self._datasets[rank] = message["stage"], message["dataset"]
                self._start()
            case "done" if current:
                self._at_work.discard(rank)
                if rank == 0:
                    self._past.add(self._stage)
                line.say(say="noted")
            case "done":
                line.say(say="noted" if self._stage in self._past else "again", why="A peer was lost.")
            case "failed":
                if current and message["code"] == ExitCode.TRANSIENT:
                    self._lose(rank, message["why"])
                elif current:
                    del self._members[rank]
                    self._end(message["code"], f"Node {rank}: {message['why']}")
                line.say(say="noted")
            case "gone":
                del self._members[rank]
                self._ready.pop(rank, None)
                self._absent_since = self._absent_since or time.monotonic()
                self._lose(rank, "its connection closed.")

    def _start(self) -> None:
        """Let all go when all are ready for the same stage; tell those who are behind."""
        for rank in [rank for rank, stage in self._ready.items() if stage in self._kept]:
            del self._ready[rank]
            self._members[rank].say(say="past")
        if len(self._ready) < self._topology.nodes or len(set(self._ready.values())) > 1:
            return
        if strangers := [rank for rank in self._ready if self._datasets[rank] != self._datasets[0]]:
            self._end(
                ExitCode.TRANSIENT,
                f"Node {strangers[0]} has prepared a different dataset than node 0, so the data changed while the "
                "nodes fetched it. Run it again when nobody writes there. run.data.digest pins a run to one dataset.",
            )
            return
        try:
            self._attempt = self._claim() if self._attempt is None else self._attempt
        except OcrfleetError as error:
            self._end(error.exit_code, str(error))
            return
        self._stage, self._at_work = self._ready[0], set(self._ready)
        self._ready.clear()
        for line in self._members.values():
            line.say(say="go", attempt=self._attempt)

    def _lose(self, rank: int, why: str) -> None:
        """Call the others back from a stage in which one was lost."""
        if rank not in self._at_work or self._stage in self._past:
            return
        self._at_work.clear()
        self._attempt = None
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
            f"`ocrfleet events {self._run_id}` shows why its pod is missing."
        )
