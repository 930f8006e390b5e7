"""`ocrfleet check --rehearse`: the stages up to rehearse on this machine, in a folder that is removed afterwards.

The job's own output is neither read nor written: the rehearsal's weights are random, so a run's own are not fetched.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jobs.checks.dataset import Finding
from jobs.jobfile import model as jobfile
from jobs.jobfile.model import TrainingJob, as_dict
from jobs.local import plan
from trainer import contract
from trainer.contract import ExitCode

STAGES: Final = ("fetch", "prepare", "rehearse")


def rehearse(
    job: TrainingJob, *, data: Callable[[str], Path], say: Callable[[str], None], options: plan.Options | None = None
) -> Iterator[Finding]:
    """Rehearse a job; yield what its run will need, or why it would fail.

    Args:
        job: the job file.
        data: returns the folder of a dataset by its location, downloaded if need be.
        say: takes sentences for the user.
        options: how to run it on this machine.
    """
    wanted = options or plan.Options()
    instead = job.placement.device != "cpu" and plan.this_machine() == "cpu"
    if instead:
        wanted = replace(wanted, device="cpu")
        yield Finding(
            "warn", "rehearsal: on CPU and in fp32, since this machine has no GPU: time and memory are not the run's"
        )
    with tempfile.TemporaryDirectory(prefix="ocrfleet-rehearse-") as folder:
        alone = _alone(job, output=Path(folder, "output"), data=data, instead=instead)
        for stage in STAGES:
            say(f"Rehearsing on this machine: {stage}")
            planned = plan.plan(alone, replace(wanted, workdir=Path(folder), stage=stage))
            # The rehearsal is the leader's: other nodes would wait for it.
            (leader, *_) = planned.nodes
            output = Path(folder, f"{stage}.jsonl")
            leader = replace(leader, output=output, environment={**leader.environment, contract.ENV_LOG_FORMAT: "json"})
            code = plan.run_local(replace(planned, nodes=(leader,)), say=lambda _: None)
            yield from _findings(_events(output), stage=stage, code=code)
            if code:
                return


def _alone(job: TrainingJob, *, output: Path, data: Callable[[str], Path], instead: bool) -> TrainingJob:
    """Return the job with random weights, its data on this machine, and another output.

    Args:
        job: the job file.
        output: the other output.
        data: returns the folder of a dataset.
        instead: whether it is for a GPU, and this machine has none.
    """
    raw = as_dict(job)
    run = raw["run"]
    run["output"] = output.as_uri()
    for part in ("train", "eval"):
        if run["data"].get(part):
            run["data"][part] = data(run["data"][part]).absolute().as_uri()
    run["init"] = {}
    if instead:
        run["train"]["precision"] = "fp32"
    distill = run["distill"]
    distill["randomTeacher"] = distill["randomTeacher"] or bool(distill.get("teacher"))
    for name in ("teacher", "teacherSha256", "teacherNetwork", "baseline"):
        distill.pop(name, None)
    return jobfile.from_raw(raw)


def _events(path: Path) -> list[Mapping[str, Any]]:
    """Read what a node said; what is no event, such as a warning of a library, is left out."""
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.startswith('{"time":')]


def _findings(events: list[Mapping[str, Any]], *, stage: str, code: int) -> Iterator[Finding]:
    """Return the findings of a stage: an error if it failed; else of rehearse what the run will need."""
    said = [(event["event"], event.get("message", "")) for event in events if event.get("event") != "failed"]
    if code:
        words = [message.removeprefix("error: ") for kind, message in said if kind == "ended" and message]
        text = words[-1] if words else f"{stage} ended with {code} and said nothing"
        yield Finding("error", f"rehearsal: {text}", ExitCode(code) if code in list(ExitCode) else ExitCode.FAILED)
    elif stage == "rehearse":
        at = next(place for place, (kind, _) in enumerate(said) if kind == "stage_begun")
        for kind, message in said[at:]:
            if kind in ("rehearsed", "stage_done", "notice"):
                yield Finding("warn" if kind == "notice" else "ok", f"rehearsal: {message}")
