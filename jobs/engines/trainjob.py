"""Engine `trainjob`: a TrainJob of Kubeflow Trainer, which makes a JobSet."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from jobs.engines import job, jobset
from jobs.engines.state import State, by_conditions, first_moment
from jobs.engines.status import NO_REASON, Observed, Phase, Reason
from jobs.kube.fields import name_of, number, text
from jobs.kube.objects import Object

NAME: Final = "trainjob"
VERSION: Final = "trainer.kubeflow.org/v1alpha1"
KIND: Final = "TrainJob"
RANK_LABEL: Final = job.RANK_LABEL

# trainer.kubeflow.org/v1alpha1 TrainJob conditions.
CONDITIONS: Final[Mapping[str, Phase | None]] = {
    "Complete": Phase.SUCCEEDED,
    "Failed": Phase.FAILED,
    "Suspended": Phase.STOPPED,
}
# Its own reasons; Complete and Failed else carry those of the JobSet.
REASONS: Final[Mapping[str, Reason]] = {
    **jobset.REASONS,
    "Suspended": NO_REASON,
    "Resumed": NO_REASON,
    "TrainingRuntimeNotSupported": Reason(
        "Its runtime is not one that Kubeflow Trainer supports.",
        "Ask an administrator to install the ClusterTrainingRuntime ocrfleet-paddle from "
        "manifests/components/trainjob-runtime.",
    ),
    "DeadlineExceeded": job.DEADLINE,
}

pod_selector = jobset.pod_selector  # its JobSet has its name
suspended = job.suspended
pause = job.pause
resume = job.resume


def size(workload: Object) -> int:
    """Return how many nodes it has."""
    return number(workload, "spec", "trainer", "numNodes") or 0


def state(observed: Observed) -> State:
    """Return the state of the TrainJob, with its JobSet and its Job."""
    told = by_conditions(observed.workload, CONDITIONS, REASONS)
    made = (each for each in observed.inner if text(each, "kind") == jobset.KIND)
    mine = next((each for each in made if name_of(each) == name_of(observed.workload)), None)
    inner = jobset.read(mine, observed) if mine else State(phase=None)
    finished = first_moment(observed.workload, ("Complete", "Failed"))
    told = replace(told, started=inner.started, finished=finished)
    if told.phase is None:
        return inner
    if told.phase is Phase.FAILED and inner.phase is Phase.FAILED and not told.decisive:
        return replace(told, reason=inner.reason, decisive=inner.decisive, exit_code=inner.exit_code)
    return told
