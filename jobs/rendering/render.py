"""A job file's values → Kubernetes objects, by the chart: no object is built here, and none is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from jobs.jobfile.text import engine_named, written_in
from jobs.kube import schema
from jobs.kube.fields import RUN_LABEL
from jobs.kube.objects import Object
from jobs.rendering import helm
from trainer.errors import SpecError

_HOOK: Final = "helm.sh/hook"


@dataclass(frozen=True)
class Rendered:
    """The objects of a job."""

    objects: tuple[Object, ...]
    """In the order to create them: accounts, names and rules must exist when a pod starts. The workload is the last."""

    workload: Object
    """The one object that makes pods."""

    run_id: str


def render(values: Mapping[str, Any], *, checked: bool = False, namespace: str | None = None) -> Rendered:
    """Return the objects of a job.

    Args:
        values: the fields of a job file, its engine chosen, as `jobfile.text.read` or `jobfile.model.as_dict` returns
            them.
        checked: they are of a `TrainingJob`: the chart's schema, which would say the same again and takes most of the
            time, is left out.
        namespace: written into each object. None: the one who applies them chooses it.

    Raises:
        SpecError: the job was refused. The chart decides, and the model then finds each fault with its place.
        OcrfleetError: there is no Helm.
    """
    engine = engine_named(values)
    try:
        made = helm.objects(values, engine=engine, checked=checked)
    except SpecError:
        from jobs.jobfile.model import from_raw  # its import takes longer than a render, and few job files need it

        from_raw(values)
        raise
    schema.check(values, written=partial(written_in, values))
    # The pod of `helm test` is for Helm alone.
    objects = [each for each in made if _HOOK not in (each["metadata"].get("annotations") or {})]
    # A workload alone has the run's label.
    objects.sort(
        key=lambda each: (RUN_LABEL in (each["metadata"].get("labels") or {}), each["kind"], each["metadata"]["name"])
    )
    if namespace is not None:
        objects = [{**each, "metadata": {**each["metadata"], "namespace": namespace}} for each in objects]
    return Rendered(tuple(objects), workload=objects[-1], run_id=objects[-1]["metadata"]["labels"][RUN_LABEL])
