"""The leader's side of a gang's rendezvous."""

import contextlib
import errno
import logging
import queue
import resource
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from trainer.contract import ExitCode
from trainer.errors import OcrfleetError, TransientError
from trainer.rendezvous import deadline
from trainer.rendezvous.handshake import Sign, admit
from trainer.rendezvous.line import Line, RefusedError
from trainer.rendezvous.messages import OF_MEMBER, Again, Done, End, Failed, Go, Noted, OfMember, Past, Ready
from trainer.run.topology import Topology

log = logging.getLogger(__name__)

LAST_WORD: Final = 5.0
"""Seconds for the last messages to be sent when the server is closed: a peer that reads nothing cannot hold it up."""

STRANGERS: Final = 64
"""Connections, beyond two for each node, whose peer has not proved yet that it is a node. One more closes the oldest:
a node proves it in milliseconds, so idle connections cannot keep it out."""

SHARE: Final = 8
"""They take at most one in so many of the file descriptors of this process, which also needs some for the bucket."""

PAUSE: Final = 1.0
"""Seconds between two tries to accept a connection when the machine cannot open one, and between two such lines of the
log: a stranger who connects again and again must not fill a disk."""

_PASSING: Final = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    # The others end one connection before it is accepted; accept(2) lists them.
    errno.ECONNABORTED,
    errno.EPERM,
    errno.EPROTO,
    errno.ENETDOWN,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENONET,
    errno.ENOPROTOOPT,
    errno.EOPNOTSUPP,
    errno.ETIMEDOUT,
}
"""Why accept may fail and work again later."""


class _Change(Enum):
    """What happens to a connection."""

    MET = auto()
    GONE = auto()


@dataclass(frozen=True)
class _Kept:
    """A stage's results are in the bucket."""

    stage: str


class Server:
    """The leader's side: lets the gang go when all are ready, and calls it back when one is lost."""

    def __init__(
        self, topology: Topology, *, run_id: str, sign: Sign, claim: Callable[[], int], retries: int, deadline: float
    ) -> None:
        """Listen.

        Args:
            topology: the gang.
            run_id: whose gang it is; a node of another run is not heard.
            sign: signs with the run's key.
            claim: gives the number of the next attempt; called for the first one, and after each loss.
            retries: attempts after the first that may follow a loss.
            deadline: seconds that a node may be absent.
        """
        self._topology, self._run_id, self._sign, self._claim = topology, run_id, sign, claim
        self._left, self._deadline = retries, deadline
        self._inbox: queue.SimpleQueue[tuple[int, Line, OfMember | _Change] | _Kept | End | None] = queue.SimpleQueue()
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
        self._final: End | None = None
        """Why all were sent away for good; a node that connects after that hears it too."""
        self._places = _places(topology.nodes)
        self._strangers: dict[Line, None] = {}
        """Connections whose peer has not proved who it is, oldest first."""
        self._known: set[Line] = set()
        """Those of nodes."""
        self._changed = threading.Condition()
        """Of these two."""
        self._closed = threading.Event()
        self._logged, self._unlogged = 0.0, 0
        here = topology.hosts[0] if topology.hosts[0] == "127.0.0.1" else ""
        self._listener = socket.create_server((here, topology.port), backlog=socket.SOMAXCONN)
        threading.Thread(target=self._guarded, args=(self._accept,), name="gang-door", daemon=True).start()
        self._thread = threading.Thread(target=self._serve, name="gang", daemon=True)
        self._thread.start()

    def keep(self, stage: str) -> None:
        """Announce to all nodes, now and later, that a stage's results are in the bucket."""
        self._inbox.put(_Kept(stage))

    def end(self, error: OcrfleetError) -> None:
        """Send all nodes away for good (safe in another thread)."""
        self._inbox.put(End(code=error.exit_code, why=str(error)))

    def close(self) -> None:
        """End it, and all connections with it; what was said before is delivered."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._inbox.put(None)
        until = time.monotonic() + LAST_WORD
        self._thread.join(LAST_WORD)
        with self._changed:
            for line in self._strangers:
                line.hang_up()
            for line in self._known:
                line.say_no_more()
            # Nodes hang up when they have heard it. One may be saying something meanwhile.
            self._changed.wait_for(lambda: not self._known, timeout=max(0.0, until - time.monotonic()))
            for line in self._known:
                line.hang_up()

    def _guarded(self, work: Callable[..., None], *args: object) -> None:
        """Do the work of a thread. If it fails unexpectedly, the gang ends: nobody would hear of it otherwise."""
        try:
            work(*args)
        except Exception as error:
            log.exception("A thread of the rendezvous failed.")
            self.end(_unexpected(error))

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                connection, address = self._listener.accept()
            except OSError as error:
                if self._closed.is_set():
                    return
                if error.errno not in _PASSING:
                    raise
                self._log(f"No connection can be accepted for now: {error.strerror}.")
                self._closed.wait(PAUSE)
                continue
            try:
                line = Line(connection)
            except OSError:  # it is broken already
                connection.close()
                continue
            self._make_room_for(line)
            args = (self._listen, line, address[0])
            try:
                threading.Thread(target=self._guarded, args=args, name="gang-ear", daemon=True).start()
            except RuntimeError as error:
                self._log(f"No connection can be accepted for now: {error}.")
                self._forget(line)
                line.close()
                self._closed.wait(PAUSE)

    def _make_room_for(self, line: Line) -> None:
        with self._changed:
            while len(self._strangers) >= self._places:
                next(iter(self._strangers)).hang_up()
                self._changed.wait()
            self._strangers[line] = None
            if self._closed.is_set():
                line.hang_up()

    def _forget(self, line: Line) -> None:
        with self._changed:
            self._strangers.pop(line, None)
            self._known.discard(line)
            self._changed.notify_all()

    def _listen(self, line: Line, address: str) -> None:
        try:
            rank = self._admit(line)
            try:
                for message in line.hear(OF_MEMBER):
                    self._inbox.put((rank, line, message))
            finally:
                self._inbox.put((rank, line, _Change.GONE))
        except RefusedError as error:
            if not self._closed.is_set():
                self._log(f"Closed a connection from {address}: {error}.")
        finally:
            line.close()
            self._forget(line)

    def _admit(self, line: Line) -> int:
        try:
            rank = admit(line, self._sign, run_id=self._run_id, nodes=self._topology.nodes)
        except RefusedError:
            raise
        # A fault of ours that a stranger has found must not end the gang.
        except Exception as error:
            log.exception("A handshake failed.")
            raise RefusedError("the handshake failed unexpectedly") from error
        with self._changed:
            del self._strangers[line]
            self._known.add(line)
            self._changed.notify_all()
        self._inbox.put((rank, line, _Change.MET))
        return rank

    def _log(self, what: str) -> None:
        """Log what strangers can cause as often as they like, at most once a second."""
        with self._changed:
            self._unlogged += 1
            if time.monotonic() < self._logged + PAUSE:
                return
            others, self._unlogged, self._logged = self._unlogged - 1, 0, time.monotonic()
        log.warning("%s%s", what, f" {others} like this since the last one are not logged." if others else "")

    def _serve(self) -> None:
        try:
            self._attend()
        except Exception as error:
            log.exception("The rendezvous failed.")
            self._end(ExitCode.TRANSIENT, str(_unexpected(error)))

    def _attend(self) -> None:
        while True:
            try:
                said = self._inbox.get(timeout=deadline.left(self._absent_since, self._deadline))
            except queue.Empty:
                self._end(ExitCode.TRANSIENT, self._who_is_missing())
                continue
            match said:
                case None:
                    return
                case _Kept(stage=stage):
                    self._kept.add(stage)
                    self._start()
                case End(code=code, why=why):
                    self._end(code, why)
                case (rank, line, _Change.MET):
                    self._welcome(rank, line)
                case (rank, line, message) if self._members.get(rank) is line:
                    self._obey(rank, line, message)

    def _welcome(self, rank: int, line: Line) -> None:
        old = self._members.get(rank)
        self._members[rank] = line
        if old is not None:
            self._ready.pop(rank, None)
            self._lose(rank, "it was restarted.")
            # If the old pod still runs, on a node that was cut off, it must not come back.
            old.say(End(code=ExitCode.TRANSIENT, why=f"Another pod has replaced node {rank}."))
            old.say_no_more()
        if self._final:
            line.say(self._final)
        if len(self._members) == self._topology.nodes:
            self._absent_since = None

    def _obey(self, rank: int, line: Line, message: OfMember | _Change) -> None:
        match message:
            case Ready():
                self._lose(rank, "it stopped working on the stage.")
                self._ready[rank], self._datasets[rank] = message.stage, message.dataset
                self._start()
            case Done() if self._works(rank, message.attempt):
                self._at_work.discard(rank)
                if rank == 0:
                    self._past.add(self._stage)
                line.say(Noted())
            case Done():
                line.say(Noted() if self._stage in self._past else Again(why="A peer was lost."))
            case Failed():
                if self._works(rank, message.attempt):
                    self._fail(rank, message)
                line.say(Noted())
            case _Change.GONE:
                del self._members[rank]
                self._ready.pop(rank, None)
                if not self._final:
                    self._absent_since = self._absent_since or time.monotonic()
                self._lose(rank, "its connection closed.")

    def _fail(self, rank: int, failed: Failed) -> None:
        if failed.code == ExitCode.TRANSIENT:
            self._lose(rank, failed.why)
        else:
            del self._members[rank]
            self._end(failed.code, f"Node {rank}: {failed.why}")

    def _works(self, rank: int, attempt: int) -> bool:
        return rank in self._at_work and attempt == self._attempt

    def _start(self) -> None:
        """Let all go when all are ready for the same stage; tell those who are behind."""
        for rank in [rank for rank, stage in self._ready.items() if stage in self._kept]:
            del self._ready[rank]
            self._members[rank].say(Past())
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
            line.say(Go(attempt=self._attempt))

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
                line.say(Again(why=why))

    def _end(self, code: ExitCode, why: str) -> None:
        """Send all away for good."""
        self._absent_since = None
        self._at_work.clear()
        self._final = End(code=code, why=why)
        for line in self._members.values():
            line.say(self._final)

    def _who_is_missing(self) -> str:
        absent = [rank for rank in range(self._topology.nodes) if rank not in self._members]
        names = ", ".join(f"{rank} ({self._topology.hosts[rank]})" for rank in absent)
        return (
            f"Missing for {self._deadline:.0f} s (placement.deadlines.rendezvous): node {names}. "
            f"`ocrfleet events {self._run_id}` shows why its pod is missing."
        )


def _places(nodes: int) -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    places = STRANGERS + 2 * nodes
    return places if limit == resource.RLIM_INFINITY else max(1, min(places, limit // SHARE))


def _unexpected(error: Exception) -> TransientError:
    return TransientError(
        f"The rendezvous of the nodes failed unexpectedly ({type(error).__name__}). The log of node 0 has the "
        "traceback. Run it again to resume from the last checkpoint."
    )
