"""The record of a run: all that is needed to repeat it, and what it cost.

Nothing of the environment gets in but the variables named here, so that no secret can.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml

from trainer import contract
from trainer.datasets.prepared import Prepared
from trainer.datasets.refusals import PLACES, by_reason
from trainer.formats.yaml import parse_yaml
from trainer.run.assignment import Assignment
from trainer.run.workdir import WorkDir
from trainer.run.worker_env import worker_environment
from trainer.state.receipts import Receipt
from trainer.system import atomic, regular

ENVIRONMENT: Final = (
    "CUDA_VISIBLE_DEVICES",
    "FLAGS_cudnn_deterministic",
    "FLAGS_embedding_deterministic",
    "FLAGS_use_mkldnn",
    "MKL_DEBUG_CPU_TYPE",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PADDLE_DISTRI_BACKEND",
    contract.ENV_PADDLEOCR_HOME,
)
"""The variables that change a result and hold no secret."""


def make_record(
    given: Assignment,
    *,
    attempt: int,
    restarts: Sequence[Mapping[str, Any]] = (),
    machine: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> dict[str, Any]:
    """Put the record together from what the stages have left.

    Args:
        given: the run, and its folder.
        attempt: the attempt that publishes.
        restarts: what ended earlier attempts since the leader's process started, as events.
        machine: devices, drivers, libraries and limits of this node; see `trainer.system.machine`.
        environ: this process's environment; `ENVIRONMENT` names what is kept of the one that its workers get.

    Raises:
        OcrfleetError: a file that the stages have left is a link.
    """
    work, topology = given.work, given.topology
    _require_no_links(work)
    seconds = _seconds(work)
    workers = worker_environment(topology, 0, environ=environ) | given.variables("train")
    return {
        "apiVersion": contract.API_VERSION,
        "kind": "Record",
        "run": given.run_id,
        "attempt": attempt,
        "restarts": [dict(each) for each in restarts],
        "job": parse_yaml(work.run_file.read_text("utf-8"), source=work.run_file.name),
        "configuration": yaml.safe_load(work.configuration.read_text("utf-8")),
        "seed": given.run.train.seed,
        "dataset": _dataset(work),
        # What a channel of the job file led to.
        "weights": _weights(work),
        "metrics": {
            "evaluation": _evaluation(_facts(work.evaluation_facts)),
            "verification": _facts(work.verification_facts),
            "training": _training(_facts(work.training_facts)),
        },
        "seconds": seconds,
        "devices": topology.world_size,
        "device": topology.device,
        # `auto` chooses by the device.
        "precision": _facts(work.training_facts).get("precision"),
        "machine": dict(machine or {}),
        "nodes": topology.nodes,
        # A device is held from the first stage to the last, whether it computes or waits.
        "device_hours": round(sum(seconds.values()) * topology.world_size / 3600, 4),
        "code": code_version(),
        "image": given.image,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "packages": package_versions(),
        "environment": {name: workers[name] for name in ENVIRONMENT if name in workers},
    }


def _require_no_links(work: WorkDir) -> None:
    """Check what is copied into the record: a worker could link to what only this process may read."""
    copied = [work.run_file, work.configuration, work.evaluation_facts, work.verification_facts, work.training_facts]
    regular.require(work.root, copied + [path for path in _origins(work).values() if path.exists()])


def write_record(work: WorkDir, record: Mapping[str, Any]) -> None:
    """Write the record into the run's folder, whole or not at all."""
    atomic.write(work.record, json.dumps(record, indent=1, ensure_ascii=False, default=str))


def package_versions() -> dict[str, str]:
    """Return name and version of every installed package."""
    found = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    return dict(sorted((name, version) for name, version in found.items() if name))


def code_version() -> str:
    """Return ocrfleet's version, with the commit when it runs from a checkout."""
    version = importlib.metadata.version("ocrfleet")
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # else git would describe whatever the environment was made in
        return version
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return version
    return f"{version}+{done.stdout.strip()}"


def _dataset(work: WorkDir) -> dict[str, Any]:
    prepared = Prepared.load(work.prepared)
    return {
        "digest": prepared.digest,
        "dataset_digest": prepared.dataset_digest,
        "counts": dict(prepared.counts),
        "max_text_length": prepared.max_text_length,
        "refused": len(prepared.refused),
    }


def _weights(work: WorkDir) -> dict[str, Any]:
    return {name: _facts(path) for name, path in _origins(work).items() if path.exists()}


def _origins(work: WorkDir) -> dict[str, Path]:
    return {"pretrained": work.pretrained_facts, "teacher": work.teacher_facts}


def _evaluation(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return an evaluation without the worst samples: those are for looking at, in the report."""
    kept = dict(facts)
    if "analysis" in kept:
        kept["analysis"] = {name: value for name, value in kept["analysis"].items() if name != "worst"}
    return kept


def _training(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what training says without its history, and refused samples by reason instead of one by one.

    Of a distillation the evaluations stay: what each network reached, each time.
    """
    kept = {name: value for name, value in facts.items() if name != "history"}
    if "distillation" in kept:
        kept["evaluations"] = facts["history"]["eval"]
    if "refused" in kept:
        kept["refused"] = [asdict(reason) for reason in by_reason(kept["refused"].items())]
    if "skipped_batches" in kept:
        kept["skipped_batches"] = [
            {**batch, "samples": len(batch["samples"]), "places": list(batch["samples"][:PLACES])}
            for batch in kept["skipped_batches"]
        ]
    return kept


def _facts(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return facts


def _seconds(work: WorkDir) -> dict[str, float]:
    receipts = {stage: Receipt.read(work, stage) for stage in contract.STAGES}
    return {stage: receipt.seconds for stage, receipt in receipts.items() if receipt}
