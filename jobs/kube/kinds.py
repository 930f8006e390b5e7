"""Kinds of Kubernetes objects that commands read or write, and where the API server has them."""

from dataclasses import dataclass
from typing import Final

from jobs.kube.objects import Object


@dataclass(frozen=True)
class Kind:
    """One kind of one version of an API."""

    version: str
    """`v1`, or group and version: `batch/v1`."""

    kind: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API's group; "" for the core."""
        return self.version.rpartition("/")[0]

    @property
    def plural(self) -> str:
        """As in a URL; all kinds that are met here follow the rule of English nouns."""
        word = self.kind.lower()
        if word.endswith("y"):
            return f"{word[:-1]}ies"
        return f"{word}es" if word.endswith("s") else f"{word}s"

    def path(self, *, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of an object, or of all of them.

        Args:
            namespace: where they are; None: in all namespaces, or in none.
            name: the object; None: all.
        """
        parts = ["/apis" if self.group else "/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        return "/".join([*parts, self.plural, *([name] if name else [])])


def kind_of(found: Object) -> Kind:
    """Return the kind of an object that has its namespace."""
    return Kind(found["apiVersion"], found["kind"], namespaced=found["kind"] not in _CLUSTER_WIDE)


_CLUSTER_WIDE: Final = ("Node", "Namespace", "ClusterQueue", "ClusterTrainingRuntime", "PriorityClass")

POD: Final = Kind("v1", "Pod")
EVENT: Final = Kind("v1", "Event")
NODE: Final = Kind("v1", "Node", namespaced=False)
NAMESPACE: Final = Kind("v1", "Namespace", namespaced=False)
JOB: Final = Kind("batch/v1", "Job")
