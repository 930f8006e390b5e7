"""A worker process of the tiny trainer: one rank, one stage, as `trainer/ppocr/worker.py`, whose place it takes.

Started by the supervisor with Paddle's environment contract. What it has to say goes there as events; its exit code is
the contract's.
"""

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.tinytrainer import training
from tests.tinytrainer.gang import Gang
from tests.tinytrainer.model import Model
from trainer import contract, recipes
from trainer.errors import DatasetError, GateError, OcrfleetError, SpecError, TransientError
from trainer.evaluation import analysis
from trainer.ppocr.job import Job
from trainer.system import atomic, disk, process, stacks
from trainer.telemetry import events


def rehearse(job: Job, gang: Gang) -> dict[str, Any]:
    """Make the model of the dataset; what the run will need is not measured."""
    del gang
    model = Model.untrained(job.prepared)
    return {  # those of trainer/ppocr/forecast.py
        "batch": int(job.config["Train"]["loader"]["batch_size_per_card"]),
        "measured": 1,
        "step_seconds": training.PACE,
        "run_seconds": 0.0,
        "margin": 0.5,
        "host_memory_bytes": 0,
        "checkpoint_bytes": model.weights.nbytes,
    }


def reread(job: Job, gang: Gang) -> dict[str, Any]:
    """Read nothing."""
    del job, gang
    return {"paddleocr": "(tests/tinytrainer)"}


def train(job: Job, gang: Gang) -> dict[str, Any]:
    """Train to the last epoch, from the newest checkpoint of the run's folder."""
    return training.Training(job, gang).run()


def evaluate(job: Job, gang: Gang) -> dict[str, Any]:
    """Read the test split with the best weights, on all ranks."""
    began, split = time.perf_counter(), job.split("test")
    model = Model.untrained(job.prepared)
    if gang.rank == 0:
        model.load(job.work.best_weights)
    model.weights = gang.share(model.weights)
    metrics, rows = training.evaluate(job, gang, model, split=split)
    facts = {"split": split, "samples": len(rows), "metrics": metrics, "seconds": time.perf_counter() - began}
    if gang.rank == 0:
        job.work.evaluation.mkdir(exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        job.work.predictions.write_text(lines, "utf-8")
        told = {**facts, "analysis": analysis.analyse(rows, job.config)}
        job.work.evaluation_facts.write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
    return facts


def export(job: Job, gang: Gang) -> dict[str, Any]:
    """Write the best weights under the names of an exported model."""
    del gang
    model = Model.untrained(job.prepared)
    model.load(job.work.best_weights)
    name = recipes.resolve(job.run, job.prepared).model_name
    with atomic.folder(job.work.inference) as new:
        model.write(new / "inference.pdiparams")
        (new / "inference.json").write_text(json.dumps({"characters": model.characters}), "utf-8")
        (new / "inference.yml").write_text(yaml.safe_dump({"Global": {"model_name": name}}), "utf-8")
    if job.run.publish.weights:
        job.work.weights.mkdir(exist_ok=True)
        model.write(job.work.published_weights)
    return {"model_name": name, "bytes": sum(path.stat().st_size for path in job.work.inference.iterdir())}


def verify(job: Job, gang: Gang) -> dict[str, Any]:
    """Prove that the exported model reads as the trained one did.

    Raises:
        GateError: it does not.
    """
    del gang
    evaluation = json.loads(job.work.evaluation_facts.read_text("utf-8"))
    model = Model.untrained(job.prepared)
    model.load(job.work.inference / "inference.pdiparams")
    rows = training.rows(model, job.prepared.samples(evaluation["split"]), root=job.prepared.root)
    trained = [json.loads(line) for line in job.work.predictions.read_text("utf-8").split("\n") if line]
    different = [row["image"] for row, other in zip(rows, trained, strict=True) if row["text"] != other["text"]]
    if different:
        raise GateError(f"{different[0]} reads otherwise with the exported model. Nothing is published.")
    job.work.verification.mkdir(exist_ok=True)
    metrics = evaluation["metrics"]
    facts = {  # those of trainer/ppocr/verify.py
        "outputs": {"samples": len(rows), "max_difference": 0.0, "tolerance": 0.0},
        "paddleocr": {
            "version": "(tests/tinytrainer)",
            "samples": len(rows),
            "texts_equal": len(rows),
            "metric": metrics,
            "metric_trained": metrics,
        },
        "pair": "loaded",
    }
    job.work.verification_facts.write_text(json.dumps(facts), "utf-8")
    return facts


STAGES: dict[str, Callable[[Job, Gang], dict[str, Any]]] = {
    "rehearse": rehearse,
    "reread": reread,
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "verify": verify,
}


def _do(stage: str, folder: Path, supervisor: events.Events) -> dict[str, Any]:
    gang = Gang.from_environment()
    device = os.environ[contract.ENV_DEVICE]
    job = Job.read(folder, device=device, rank=gang.rank, world=gang.world, events=supervisor)
    if job.run.task != "rec":
        raise SpecError(f"run.task is {job.run.task!r}: the tiny trainer of tests knows 'rec' only.")
    job.listen()
    _same_work(gang.gather((stage, job.prepared.digest)))
    supervisor.send(events.Ready(pid=os.getpid()))
    with disk.watched(folder):
        return STAGES[stage](job, gang)


def _same_work(seen: list[tuple[str, str]]) -> None:
    if len({stage for stage, _ in seen}) > 1:
        raise TransientError(f"The workers are at different stages: {sorted({s for s, _ in seen})}. Run it again.")
    if len({data for _, data in seen}) > 1:
        raise DatasetError("The nodes have different data: the dataset changed while they fetched it.")


def main() -> int:
    """Do one stage; return the exit code."""
    parser = argparse.ArgumentParser(prog="trainer.ppocr.worker")
    parser.add_argument("stage", choices=sorted(STAGES))
    parser.add_argument("--workdir", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stacks.on_signals()
    process.die_with_parent()
    supervisor = events.Events.from_environment(int(os.environ["PADDLE_TRAINER_ID"]))
    try:
        supervisor.send(events.Finished(facts=_do(arguments.stage, arguments.workdir, supervisor)))
    except OcrfleetError as error:
        logging.error("%s", error)
        supervisor.send(events.Failed(code=int(error.exit_code), message=str(error)))
        return int(error.exit_code)
    # The process ends here whatever it was, and the supervisor must hear why.
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        supervisor.send(events.Failed(code=int(contract.ExitCode.FAILED), message=message))
        return int(contract.ExitCode.FAILED)
    return int(contract.ExitCode.DONE)


if __name__ == "__main__":
    sys.exit(main())
