"""Starts the workers of a stage, listens to them, and ends them all together, with a reason.

The supervisor is paddle-free, so that no fault of a device or a library takes it down, and it alone
holds the credentials of the bucket.
"""

import contextlib
import os
import queue
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from trainer import contract
from trainer.datasets import decoding, image_workers
from trainer.datasets.headers import ImageError
from trainer.errors import DatasetError, OcrfleetError, StoppedError, TransientError, error_for
from trainer.rendezvous import PeerLostError
from trainer.run import worker_env
from trainer.run.assignment import DeadlineSeconds
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.system import memory, stacks
from trainer.telemetry import events

GRACE: Final = 20.0
"""Seconds that peers of a failed worker get to end by themselves before they are killed."""


CONFINED: Final = (sys.executable, "-P", "-m", "trainer.system.confined")
"""Runs a module where credentials cannot be read. With -P, since workers can write to the working folder."""


class WorkerKilledError(TransientError):
    """A worker was killed by a signal: by another program, for lack of memory, or by its own crash."""

    def __init__(self, message: str, *, by: str, memory: bool) -> None:
        super().__init__(message)
        self.by = by
        """Name of the signal."""
        self.memory = memory
        """Whether the kernel killed it, since the control group's memory ran out."""


@dataclass
class Worker:
    """One worker process and what it said last."""

    rank: int
    log: Path
    process: subprocess.Popen[bytes]
    ready: bool = False
    heard: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] | None = None
    error: OcrfleetError | None = None
    code: int | None = None


class Supervisor:
    """Runs stages as worker processes of one node."""

    def __init__(
        self,
        topology: Topology,
        *,
        deadlines: DeadlineSeconds,
        hear: events.Hear,
        variables: Callable[[str], Mapping[str, str]] = lambda stage: {},
        program: tuple[str, ...] = (*CONFINED, "trainer.ppocr.worker"),
    ) -> None:
        """Prepare to run stages.

        Args:
            topology: the gang, as this node sees it.
            deadlines: how long workers may be silent.
            hear: hears of events.
            variables: the environment variables by which a stage computes.
            program: of a worker.
        """
        self.topology = topology
        self._variables = variables
        self.deadlines = deadlines
        self._tell = hear
        self._program = program
        # A SimpleQueue may be filled from a signal handler.
        self._inbox: queue.SimpleQueue[tuple[Worker | None, str, Any]] = queue.SimpleQueue()
        self._busy = False
        self._void: OcrfleetError | None = None
        self._kills = 0
        self._decoding = Path()
        self.told_to_stop = False

    def end(self, error: OcrfleetError) -> None:
        """End the workers at once with an error (safe in another thread); before a stage, it won't begin."""
        self._void = error
        self._inbox.put((None, "end", error))

    def regain(self) -> None:
        """Forget that a peer was lost: the gang is about to meet again."""
        if isinstance(self._void, PeerLostError):
            self._void = None

    def stop(self) -> bool:
        """Ask the workers to stop (safe in a signal handler); whether there were any."""
        self.told_to_stop = True
        if self._busy:
            self._inbox.put((None, "stop", None))
        return self._busy

    def run(
        self,
        stage: str,
        *,
        workdir: Path,
        log: Callable[[int], Path],
        alone: bool = False,
        attempt: int = 0,
        leader_address: str | None = None,
    ) -> dict[str, Any]:
        """Do a stage on this node's workers.

        Args:
            stage: a stage of `trainer.ppocr.worker`.
            workdir: the run's folder on this node.
            log: the log file of a rank.
            alone: with one worker, whatever the gang's size.
            attempt: of the gang.
            leader_address: where this node has reached the gang's first; None: by its name.

        Returns:
            The facts of the node's first worker.

        Raises:
            OcrfleetError: of the class and with the sentence of the worker that failed first.
        """
        together = replace(self.topology, attempt=attempt, leader_address=leader_address)
        topology = worker_env.solo(self.topology) if alone else together
        self._inbox = queue.SimpleQueue()
        self._busy = True
        self._kills = memory.kills() or 0
        self._decoding = WorkDir(workdir).decoding
        shutil.rmtree(self._decoding, ignore_errors=True)
        workers: list[Worker] = []
        try:
            if self._void:
                raise self._void
            for local_rank in range(topology.devices_per_node):
                workers.append(self._start(topology, local_rank, stage, WorkDir(workdir), log))
            self._attend(workers)
        finally:
            self._busy = False
            for worker in workers:
                if worker.process.poll() is None:
                    _signal(worker, signal.SIGKILL)
                    worker.process.wait()
        return workers[0].facts or {}

    def _start(
        self, topology: Topology, local_rank: int, stage: str, work: WorkDir, log: Callable[[int], Path]
    ) -> Worker:
        rank = topology.rank(local_rank)
        path = log(rank)
        path.parent.mkdir(parents=True, exist_ok=True)
        reading, writing = os.pipe()
        environment = worker_env.worker_environment(topology, local_rank)
        environment |= self._variables(stage)
        environment[contract.ENV_EVENTS_FD] = str(writing)
        work.home.mkdir(exist_ok=True)
        # The packages that a user has installed for himself are still found.
        environment |= {"HOME": str(work.home), "PYTHONUSERBASE": site.getuserbase()}
        with path.open("ab") as stream:
            process = subprocess.Popen(
                [*self._program, stage, "--workdir", str(work.root)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=(writing,),
                # A session of its own: Ctrl-C reaches the supervisor alone, which then stops all on one step.
                start_new_session=True,
            )
        os.close(writing)
        worker = Worker(rank=rank, log=path, process=process)
        listener = threading.Thread(target=self._listen, args=(worker, reading), daemon=True)
        listener.start()
        threading.Thread(target=self._await_end, args=(worker, listener), daemon=True).start()
        return worker

    def _listen(self, worker: Worker, pipe: int) -> None:
        with os.fdopen(pipe, "rb") as stream:
            for event in events.read(stream):
                self._inbox.put((worker, "event", event))

    def _await_end(self, worker: Worker, listener: threading.Thread) -> None:
        code = worker.process.wait()
        # Readers that the worker forked hold its end of the pipe; without it they have nothing to do.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        # Its last words come before the news of its end.
        listener.join()
        self._inbox.put((worker, "exit", code))

    def _attend(self, workers: list[Worker]) -> None:
        """Listen until every worker has ended; raise for the first that failed."""
        first: Worker | None = None
        stopping = False
        until: float | None = None
        while any(worker.code is None for worker in workers):
            limit = until if until is not None else self._deadline(workers)
            try:
                worker, kind, what = self._inbox.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                if until is None:
                    self._give_up(workers)
                for late in workers:
                    _signal(late, signal.SIGKILL)
                until = time.monotonic() + GRACE
                continue
            if kind == "end":
                # All stop on one step, and a node that has done its part of saving leaves: ours may still be at it.
                if stopping and isinstance(what, PeerLostError):
                    continue
                raise what
            if worker is None:
                if not stopping:
                    stopping, until = True, time.monotonic() + self.deadlines.stop
                    for each in workers:
                        _signal(each, signal.SIGTERM)
            elif kind == "event":
                self._hear(worker, what)
            else:
                worker.code = what
                if what != 0 and first is None:
                    first = worker
                    # Its peers find out by themselves, or wait in a collective for ever.
                    until = min(until or float("inf"), time.monotonic() + GRACE)
        if first is not None:
            raise self._failure(first, workers, stopping=stopping)

    def _hear(self, worker: Worker, event: events.Event) -> None:
        worker.heard = time.monotonic()
        match event:
            case events.Ready():
                worker.ready = True
            case events.Finished(facts=facts):
                worker.facts = facts
            case events.Failed(code=code, message=message):
                worker.error = error_for(code, message)
        self._tell(event)

    def _deadline(self, workers: list[Worker]) -> float:
        alive = [worker for worker in workers if worker.code is None]
        return min(w.heard + (self.deadlines.stall if w.ready else self._start_within) for w in alive)

    @property
    def _start_within(self) -> float:
        # The nodes have met already; who waits for less than this meant the workers, too.
        return min(self.deadlines.start, self.deadlines.rendezvous)

    def _give_up(self, workers: list[Worker]) -> None:
        """Raise for workers that have been silent for too long, after they have written their stack traces."""
        silent = min((w for w in workers if w.code is None), key=lambda w: w.heard)
        _end_with_stacks(workers)
        if not silent.ready:
            raise TransientError(
                f"The workers did not start and connect to each other within {self._start_within:.0f} s. Check that "
                "the ports of every node are open; between GPUs, NCCL_DEBUG=INFO in the environment has NCCL say more. "
                f"Log: {silent.log}."
            )
        raise TransientError(
            f"Worker {silent.rank} was silent for {self.deadlines.stall:.0f} s (placement.deadlines.stall). "
            f"{silent.log} ends with the stack of each thread. Run it again to resume from the last checkpoint."
        )

    def _failure(self, first: Worker, workers: list[Worker], *, stopping: bool) -> OcrfleetError:
        """Choose the most informative error: a worker's own message before a signal's number."""
        # A crash of a reader is a worker's error, too, and every retry would meet the same image.
        if not stopping and (deadly := _deadly(decoding.under_way(self._decoding))):
            return deadly
        errors = [w.error for w in (first, *workers) if w.error is not None]
        # The peers of a killed worker report its loss in paddle's words; the killed worker is the cause.
        if first.code is not None and first.code < 0 and not stopping:
            name = signal.Signals(-first.code).name
            how = f"was killed by {name}."
            ran_out = name == "SIGKILL" and (memory.kills() or 0) > self._kills
            if ran_out:
                how = (
                    "was killed by the kernel, because memory ran out. Lower run.train.batchSizePerDevice, or increase "
                    "placement.resources.limits.memory."
                )
            message = f"Worker {first.rank} {how} Run it again to resume from the last checkpoint. Log: {first.log}."
            return WorkerKilledError(message, by=name, memory=ran_out)
        if stopping and not any(isinstance(e, StoppedError) for e in errors):
            return StoppedError(
                "Stopped before the state could be saved. Run it again to resume from the last checkpoint."
            )
        error = next((e for e in errors if isinstance(e, StoppedError)), errors[0] if errors else None)
        if error is None:
            return OcrfleetError(f"Worker {first.rank} exited with code {first.code}. Log: {first.log}.")
        if type(error) is OcrfleetError:
            return OcrfleetError(f"{error} (worker {first.rank}; the traceback is in {first.log})")
        return error


def _deadly(suspects: Sequence[Path]) -> DatasetError | None:
    """Return the error for the first of some images that kills every process that decodes it."""
    if not suspects:
        return None
    with image_workers.decoder(max_pixels=sys.maxsize) as decode:
        for path in suspects:
            try:
                decode(path)
            except image_workers.DeadlyError as why:
                return DatasetError(f"'{path}': {why}. Replace the file or leave it out.")
            # The last two: it could not be tried, so the worker's own error counts.
            except (ImageError, OcrfleetError, OSError):
                continue
    return None


def _end_with_stacks(workers: list[Worker]) -> None:
    """Have workers write where their threads stand, and end; one that does not within GRACE is left as it is."""
    for worker in workers:
        _signal(worker, stacks.SHOW_AND_END)
    until = time.monotonic() + GRACE
    for worker in workers:
        with contextlib.suppress(subprocess.TimeoutExpired):
            worker.process.wait(max(0.0, until - time.monotonic()))


def _signal(worker: Worker, number: signal.Signals) -> None:
    """Signal a worker and the readers that it has started."""
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL:
            os.killpg(worker.process.pid, number)
        else:
            worker.process.send_signal(number)
