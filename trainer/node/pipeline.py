"""Runs the stages of a run on one node, in order; a stage whose receipt is still valid is skipped."""

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Final

import yaml

from trainer import contract, recipes
from trainer.datasets.prepared import Prepared, require_batch
from trainer.errors import SpecError, StoppedError
from trainer.formats.canonical_json import digest
from trainer.node.attempts import Attempts
from trainer.node.supervisor import Supervisor, WorkerKilledError
from trainer.ppocr import settings, tree
from trainer.registry import models as registry
from trainer.rendezvous import PastError
from trainer.run import precision
from trainer.run.assignment import Assignment
from trainer.run.workdir import WorkDir
from trainer.state.fencing import Claims, Fence
from trainer.state.mirror import Mirror
from trainer.state.receipts import Receipt, files_of, measure
from trainer.storage import open_store
from trainer.system import atomic, device, disk, machine
from trainer.telemetry.callbacks import OnProgress
from trainer.telemetry.console import Console
from trainer.telemetry.events import (
    NAMED,
    AttemptBegun,
    Checkpointed,
    Event,
    Machine,
    Notice,
    Progressed,
    Published,
    Refused,
    Restarted,
    StageBegun,
    StageDone,
    StageSkipped,
    Transferred,
    fields,
)
from trainer.telemetry.metrics import Metrics
from trainer.telemetry.summaries import summary
from trainer.telemetry.visualdl import Scalars

log = logging.getLogger(__name__)

MIRRORED: Final = ("rehearse", "train", "evaluate", "export", "verify")
"""Stages that are expensive to do again: outputs and receipts go to the bucket."""

_AFTER_THE_GANG: Final = tuple(
    s for s in contract.STAGES[contract.STAGES.index("train") :] if s not in contract.GANG_STAGES
)
"""Stages that only the leader runs, after the other nodes have left."""


class Pipeline:
    """One attempt of one node at a run."""

    def __init__(self, given: Assignment, *, console: Console, metrics: Metrics) -> None:
        self.given = given
        self.work = given.work
        self.console = console
        self.metrics = metrics
        self.restarts: list[Restarted] = []
        self.output = open_store(given.run.output)
        process = secrets.token_hex(8)
        claims = Claims(
            store=open_store(f"{given.run.output.rstrip('/')}/checkpoints/{given.run_id}"),
            owner=given.owner or process,
            process=process,
        )
        self.mirror = Mirror(claims, work=given.work, keep=given.run.checkpoint.keep, tell=self.tell)
        self.scalars = Scalars(
            lambda: given.work.attempt_logs(self.mirror.attempt), world=given.topology.world_size, say=console.notice
        )
        self.supervisor = Supervisor(
            given.topology, deadlines=given.deadlines, hear=self.tell, variables=given.variables
        )
        self.attempts: Attempts | None = None
        self.machine: Mapping[str, Any] = {}
        """What this node has to train with."""
        self.dataset = ""
        """Identifies this node's prepared data by its content."""

    @property
    def leader(self) -> bool:
        """Whether this node runs the stages that need only one node."""
        return self.given.topology.leader

    def run(self, *, only: str | None = None) -> None:
        """Run every stage that is not done; or a single stage, even if it is done.

        Args:
            only: the single stage; the stages before it must be done.

        Raises:
            OcrfleetError: its class says whether running it again can help.
        """
        with disk.watched(self.work.root), ExitStack() as closing:
            self._run(only, closing)

    def _run(self, only: str | None, closing: ExitStack) -> None:
        # Checked before anything is downloaded: a wrong name in the job file must not cost a download.
        recipe = recipes.resolve(self.given.run, world_size=self.given.topology.world_size)
        precision.chosen(self.given.run.train.precision, device=self.given.topology.device)
        tree.require(recipe.config["Architecture"], source=recipe.name, requires=recipe.requires)
        settings.require(recipe.config)
        if only is None and self._published():
            return
        topology = self.given.topology
        has = machine.look(devices=topology.device == "gpu")
        self.machine = machine.facts(has)
        self.tell(Machine(machine=self.machine))
        # Nor must an image for CPUs on a node with GPUs.
        device.require(topology.device, count=topology.devices_per_node, has=has.driver)
        precision.chosen(self.given.run.train.precision, device=topology.device, bfloat16=has.bfloat16)
        self._claim()
        attempts = Attempts(self.given, supervisor=self.supervisor, mirror=self.mirror, tell=self.tell)
        self.attempts = closing.enter_context(attempts)
        if self.leader:
            closing.callback(Fence(self._require, on_lost=self.attempts.end).close)
        identity = self.given.run_id
        for stage in contract.STAGES:
            if stage in _AFTER_THE_GANG and not self.leader:
                return
            if stage == "rehearse" and not self._is_rehearsed(only, after=identity):
                if stage == only:
                    return
                continue
            fingerprint = _fingerprint(stage, after=identity)
            receipt = None if stage == only else self._done_before(stage, fingerprint)
            if receipt is not None:
                self.tell(StageSkipped(stage=stage, reason="already done"))
            elif only in (None, stage):
                receipt = self._do(stage, fingerprint=fingerprint)
            else:
                raise SpecError(
                    f"--stage {only} needs the stage {stage}, which is not done. Use --stage {stage} first, or run all "
                    "stages without --stage."
                )
            if stage == "prepare":
                self._configure()
                self.dataset = receipt.identity
            if self.leader and stage in contract.GANG_STAGES:
                self.attempts.keep(stage)
            if stage == only:
                return
            # No stage depends on the rehearsal, so a run without one is the same run.
            if stage != "rehearse":
                identity = receipt.identity
        self.mirror.tidy(keep_checkpoints=1)

    def _is_rehearsed(self, only: str | None, *, after: str) -> bool:
        """Whether this node rehearses the run, or has done it."""
        if not self.leader or only is not None:
            return self.leader and only == "rehearse"
        done = {stage: self._done_before(stage, _fingerprint(stage, after=after)) for stage in ("rehearse", "train")}
        # A run that an older version has trained needs none.
        return self.given.rehearse and (done["rehearse"] is not None or done["train"] is None)

    def _configure(self) -> None:
        """Write the configuration that the workers read: the recipe, filled in from the dataset."""
        given, prepared = self.given, Prepared.load(self.work.prepared)
        recipe = recipes.resolve(given.run, prepared, world_size=given.topology.world_size)
        # Before workers are started, which takes longer.
        require_batch(recipe.config, samples=prepared.counts["train"], devices=given.topology.world_size)
        for note in recipe.notes:
            self.tell(Notice(message=note))
        atomic.write(self.work.configuration, yaml.safe_dump(recipe.config, sort_keys=False, allow_unicode=True))

    def _published(self) -> bool:
        """Whether the model is already published; then at most its channel has to be set."""
        if not registry.exists(self.output, self.given.run_id):
            return False
        self.tell(Notice(message=f"{self.given.run_id} is already published. Nothing to do."))
        if self.leader and self.given.run.publish.promote:
            registry.promote_once(self.output, self.given.run_id, channel=self.given.run.publish.promote)
        return True

    def _claim(self) -> None:
        """Claim an attempt (the leader), or count one more start of this node."""
        self.mirror.attempt = self.mirror.claims.claim() if self.leader else self.work.starts() + 1
        self.tell(AttemptBegun(number=self.mirror.attempt))
        log.info("%s, attempt %d, node %d.", self.given.run_id, self.mirror.attempt, self.given.topology.node_rank)

    def _require(self) -> None:
        """Check that this node still holds the run, see `Claims.require`."""
        self.mirror.claims.require(self.mirror.attempt)

    def _do(self, stage: str, *, fingerprint: str) -> Receipt:
        """Run one stage and return its receipt."""
        if self.leader:
            self._require()
        self.tell(StageBegun(stage=stage))
        began = time.monotonic()
        try:
            facts = _STAGES[stage](self)
        except PastError:
            facts = {}
        # The outputs of a gang's stage are on the leader.
        has_outputs = self.leader or stage not in contract.GANG_STAGES
        receipt = Receipt(
            stage=stage,
            fingerprint=fingerprint,
            outputs=measure(self.work, _outputs(self.work, stage)) if has_outputs else {},
            facts=facts,
            seconds=round(time.monotonic() - began, 3),
            attempt=self.mirror.attempt,
        )
        if self.leader and stage in MIRRORED:
            # The bucket's receipt first: a local one then means that the bucket has it too.
            self._require()
            self.mirror.push_receipt(receipt)
        if has_outputs:
            receipt.write(self.work)
        return self._note(receipt)

    def _note(self, receipt: Receipt) -> Receipt:
        text = summary(receipt.stage, receipt.facts) if receipt.facts else "the leader has the results"
        self.tell(StageDone(stage=receipt.stage, seconds=receipt.seconds, summary=text))
        return receipt

    def _done_before(self, stage: str, fingerprint: str) -> Receipt | None:
        if stage in contract.GANG_STAGES and not self.leader:
            # The leader tells the nodes when they meet: two nodes that ask the bucket may get different answers.
            return None
        local = Receipt.read(self.work, stage)
        if local is not None and local.holds(self.work, fingerprint=fingerprint):
            return local
        if stage not in MIRRORED:
            return None
        remote = self.mirror.receipt(stage)
        if remote is None or remote.fingerprint != fingerprint:
            return None
        if not self.mirror.restore(remote):
            return None
        remote.write(self.work)
        return remote

    def gang(self, stage: str) -> dict[str, Any]:
        """Run a stage in the worker processes of all nodes."""
        assert self.attempts
        try:
            return self.attempts.run(stage, dataset=self.dataset)
        finally:
            self.scalars.close()

    def alone(self, stage: str) -> dict[str, Any]:
        """Run a stage in one worker process of this node."""
        attempt = self.mirror.attempt
        return self.supervisor.run(
            stage,
            workdir=self.work.root,
            log=lambda rank: self.work.worker_log(attempt=attempt, stage=stage, rank=rank),
            alone=True,
        )

    def tell(self, event: Event) -> None:
        """Pass what happens to all who hear of it (safe in another thread)."""
        match event:
            case AttemptBegun(number=number):
                self.console.locate(attempt=number)
            case Restarted():
                self.restarts.append(event)
            case Checkpointed(step=step):
                self.mirror.push_checkpoint(self.work.checkpoint(step))
        self.metrics.hear(event)
        self.console.hear(event)
        self.scalars.hear(event)

    def pull(self, what: str) -> OnProgress:
        """Return a callback that shows the bytes of one transfer after another, and counts those that moved."""
        seen: int | None = None

        def tell(done: int, total: int) -> None:
            nonlocal seen
            # Each transfer begins by telling what was here already; that many did not move.
            moved = 0 if seen is None or done < seen else done - seen
            self.tell(Transferred(direction="pull", count=moved))
            seen = done
            self.tell(Progressed(what=what, done=done, total=total, unit="bytes"))

        return tell


def _fetch(pipeline: Pipeline) -> dict[str, Any]:
    from trainer.stages.fetch import fetch

    given, notes = pipeline.given, pipeline.mirror.store
    return dict(fetch(given.run, pipeline.work, pipeline.pull("fetch"), notes=notes))


def _prepare(pipeline: Pipeline) -> dict[str, Any]:
    from trainer.stages.prepare import prepare

    def tell(done: int, total: int) -> None:
        pipeline.tell(Progressed(what="prepare", done=done, total=total, unit="images"))

    facts = dict(prepare(pipeline.given.run, pipeline.work, tell))
    if refused := {row["source"]: row["reason"] for row in Prepared.load(pipeline.work.prepared).refused}:
        pipeline.tell(Refused(count=len(refused), examples=dict(itertools.islice(refused.items(), NAMED))))
    return facts


def _rehearse(pipeline: Pipeline) -> dict[str, Any]:
    from trainer.stages.rehearse import killed, rehearse

    given = pipeline.given

    def worker(stage: str) -> dict[str, Any]:
        try:
            facts = pipeline.alone(stage)
        except WorkerKilledError as error:
            raise killed(error.by, without_memory=error.memory, given=given) or error from error
        if pipeline.supervisor.told_to_stop:
            raise StoppedError("Stopped in the rehearsal, which the next start repeats.")
        return facts

    return rehearse(given, worker=worker, tell=pipeline.tell)


def _train(pipeline: Pipeline) -> dict[str, Any]:
    from trainer.stages.train import train

    return train(
        pipeline.given.run,
        pipeline.work,
        leader=pipeline.leader,
        mirror=pipeline.mirror,
        worker=lambda: pipeline.gang("train"),
        tell=pipeline.tell,
    )


def _evaluate(pipeline: Pipeline) -> dict[str, Any]:
    return pipeline.gang("evaluate")


def _export(pipeline: Pipeline) -> dict[str, Any]:
    return pipeline.alone("export")


def _verify(pipeline: Pipeline) -> dict[str, Any]:
    return pipeline.alone("verify")


def _publish(pipeline: Pipeline) -> dict[str, Any]:
    from trainer.report import write_report
    from trainer.stages.publish import distillation_of, publish

    given, work, told = pipeline.given, pipeline.work, distillation_of(pipeline.given)
    facts = {"recipe": given.run.recipe or "config", "nodes": given.topology.nodes, "attempt": pipeline.mirror.attempt}
    write_report(work, name=given.name, run_id=given.run_id, task=given.run.task, facts=facts, distilled=told)
    found = publish(
        given,
        attempt=pipeline.mirror.attempt,
        distilled=told,
        restarts=[fields(each) for each in pipeline.restarts],
        machine=pipeline.machine,
        progress=lambda done, total: pipeline.tell(Progressed(what="publish", done=done, total=total, unit="bytes")),
    )
    model = f"{given.run.output.rstrip('/')}#{given.run_id}"
    pipeline.tell(Published(model=model, files=found["files"], bytes=found["bytes"], channel=found["channel"] or ""))
    return found


_STAGES: Final[Mapping[str, Callable[[Pipeline], dict[str, Any]]]] = {
    "fetch": _fetch,
    "prepare": _prepare,
    "rehearse": _rehearse,
    "train": _train,
    "evaluate": _evaluate,
    "export": _export,
    "verify": _verify,
    "publish": _publish,
}


def _fingerprint(stage: str, *, after: str) -> str:
    return digest({"stage": stage, "after": after})


def _outputs(work: WorkDir, stage: str) -> list[str]:
    """Name what a stage makes, relative to the run's folder."""
    folders = work.outputs(stage)
    # A dataset is measured as a whole, not file by file.
    if stage in ("fetch", "prepare"):
        return [folder.name for folder in folders]
    return [name for folder in folders for name in files_of(work, folder)]
