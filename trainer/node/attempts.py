"""Runs the stages that need every node at once: in attempts of the whole gang, until one succeeds."""

import logging
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from trainer.errors import OcrfleetError, StoppedError, TransientError
from trainer.node.supervisor import Supervisor
from trainer.rendezvous import Member, PeerLostError, Server, Sign
from trainer.run.assignment import Assignment
from trainer.state import key
from trainer.state.mirror import Mirror
from trainer.telemetry.events import AttemptBegun, Hear, Restarted

log = logging.getLogger(__name__)

_PURPOSE: Final = "rendezvous"
"""Of what is signed here with the key of the run."""


class Attempts:
    """One node's part in the attempts of its gang."""

    def __init__(
        self,
        given: Assignment,
        *,
        supervisor: Supervisor,
        mirror: Mirror,
        tell: Hear,
    ) -> None:
        """Take part; a gang of several nodes begins to look for its leader now.

        Args:
            given: the run, and this node's place in it.
            supervisor: does a stage on this node's workers.
            mirror: knows the attempt, and claims the next one.
            tell: hears of attempts and restarts.
        """
        self._given, self._supervisor, self._mirror, self._tell = given, supervisor, mirror, tell
        self._claimed = False
        self._server: Server | None = None
        self._member: Member | None = None
        topology, deadline = given.topology, given.deadlines.rendezvous
        if topology.nodes == 1:
            return
        find = self._find_sign
        if topology.leader:
            # Before it listens: a node that reaches the leader finds the key.
            sign = partial(key.create(mirror.store).sign, _PURPOSE)
            find = lambda: sign  # noqa: E731
            self._server = Server(
                topology, run_id=given.run_id, sign=sign, claim=self._claim, retries=given.retries, deadline=deadline
            )
        self._member = Member(topology, run_id=given.run_id, sign=find, deadline=deadline, on_lost=supervisor.end)

    def run(self, stage: str, *, dataset: str) -> dict[str, Any]:
        """Run a stage on all nodes and return the facts of this node's first worker.

        A lost worker or node costs an attempt: the other nodes end their workers, wait until all nodes are back, and
        resume from the last checkpoint.

        Args:
            stage: what to do.
            dataset: identifies this node's prepared data; the leader's must be the same.

        Raises:
            PastError: the leader has stored the stage's results, so this node is no longer needed for it.
            OcrfleetError: its class says whether running it again can help.
        """
        if self._member is None:
            return self._work(stage)
        while True:
            self._supervisor.regain()
            attempt = self._member.join(stage, dataset=dataset)
            if attempt != self._mirror.attempt:
                self._mirror.attempt = attempt
                self._tell(AttemptBegun(number=attempt))
            try:
                facts = self._work(stage)
                self._member.done()
            except OcrfleetError as failure:
                error = self._member.failed(failure)
                if error is not failure:
                    raise error from failure
                if not self._goes_on(error):
                    raise
                reason: Literal["peer-lost", "worker-lost"] = (
                    "peer-lost" if isinstance(error, PeerLostError) else "worker-lost"
                )
                message = f"{error} All nodes start again from the last checkpoint."
                self._tell(Restarted(reason=reason, message=message))
                log.info("Attempt %d ended: %s", attempt, error)
            else:
                if self._given.topology.leader:
                    return facts
                # The stage may have to be repeated until the leader has stored its results: join once more.

    def keep(self, stage: str) -> None:
        """Announce to the gang that a stage's results are in the bucket."""
        if self._server:
            self._server.keep(stage)

    def end(self, error: OcrfleetError) -> None:
        """End the gang's work, and its waiting, for good (safe in another thread)."""
        if self._server:
            self._server.end(error)
        self._supervisor.end(error)

    def __enter__(self) -> "Attempts":
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Leave the gang; the others must not wait for a leader that will not come back from its error."""
        if self._server and isinstance(error, OcrfleetError) and not isinstance(error, TransientError | StoppedError):
            self._server.end(error)
        if self._member:
            self._member.close()
        if self._server:
            self._server.close()

    def _work(self, stage: str) -> dict[str, Any]:
        attempt = self._mirror.attempt
        work = self._given.work

        def log_of(rank: int) -> Path:
            return work.worker_log(attempt=attempt, stage=stage, rank=rank)

        where = self._member.leader_address if self._member else None
        return self._supervisor.run(stage, workdir=work.root, log=log_of, attempt=attempt, leader_address=where)

    def _find_sign(self) -> Sign | None:
        found = key.find(self._mirror.store)
        return partial(found.sign, _PURPOSE) if found else None

    def _goes_on(self, error: OcrfleetError) -> bool:
        if not self._given.retries or self._supervisor.told_to_stop or (self._member and self._member.ended):
            return False
        # All stop on one step when one of them is told to: whoever was not told waits for that one's return.
        return isinstance(error, TransientError | StoppedError)

    def _claim(self) -> int:
        if self._claimed:
            return self._mirror.claims.claim()
        self._claimed = True
        return self._mirror.attempt
