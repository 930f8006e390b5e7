"""`TrainingJob` → Kubernetes objects, by the chart: no object is built here, and none is changed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from jobs.kube.objects import Object
from jobs.rendering import helm
from trainer.errors import SpecError

if TYPE_CHECKING:
    from jobs.jobfile.model import TrainingJob

_HOOK: Final = "helm.sh/hook"
_RUN: Final = "ocrfleet.io/run"


def render(job: "TrainingJob | Mapping[str, Any]", *, namespace: str | None = None) -> tuple[Object, ...]:
    """Return the objects of a job in the order to make them, the workload last.

    Args:
        job: what to train and where, its engine chosen; or what a job file says, as `jobtext` reads it. Then the chart
            alone judges it, and where that refuses, the model says what is wrong: the two refuse alike.
        namespace: written into each object. None: whoever applies them says where.

    Raises:
        SpecError: the job was refused.
        OcrfleetError: there is no Helm.
    """
    made = _judged(job) if isinstance(job, Mapping) else _made(job)
    # The pod of `helm test` is for Helm alone.
    objects = sorted((each for each in made if _HOOK not in _metadata(each, "annotations")), key=_place)
    return tuple(each if namespace is None else _placed(each, namespace) for each in objects)


def _made(job: "TrainingJob") -> list[Object]:
    from jobs.jobfile.model import as_dict

    return helm.objects(as_dict(job))


def _judged(raw: Mapping[str, Any]) -> list[Object]:
    try:
        return helm.objects(raw, checked=False)
    except SpecError:
        from jobs.jobfile.model import from_raw

        from_raw(raw)  # all that is wrong, at once and with its places
        raise


def with_engine(job: "TrainingJob", engine: str) -> "TrainingJob":
    """Return the same job for an engine that was chosen in place of `auto`."""
    from jobs.jobfile.model import TrainingJob, as_dict
    from trainer.run.spec import from_dict

    raw = as_dict(job)
    raw["placement"]["engine"] = engine
    return from_dict(TrainingJob, raw, where="")


def workload(objects: tuple[Object, ...]) -> Object:
    """Return the one object of a render that makes pods."""
    (found,) = (each for each in objects if _RUN in _metadata(each, "labels"))
    return found


def _place(each: Object) -> tuple[bool, str, str]:
    # Accounts, names and rules must be there when a pod starts; a workload alone carries the run's label.
    return _RUN in _metadata(each, "labels"), each["kind"], each["metadata"]["name"]


def _placed(each: Object, namespace: str) -> Object:
    return {**each, "metadata": {**each["metadata"], "namespace": namespace}}


def _metadata(each: Object, field: str) -> Mapping[str, str]:
    return each["metadata"].get(field) or {}
