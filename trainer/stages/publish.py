"""publish: the gate, then every file, then the manifest, then the channel; in that order.

The manifest is created once, if absent, and last: a kill before it leaves nothing that a reader would
see, and two attempts that publish at once make one model. No write replaces anything under `runs/`, so a role needs no
permission to.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trainer.datasets.prepared import Prepared
from trainer.errors import GateError, SpecError, TransientError
from trainer.registry import baseline, channels, distillation, manifests
from trainer.registry.distillation import Distillation
from trainer.registry.manifests import Manifest, PublishedFile
from trainer.run.assignment import Assignment
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.stages import locations, record
from trainer.state.checkpoints import file_digest
from trainer.storage import Store, open_store
from trainer.system import regular
from trainer.telemetry.callbacks import OnProgress

_INFERENCE = ("inference.json", "inference.pdiparams", "inference.yml")


def publish(
    given: Assignment,
    *,
    attempt: int,
    progress: OnProgress | None = None,
    distilled: Distillation | None = None,
    restarts: Sequence[Mapping[str, Any]] = (),
    machine: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Publish the run's model if it passes its gate; a run that is published already stays as it is.

    Args:
        given: the run; export and verify are done in its folder, and the report is written.
        attempt: this attempt.
        progress: told of bytes pushed.
        distilled: what is told of the run's distillation, where it is one.
        restarts: what ended attempts of this node, for the record.
        machine: what this node has, for the record.

    Returns:
        Facts: `run`, `attempt` and `manifest` of the model that holds, whether it is `ours`, its `files` and
        `bytes`, what the `gate` compared, and the `channel`.

    Raises:
        GateError: the model is not good enough, or was not verified.
        SpecError: a channel is wanted, and the store does not honour conditional writes.
    """
    run, run_id, work = given.run, given.run_id, given.work
    store = open_store(run.output)
    held = manifests.find(store, run_id)
    gate: dict[str, Any] = {}
    if held is None:
        if run.publish.promote and not store.below("checkpoints").conditional_writes():
            raise locations.no_conditional_writes(run)
        evaluation = _checked(work)
        gate = check_gate(run, evaluation, store=store)
        written = record.make_record(given, attempt=attempt, restarts=restarts, machine=machine)
        record.write_record(work, written)
        ours = Manifest(
            run=run_id,
            name=given.name,
            task=run.task,
            attempt=attempt,
            created=manifests.now(),
            recipe=run.recipe or "config",
            model_name=_model_name(work),
            metrics=evaluation["metrics"],
            split=evaluation["split"],
            samples=evaluation["samples"],
            dataset=written["dataset"]["digest"],
            files=_push(store, run, work, prefix=f"runs/{run_id}", attempt=attempt, progress=progress),
            distillation=distilled,
        )
        held = manifests.create(store, ours)
    if run.publish.promote:
        channels.promote_once(store, run_id, channel=run.publish.promote)
    return {
        "run": run_id,
        "attempt": held.attempt,
        "ours": held.attempt == attempt,
        "manifest": f"{store.uri}{manifests.key_of(run_id)}",
        "files": len(held.files),
        "bytes": sum(file.size for file in held.files),
        "metrics": dict(held.metrics),
        "gate": gate,
        "channel": run.publish.promote,
    }


def distillation_of(given: Assignment) -> Distillation | None:
    """Put together what is told of a run's distillation; None where one network was trained by itself."""
    found = distillation.read(given.work)
    if found is None:
        return None
    evaluation = json.loads(given.work.evaluation_facts.read_text("utf-8"))
    made = baseline.compare(
        given.run,
        open_store(given.run.output),
        metrics=evaluation["metrics"],
        split=evaluation["split"],
        samples=evaluation["samples"],
        dataset=Prepared.load(given.work.prepared).digest,
    )
    return found.with_gain(made)


def check_gate(run: RunSpec, evaluation: Mapping[str, Any], *, store: Store) -> dict[str, Any]:
    """Check the model against the gate and return the compared values.

    Raises:
        GateError: the model reads nothing, is below the minimum, or is worse than the channel's model; says by how
            much.
        SpecError: the channel's model has no such metric.
    """
    metric, gate = run.main_metric, run.gate
    value = float(evaluation["metrics"][metric])
    result = f"{metric} on the {evaluation['split']} split ({evaluation['samples']} samples) is {value:.4f}"
    advice = "Nothing is published. Train longer or on more data, or change the gate."
    if math.isnan(value):
        raise GateError(f"{result}. {advice}")
    if value == 0 and gate.minimum is None:
        raise GateError(f"{result}: the model reads nothing. {advice} `run.gate.minimum: 0` publishes such a model.")
    compared: dict[str, Any] = {"metric": metric, "value": value, "minimum": gate.minimum}
    if gate.minimum is not None and value < gate.minimum:
        raise GateError(f"{result}, but run.gate.minimum is {gate.minimum:g}. {advice}")
    if gate.not_worse_than is None:
        return compared
    channel = channels.find(store, gate.not_worse_than)
    if channel is None:
        # The first model of a new channel has nothing to be compared with.
        return {**compared, "channel": gate.not_worse_than, "channel_run": None}
    theirs = manifests.read(store, channel.run)
    if metric not in theirs.metrics:
        raise SpecError(
            f"run.gate.notWorseThan is {gate.not_worse_than!r}, but its model {theirs.run} ({theirs.task}) has no "
            f"{metric}. Name a channel of the same task."
        )
    wanted = float(theirs.metrics[metric])
    if value < wanted - gate.tolerance:
        raise GateError(
            f"{result}. The model of channel {gate.not_worse_than!r} ({theirs.run}) has {wanted:.4f} on its own "
            f"{theirs.split} split, and run.gate.tolerance allows only {gate.tolerance:g} less. {advice}"
        )
    return {**compared, "channel": gate.not_worse_than, "channel_run": theirs.run, "channel_value": wanted}


def _checked(work: WorkDir) -> dict[str, Any]:
    """Return the evaluation of a model that is exported and verified.

    Raises:
        GateError: one of its files is missing.
    """
    needed = [work.evaluation_facts, work.verification_facts, *(work.inference / name for name in _INFERENCE)]
    for path in needed:
        if not path.is_file():
            raise GateError(f"{path} is missing, so the model is not verified. Nothing is published. Run it again.")
    evaluation: dict[str, Any] = json.loads(work.evaluation_facts.read_text("utf-8"))
    return evaluation


def _model_name(work: WorkDir) -> str:
    content = yaml.safe_load((work.inference / "inference.yml").read_text("utf-8"))
    return str((content.get("Global") or {}).get("model_name", ""))


def _push(
    store: Store, run: RunSpec, work: WorkDir, *, prefix: str, attempt: int, progress: OnProgress | None
) -> tuple[PublishedFile, ...]:
    """Push all files of the model, and return what the manifest says of them."""
    paths = {f"inference/{name}": work.inference / name for name in _INFERENCE}
    paths |= {f"report/{path.relative_to(work.report).as_posix()}": path for path in _files(work.report)}
    paths["record.json"] = work.record
    if run.publish.weights:
        paths |= _weights(work)
    regular.require(work.root, paths.values())
    files = tuple(
        PublishedFile(path=f"{attempt}/{name}", size=path.stat().st_size, sha256=file_digest(path))
        for name, path in sorted(paths.items())
    )
    store.push({f"{prefix}/{attempt}/{name}": path for name, path in paths.items()}, progress, if_absent=True)
    _check_pushed(store, files, prefix=prefix)
    return files


def _weights(work: WorkDir) -> dict[str, Path]:
    """Name what another run needs to start from this one; how the network is built is in the record."""
    paths = {"weights/model.pdparams": work.published_weights}
    prepared = Prepared.load(work.prepared)
    if prepared.task == "rec":
        # What the outputs of its head stand for.
        paths["weights/dictionary.txt"] = prepared.dictionary
    return paths


def _check_pushed(store: Store, files: tuple[PublishedFile, ...], *, prefix: str) -> None:
    """Make sure that the bucket has every file that the manifest will name.

    Raises:
        TransientError: an object is missing or has another size.
    """
    there = {info.key: info.size for info in store.list(prefix)}
    for file in files:
        if there.get(f"{prefix}/{file.path}") != file.size:
            raise TransientError(
                f"{store.uri}{prefix}/{file.path} was uploaded, but is missing or incomplete there. Run it again."
            )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
