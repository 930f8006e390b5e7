"""`ocrfleet submit`: compare a job's objects with those on the cluster, then apply them.

Stable objects have the job's name and may belong to Helm: those are compared and not changed. A workload is never
changed, since its name is a digest of its content.
"""

import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
    """What is done with one object."""

    body: Object
    """The workload's as the server has it, once it was sent."""

    deed: Deed

    @property
    def sentence(self) -> str:
        """The result as a sentence."""
        release = self.body["metadata"].get("annotations", {}).get(_RELEASE)
        words = {
            "made": "created",
            "changed": "changed",
            "there": "unchanged",
            "helm": f"unchanged: the Helm release {release} owns it, and it fits this job",
        }
        return f"{_called(self.body)}: {words[self.deed]}"


def send(cluster: Cluster, objects: Sequence[Object], *, dry_run: bool = False) -> list[Step]:
    """Let the server check all objects, then apply them, the workload last; return what that did with each.

    Args:
        cluster: where.
        objects: of a job, the workload last.
        dry_run: only check; the steps are what applying would do.

    Raises:
        SpecError: the server rejects one, or one belongs to somebody else and differs. Nothing was changed.
        TransientError: one of the name is being deleted. Nothing was changed.
    """
    # At once: an answer of a server far away takes longer than all else.
    with ThreadPoolExecutor(len(objects)) as pool:
        steps = list(pool.map(lambda each: _step(cluster, each), objects))
        if dry_run:
            return steps
        *others, workload = steps
        list(pool.map(cluster.apply, (step.body for step in others if step.deed in ("made", "changed"))))
    return [*others, replace(workload, body=cluster.apply(workload.body)) if workload.deed == "made" else workload]


def _step(cluster: Cluster, body: Object) -> Step:
    old = cluster.get(kind_of(body), name_of(body))
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
            f"{_called(old)} has fields that another client manages with other values, so it was not changed: {error} "
            "Let only one of the two manage it, or give the job another name."
        ) from error
    same = _content(new) == _content(old)
    if release and not same:
        raise _differs(old, release)
    return Step(old, "helm") if release else Step(body, "there" if same else "changed")


def _differs(old: Object, release: str) -> SpecError:
    return SpecError(
        f"{_called(old)} belongs to the Helm release {release!r} and does not fit this job: run `helm upgrade "
        f"{release}` with this job file, or give the job another name."
    )


def _without_manager(body: Object) -> Object:
    labels = {key: value for key, value in body["metadata"]["labels"].items() if key != _MANAGED}
    return {**body, "metadata": {**body["metadata"], "labels": labels}}


def _content(found: Object) -> Mapping[str, Any]:
    """Return an object without the fields that the server maintains."""
    kept = {"labels", "annotations"}
    metadata = {key: value for key, value in found["metadata"].items() if key in kept}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def _called(found: Object) -> str:
    return f"{found['kind']} {name_of(found)}"


_VERSION: Final = re.compile(r"v?\d+\.\d+")


def moving_images(workload: Object) -> list[str]:
    """Return the images of a workload whose tag may move: it has no digest, and its tag is not a version."""
    tags = {image: image.rpartition("/")[2].partition(":")[2] for image in _images(workload)}
    return [image for image, tag in tags.items() if "@" not in image and not _VERSION.match(tag)]


def _images(found: object) -> set[str]:
    """Look for the images in depth: each engine keeps its pod template in a place of its own."""
    if isinstance(found, dict):
        own = {found["image"]} if isinstance(found.get("image"), str) else set()
        return own.union(*map(_images, found.values()))
    return set().union(*map(_images, found)) if isinstance(found, list) else set()
