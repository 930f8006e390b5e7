"""What is read of objects that are listed by the thousand; the rest of them is not even made into Python's objects.

A pod has some 8 kB, of which a list of runs needs a tenth; to make Python's objects of all takes ten times as long as
to find that tenth. `tests/unit/jobs/kube/test_projections.py` proves for every recorded state that nothing else is
read.
"""

from typing import Any, TypedDict


class Metadata(TypedDict, total=False):
    """Who an object is; left out is who wrote which of its fields."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    labels: dict[str, str]
    annotations: dict[str, str]
    ownerReferences: list[dict[str, Any]]
    creationTimestamp: str
    deletionTimestamp: str


class Container(TypedDict, total=False):
    """What a container asks for."""

    name: str
    image: str
    resources: dict[str, Any]
    restartPolicy: str


class PodSpec(TypedDict, total=False):
    """Where a pod is, and what it asks for."""

    nodeName: str
    nodeSelector: dict[str, str]
    initContainers: list[Container]
    containers: list[Container]


class Pod(TypedDict, total=False):
    """A pod of a run."""

    metadata: Metadata
    spec: PodSpec
    status: dict[str, Any]


class Whole(TypedDict, total=False):
    """An object of any kind that has a spec and a status."""

    metadata: Metadata
    spec: dict[str, Any]
    status: dict[str, Any]
