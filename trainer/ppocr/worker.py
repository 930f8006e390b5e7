"""A worker process: one device, one stage. `python -m trainer.ppocr.worker STAGE --workdir DIR`.

Started by `trainer/node/supervisor.py` with Paddle's environment contract. What it has to say goes to the
supervisor as events; its exit code is the contract's.
"""

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from trainer import contract
from trainer.datasets import decoding
from trainer.errors import DatasetError, OcrfleetError, StoppedError, TransientError
from trainer.ppocr import faults
from trainer.ppocr.job import Job
from trainer.system import disk, process, stacks
from trainer.telemetry import events


def train(job: Job) -> dict[str, Any]:
    """Train to the last epoch, from the newest checkpoint of the run's folder."""
    from trainer.ppocr import phases

    return phases.train(job)


def evaluate(job: Job) -> dict[str, Any]:
    """Read the test split with the best weights, on all ranks."""
    from trainer.evaluation import analysis
    from trainer.ppocr import build, collective, evaluate, start, state

    began = time.perf_counter()
    model = build.build_model(job.config)
    if job.rank == 0:
        start.load_weights(model, job.work.best_weights)
    # Only the leader's node has the weights for certain.
    model.set_state_dict(collective.share(state.weights(model)))
    split = job.split("test")
    read = evaluate.evaluate(job, model, samples=job.prepared.samples(split))[""]
    metrics, rows = read.metrics, read.rows
    facts = {"split": split, "samples": len(rows), "metrics": metrics, "seconds": time.perf_counter() - began}
    if job.rank == 0:
        job.work.evaluation.mkdir(exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        job.work.predictions.write_text(lines, "utf-8")
        told = {**facts, "analysis": analysis.analyse(rows, job.config)}
        job.work.evaluation_facts.write_text(json.dumps(told, indent=1, ensure_ascii=False), "utf-8")
    return facts


def export(job: Job) -> dict[str, Any]:
    """Write the best weights as an inference model and, with `run.publish.weights`, as a `.pdparams` file."""
    from trainer import recipes
    from trainer.ppocr import export

    name = recipes.resolve(job.run, job.prepared).model_name
    export.export(job.config, job.work.best_weights, job.work.inference, name)
    if job.run.publish.weights:
        export.export_weights(job.work.best_weights, job.work.published_weights)
    return {"model_name": name, "bytes": sum(path.stat().st_size for path in job.work.inference.iterdir())}


def verify(job: Job) -> dict[str, Any]:
    """Prove that the inference model reads as the trained one does."""
    from trainer import recipes
    from trainer.ppocr import verify

    evaluation = json.loads(job.work.evaluation_facts.read_text("utf-8"))
    job.work.verification.mkdir(exist_ok=True)
    comparison = verify.Comparison(
        config=job.config,
        weights=job.work.best_weights,
        inference_dir=job.work.inference,
        samples=job.prepared.samples(evaluation["split"]),
        rows=[json.loads(line) for line in job.work.predictions.read_text("utf-8").split("\n") if line],
        metrics=evaluation["metrics"],
        tolerance=recipes.resolve(job.run, job.prepared).tolerance,
        device=job.device,
        progress=lambda done, total: job.events.send(
            events.Progressed(what="verify", done=done, total=total, unit="images")
        ),
    )
    return verify.verify(comparison, out=job.work.verification_facts)


def _of_the_picked(job: Job) -> Job:
    """Let the stages after a distillation see one network only: the one that it picked."""
    from trainer.ppocr import collective
    from trainer.recipes import distill

    if not distill.is_distillation(job.config):
        return job
    facts = json.loads(job.work.training_facts.read_text("utf-8")) if job.rank == 0 else None
    picked = collective.share(facts and facts["distillation"]["picked"])
    return replace(job, config=distill.plain(job.config, picked))


def _all_of(stage: str, job: Job) -> dict[str, Any]:
    """Do a stage, and leave the gang with the others where all end it alike: done, or stopped on the same step."""
    from trainer.ppocr import collective

    try:
        facts = STAGES[stage](job)
    except StoppedError:
        collective.leave()
        raise
    collective.leave()
    return facts


def rehearse(job: Job) -> dict[str, Any]:
    """Try each part that the run will need on a few samples."""
    from trainer.ppocr import rehearsal

    return rehearsal.rehearse(job)


def reread(job: Job) -> dict[str, Any]:
    """Read what `rehearse` has exported."""
    from trainer.ppocr import rehearsal

    return rehearsal.reread(job)


STAGES: dict[str, Callable[[Job], dict[str, Any]]] = {
    "rehearse": rehearse,
    "reread": reread,
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "verify": verify,
}


_OF_ONE_NETWORK: Final = ("evaluate", "export", "verify")
"""Stages after training."""


def _same_work(stage: str, job: Job) -> None:
    """Check that every rank is at the same stage with the same data, before anything is computed.

    Raises:
        TransientError: a node is at another stage; the next attempt will agree.
        DatasetError: the nodes have different data.
    """
    from trainer.ppocr import collective

    seen = collective.gather((stage, (job.data.digest, job.data.dictionary)))
    if len({where for where, _ in seen}) > 1:
        raise TransientError(f"The workers are at different stages: {sorted({s for s, _ in seen})}. Run it again.")
    if len({data for _, data in seen}) > 1:
        raise DatasetError(
            "The nodes have different data: the dataset changed while they fetched it. "
            "Pin it with run.data.digest, or remove the work folders and run it again."
        )


def _failed(error: OcrfleetError, supervisor: events.Events) -> int:
    logging.error("%s", error)
    supervisor.send(events.Failed(code=int(error.exit_code), message=str(error)))
    return int(error.exit_code)


def main() -> int:
    """Do one stage; return the exit code."""
    parser = argparse.ArgumentParser(prog="trainer.ppocr.worker")
    parser.add_argument("stage", choices=sorted(STAGES))
    parser.add_argument("--workdir", type=Path, required=True)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stacks.on_signals()
    process.die_with_parent()
    device = os.environ[contract.ENV_DEVICE]
    supervisor = events.Events.from_environment(int(os.environ["PADDLE_TRAINER_ID"]))
    job: Job | None = None
    try:
        import paddle

        from trainer.ppocr import collective, tree

        paddle.set_device(device)
        tree.on_path()
        rank, world = collective.join()
        job = Job.read(arguments.workdir, device=device, rank=rank, world=world, events=supervisor)
        job.listen()
        decoding.keep_in(job.work.decoding)
        _same_work(arguments.stage, job)
        if arguments.stage in _OF_ONE_NETWORK:
            job = _of_the_picked(job)
        supervisor.send(events.Ready(pid=os.getpid()))
        with disk.watched(arguments.workdir):
            facts = _all_of(arguments.stage, job)
        supervisor.send(events.Finished(facts=facts))
    except OcrfleetError as error:
        return _failed(error, supervisor)
    # The process ends here whatever it was, and the supervisor must hear why.
    except Exception as error:  # noqa: BLE001
        traceback.print_exc()
        if failed := faults.known(error, batch=job.config["Train"]["loader"]["batch_size_per_card"] if job else None):
            return _failed(failed, supervisor)
        if isinstance(error, SystemError):
            from trainer.ppocr.data import reader_died

            if died := reader_died(error):
                return _failed(died, supervisor)
        message = f"{type(error).__name__}: {error}"
        supervisor.send(events.Failed(code=int(contract.ExitCode.FAILED), message=message))
        return int(contract.ExitCode.FAILED)
    return int(contract.ExitCode.DONE)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # gloo's and paddle's threads may abort a process that ends in the ordinary way while a peer lives on.
    os._exit(code)
