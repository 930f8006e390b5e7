"""Logs of a run in its bucket, uploaded by each node when it ends: `checkpoints/<run>/logs/<attempt>/…`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainer.contract import STAGES
from trainer.errors import NotFoundError
from trainer.storage import Store, join_uri, open_store

_NODE: Final = re.compile(r"node-(\d+)\.log")
_RANK: Final = re.compile(r"(\w+)-rank-(\d+)\.log")


@dataclass(frozen=True, kw_only=True)
class KeptLog:
    """One file of the bucket's."""

    attempt: int
    key: str
    """Below `logs/`."""

    node: int | None = None
    """Of what a node said; None: a worker's."""

    rank: int | None = None
    """Of what a worker said, over all nodes; None: a node's."""

    stage: str = ""
    """What the worker did."""

    @property
    def title(self) -> str:
        """The node or worker that wrote it."""
        return f"node {self.node}" if self.rank is None else f"{self.stage}, rank {self.rank}"


@dataclass(frozen=True, kw_only=True)
class KeptLogs:
    """All that a bucket has of a run's logs."""

    run: str
    uri: str
    files: tuple[KeptLog, ...]
    """By attempt; a node's own before its workers'."""

    store: Store

    @property
    def attempts(self) -> list[int]:
        """Return the attempts that left any."""
        return sorted({each.attempt for each in self.files})

    def choose(self, *, attempt: int | None = None, node: int | None = None, rank: int | None = None) -> list[KeptLog]:
        """Return the files that were asked for.

        Args:
            attempt: None: the last one that has such a file.
            node: what this node said; without it and without `rank`, what each of them said.
            rank: what this worker said.

        Raises:
            NotFoundError: there is none; the sentence says which there are.
        """
        fits = [each for each in self.files if _wanted(each, node=node, rank=rank)]
        chosen = attempt if attempt is not None else max((each.attempt for each in fits), default=0)
        if found := [each for each in fits if each.attempt == chosen]:
            return found
        who = f" of rank {rank}" if rank is not None else f" of node {node}" if node is not None else ""
        when = "" if attempt is None else f" in attempt {attempt}"
        raise NotFoundError(f"{self.uri} has no log{who}{when}. Available: {self._what()}.")

    def lines(self, log: KeptLog, *, tail: int | None = None) -> Iterator[str]:
        """Return a file's lines, or the last of them."""
        lines = self.store.get(log.key).decode("utf-8", errors="replace").splitlines()
        yield from lines if tail is None else lines[max(len(lines) - tail, 0) :]

    def _what(self) -> str:
        ranks = sorted({each.rank for each in self.files if each.rank is not None})
        nodes = sorted({each.node for each in self.files if each.node is not None})
        parts = {"attempts": self.attempts, "nodes": nodes, "ranks": ranks}
        return ", ".join(f"{word} {_span(numbers)}" for word, numbers in parts.items() if numbers) or "none"


def kept(output: str, run: str, *, environ: Mapping[str, str] | None = None) -> KeptLogs:
    """Look for a run's logs in its bucket.

    Args:
        output: the run's `run.output`.
        run: its id.
        environ: the user's AWS_* variables; None: the process's own.
    """
    uri = join_uri(output, "checkpoints", run, "logs")
    store = open_store(uri, environ=environ)
    found = (_log(info.key) for info in store.list())
    files = sorted((each for each in found if each), key=_place)
    return KeptLogs(run=run, uri=uri, files=tuple(files), store=store)


def of_job_file(path: Path) -> tuple[str, list[str]]:
    """Return the bucket that a job file names, and the ids that its run can have."""
    # Its import takes longer than the rest of the command, and most logs are read by a run's name.
    from jobs.jobfile.model import load
    from trainer.run.identity import run_id

    job = load(path)
    placement = job.placement
    devices = placement.nodes * placement.devices_per_node
    # Without a device the chart takes a GPU, and `ocrfleet run` what the machine has.
    kinds = [placement.device] if placement.device else ["gpu", "cpu"]
    ids = [run_id(job.name, run=job.run, image=placement.image, device=each, devices=devices) for each in kinds]
    return job.run.output, ids


def _log(key: str) -> KeptLog | None:
    attempt, _, name = key.partition("/")
    if not (attempt.isascii() and attempt.isdecimal()):
        return None
    if node := _NODE.fullmatch(name):
        return KeptLog(attempt=int(attempt), key=key, node=int(node[1]))
    if rank := _RANK.fullmatch(name):
        return KeptLog(attempt=int(attempt), key=key, stage=rank[1], rank=int(rank[2]))
    return None


def _wanted(log: KeptLog, *, node: int | None, rank: int | None) -> bool:
    return log.rank == rank if rank is not None else log.node is not None and node in (None, log.node)


def _place(log: KeptLog) -> tuple[int, bool, int, int]:
    stage = STAGES.index(log.stage) if log.stage in STAGES else len(STAGES)
    return log.attempt, log.node is None, stage, log.node or log.rank or 0


def _span(numbers: list[int]) -> str:
    whole = numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))
