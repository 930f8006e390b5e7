"""A node's side of its gang's rendezvous."""

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing
from enum import Enum, auto
from typing import Final

from trainer.errors import OcrfleetError, StoppedError, TransientError, error_for
from trainer.rendezvous import deadline
from trainer.rendezvous.handshake import Sign, introduce
from trainer.rendezvous.line import Line, RefusedError
from trainer.rendezvous.messages import OF_LEADER, Again, Done, End, Failed, Go, Noted, OfLeader, Past, Ready
from trainer.run.topology import Topology

log = logging.getLogger(__name__)

AGAIN: Final = 1.0
"""Seconds between two tries to reach the leader, which may not have a name yet."""

PATIENCE: Final = 10.0
"""Seconds for one such try."""


class PeerLostError(TransientError):
    """A peer was lost; this node is not at fault."""


class PastError(Exception):
    """The gang has done this stage already."""


class _Change(Enum):
    """What happens to this node's connection, or to this node."""

    REACHED = auto()
    LOST = auto()
    ENDED = auto()


class Member:
    """A node's side. It looks for the leader from its first moment, and again whenever the line breaks."""

    def __init__(
        self,
        topology: Topology,
        *,
        run_id: str,
        sign: Callable[[], Sign | None],
        deadline: float,
        on_lost: Callable[[OcrfleetError], None],
    ) -> None:
        """Be one of a gang.

        Args:
            topology: the gang, as this node sees it.
            run_id: whose gang it is.
            sign: returns what signs with the run's key, or None if that does not exist yet; called in another thread
                when the leader, which creates the key before it listens, can be reached.
            deadline: seconds that the leader may be out of reach.
            on_lost: called, from another thread, when what this node's workers do has become void: with a PeerLostError
                when the gang meets again, else with what ends it.
        """
        self._topology, self._run_id, self._deadline, self._on_lost = topology, run_id, deadline, on_lost
        self._find_sign = sign
        self._sign: Sign | None = None
        self._inbox: queue.SimpleQueue[OfLeader | _Change] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._ready: Ready | None = None
        self._attempt: int | None = None
        """Of the work that this node is at; None between two stages."""
        self.ended: OcrfleetError | None = None
        """Why this node's part in the gang has ended for good."""
        self.leader_address: str | None = None
        """Where it has last reached the leader: an address of IPv4, since Paddle's store knows no other."""
        self._closed = threading.Event()
        self._unreached: float | None = time.monotonic()
        self._obstacle = ""
        """Why the last try to reach the leader came to nothing, where the network is not to blame."""
        threading.Thread(target=self._guarded, name="gang-line", daemon=True).start()

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
            self._ready = Ready(stage=stage, dataset=dataset)
            if self._line:
                self._line.say(self._ready)
        while not self.ended:
            match self._hear():
                case Go(attempt=attempt):
                    return attempt
                case Past():
                    self._ready = None
                    raise PastError
        raise self.ended

    def done(self) -> None:
        """Report that this node's workers have finished the stage.

        Raises:
            PeerLostError: the gang was restarted before the leader received the report.
            OcrfleetError: the leader ended the gang before it received the report; its class says why.
        """
        if not self._tell(lambda attempt: Done(attempt=attempt)):
            raise self.ended or PeerLostError("A peer was lost just after this node had finished its part.")

    def failed(self, error: OcrfleetError) -> OcrfleetError:
        """Report that they failed, unless a lost peer caused it or this node is asked to stop.

        When this returns, the leader has informed the other nodes, so this node may leave.

        Returns:
            Why the work failed. If the leader has ended the gang meanwhile, that is the leader's reason, not the
            transient failure seen here: which of the two a node notices first is a matter of milliseconds.
        """
        if not isinstance(error, PeerLostError | StoppedError):
            self._tell(lambda attempt: Failed(attempt=attempt, code=error.exit_code, why=str(error)))
        self._attempt = None
        return self.ended if self.ended and isinstance(error, TransientError) else error

    def close(self) -> None:
        """Leave the gang."""
        with self._lock:
            self._attempt = None
        self._end(TransientError("This node has left its gang."))
        with self._lock:
            if self._line:
                self._line.hang_up()

    def _end(self, error: OcrfleetError) -> None:
        """End this node's part for good; only the first reason counts."""
        self._closed.set()
        self.ended = self.ended or error
        # First, so that the work has ended before the thread that waits on the inbox goes on.
        self._lose(error)
        self._inbox.put(_Change.ENDED)

    def _hear(self) -> OfLeader | _Change:
        """Wait for the leader's next message, and for the leader if it is out of reach."""
        try:
            return self._inbox.get(timeout=deadline.left(self._unreached, self._deadline))
        except queue.Empty:
            raise TransientError(
                f"Node 0 ({self._topology.hosts[0]}) was out of reach for {self._deadline:.0f} s "
                f"(placement.deadlines.rendezvous). {self._obstacle}"
                f"`ocrfleet events {self._run_id}` shows why its pod is missing."
            ) from None

    def _tell(self, message: Callable[[int], Done | Failed]) -> bool:
        """Report how this node's work ended, and return whether the leader has acknowledged it."""
        with self._lock:
            told = self._line is not None and self._attempt is not None
            if self._line and self._attempt is not None:
                self._line.say(message(self._attempt))
        noted = False
        while told and not noted:
            match self._hear():
                case Noted():
                    noted = True
                case Again() | _Change.LOST | _Change.ENDED:
                    break
        self._attempt = None
        return noted

    def _guarded(self) -> None:
        """Keep the line. If that fails unexpectedly, this node ends: it would wait for ever otherwise."""
        try:
            self._keep()
        except OcrfleetError as error:
            self._end(error)
        except Exception as error:
            log.exception("The rendezvous failed.")
            self._end(
                TransientError(
                    f"The rendezvous of this node failed unexpectedly ({type(error).__name__}). Its log has the "
                    "traceback. Run it again to resume from the last checkpoint."
                )
            )

    def _keep(self) -> None:
        while not self._closed.is_set():
            if line := self._reach():
                with closing(line):
                    self._listen(line)
            # A node that the leader rejects must not reconnect in a tight loop.
            self._closed.wait(AGAIN)

    def _reach(self) -> Line | None:
        """Try once to reach the leader, and return the connection to it."""
        host = "127.0.0.1" if self._topology.leader else self._topology.hosts[0]
        try:
            opened = socket.create_connection((host, self._topology.port), timeout=PATIENCE)
        except OSError:
            return None
        try:
            where = opened.getpeername()[0] if opened.family == socket.AF_INET else None
            line = Line(opened)
        except OSError:
            opened.close()
            return None
        try:
            self._sign = self._sign or self._look_for_sign()
            if self._sign is None:
                raise RefusedError("the key of this run is not in the bucket yet, or cannot be read")
            introduce(line, self._sign, run_id=self._run_id, node=self._topology.node_rank)
        except RefusedError as error:
            self._note(f"Node 0 ({host}) accepted a connection, but the nodes did not meet: {error}. ")
            line.close()
            # Another leader may have created another key. Read now, it does not prolong the next handshake.
            self._sign = self._look_for_sign()
            return None
        except BaseException:
            line.close()
            raise
        self.leader_address, self._obstacle = where, ""
        return line

    def _look_for_sign(self) -> Sign | None:
        try:
            return self._find_sign()
        except TransientError as error:
            log.warning("The key of the run could not be read: %s", error)
            return None

    def _note(self, obstacle: str) -> None:
        if obstacle != self._obstacle:
            log.warning("%s", obstacle)
        self._obstacle = obstacle

    def _listen(self, line: Line) -> None:
        """Obey the leader until the line breaks or the gang ends."""
        with self._lock:
            if self._closed.is_set():
                return
            self._line, self._unreached = line, None
            if self._ready:
                line.say(self._ready)
        self._inbox.put(_Change.REACHED)
        try:
            for message in line.hear(OF_LEADER):
                self._obey(message)
                if self._closed.is_set():
                    break
        except RefusedError as error:
            self._note(f"Hung up on the leader: {error}. ")
        with self._lock:
            self._line, self._unreached = None, time.monotonic()
        self._lose(PeerLostError("Node 0, the leader, was lost: its connection closed."))
        self._inbox.put(_Change.LOST)

    def _obey(self, message: OfLeader) -> None:
        match message:
            case Go():
                with self._lock:
                    self._attempt, self._ready = message.attempt, None
                self._inbox.put(message)
            case Again():
                self._lose(PeerLostError(message.why))
                self._inbox.put(message)
            case End():
                self._end(error_for(message.code, message.why))
            case _:
                self._inbox.put(message)

    def _lose(self, error: OcrfleetError) -> None:
        with self._lock:
            at_work, self._attempt = self._attempt is not None, None
        if at_work:
            self._on_lost(error)
