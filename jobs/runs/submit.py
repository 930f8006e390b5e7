"""`ocrfleet submit`: what a job's objects mean for those that a cluster has, then the applying of them.

Stable objects bear the job's name and may be Helm's: those are compared and left alone. A workload is never changed,
since its name says what is in it.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal

from jobs.kube.client import Cluster
from jobs.kube.fields import RUN_LABEL, label, name_of, text
from jobs.kube.kinds import kind_of
from jobs.kube.objects import Object
from trainer.errors import ConflictError, SpecError, TransientError

Deed = Literal["made", "changed", "there", "helm"]

_RELEASE: Final = "meta.helm.sh/release-name"
_MANAGED: Final = "app.kubernetes.io/managed-by"
"""The label that Helm writes over in what it makes."""


@dataclass(frozen=True)
class Step:
    """What is to be done with one object."""

    body: Object
    deed: Deed

    @property
    def sentence(self) -> str:
        """Say what came of it."""
        release = self.body["metadata"].get("annotations", {}).get(_RELEASE)
        words = {
            "made": "made",
            "changed": "changed",
            "there": "there already",
            "helm": f"left as it is: it is of the Helm release {release}, and serves this job",
        }
        return f"{_called(self.body)}: {words[self.deed]}"


def plan(cluster: Cluster, objects: Sequence[Object]) -> list[Step]:
    """Let the server check all objects, and say what applying each would do; nothing is changed.

    Raises:
        SpecError: the server does not take one, or one is another's and differs.
        TransientError: one of the name is being deleted.
    """
    # At once: an answer of a server far away takes longer than all else.
    with ThreadPoolExecutor(len(objects)) as pool:
        return list(pool.map(lambda each: _step(cluster, each, cluster.get(kind_of(each), name_of(each))), objects))


def do(cluster: Cluster, steps: Sequence[Step]) -> None:
    """Apply what a plan wants, its workload when all else is there."""
    *others, workload = (step.body if step.deed in ("made", "changed") else None for step in steps)
    with ThreadPoolExecutor(len(steps)) as pool:
        list(pool.map(cluster.apply, filter(None, others)))
    if workload:
        cluster.apply(workload)


def _step(cluster: Cluster, body: Object, old: Object | None) -> Step:
    if old is None:
        cluster.apply(body, dry_run=True)
        return Step(body, "made")
    if text(old, "metadata", "deletionTimestamp"):
        raise TransientError(f"{_called(old)} is being deleted. Submit again when it is gone.")
    if label(body, RUN_LABEL):
        return Step(old, "there")
    release = text(old, "metadata", "annotations", _RELEASE)
    try:
        new = cluster.apply(_without_manager(body) if release else body, dry_run=True)
    except ConflictError as error:
        if release:
            raise _differs(old, release) from error
        raise SpecError(
            f"{_called(old)} has fields that another writes otherwise, and is left as it is: {error} "
            "Let one of both have it, or give the job another name."
        ) from error
    same = _content(new) == _content(old)
    if release and not same:
        raise _differs(old, release)
    return Step(old, "helm") if release else Step(body, "there" if same else "changed")


def _differs(old: Object, release: str) -> SpecError:
    return SpecError(
        f"{_called(old)} is of the Helm release {release!r}, and is not what this job needs: `helm upgrade {release}` "
        "with this job file, or give the job another name."
    )


def _without_manager(body: Object) -> Object:
    labels = {key: value for key, value in body["metadata"]["labels"].items() if key != _MANAGED}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def _content(found: Object) -> Mapping[str, Any]:
    """Leave out what the server keeps account of."""
    kept = {"labels", "annotations"}
    metadata = {key: value for key, value in found["metadata"].items() if key in kept}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _called(found: Object) -> str:
    return f"{found['kind']} {name_of(found)}"


_VERSION: Final = re.compile(r"v?\d+\.\d+")


def moves(image: str) -> bool:
    """Tell whether an image's name may mean another image tomorrow: it has no digest, and its tag is no version."""
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@" not in image and not _VERSION.match(tag)
