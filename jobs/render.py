"""`TrainingJob` → Kubernetes objects, by the chart: no object is built here, and none is changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from jobs import helm
from jobs.manifests import Object

if TYPE_CHECKING:
    from jobs.jobfile import TrainingJob

_HOOK: Final = "helm.sh/hook"
_RUN: Final = "ocrfleet.io/run"


def render(job: "TrainingJob", *, namespace: str | None = None) -> tuple[Object, ...]:
    """Give the objects of a job in the order to make them, the workload last.

    Args:
        job: what to train and where; its engine is chosen.
        namespace: written into each object. None: whoever applies them says where.

    Raises:
        SpecError: the chart refused the job.
        OcrfleetError: there is no Helm.
    """
    from jobs.jobfile import as_dict

    # The pod of `helm test` is for Helm alone.
    objects = sorted(
        (each for each in helm.objects(as_dict(job)) if _HOOK not in _metadata(each, "annotations")), key=_place
    )
    return tuple(each if namespace is None else _placed(each, namespace) for each in objects)


def with_engine(job: "TrainingJob", engine: str) -> "TrainingJob":
    """Give the same job for an engine that was chosen in place of `auto`."""
    from jobs.jobfile import TrainingJob, as_dict
    from trainer.runspec import from_dict

    raw = as_dict(job)
    raw["placement"]["engine"] = engine
    return from_dict(TrainingJob, raw, where="")


def workload(objects: tuple[Object, ...]) -> Object:
    """Give the one object of a render that makes pods."""
    (found,) = (each for each in objects if _RUN in _metadata(each, "labels"))
    return found


def _place(each: Object) -> tuple[bool, str, str]:
    # Accounts, names and rules must be there when a pod starts; a workload alone carries the run's label.
    return _RUN in _metadata(each, "labels"), each["kind"], each["metadata"]["name"]


def _placed(each: Object, namespace: str) -> Object:
    return {**each, "metadata": {**each["metadata"], "namespace": namespace}}


def _metadata(each: Object, field: str) -> Mapping[str, str]:
    return each["metadata"].get(field) or {}
