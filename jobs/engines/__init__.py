"""Engines: objects of a cluster in, the state of a run out. Pure functions over the API server's JSON."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final, Protocol

from jobs.engines import job, jobset, paddlejob, trainjob, volcano
from jobs.engines.state import State
from jobs.engines.status import Observed
from jobs.kube.changes import Change
from jobs.kube.fields import text
from jobs.kube.objects import Object


class Engine(Protocol):
    """The interface of an engine's module."""

    NAME: str
    """As `placement.engine` has it."""
    VERSION: str
    """API version of its object."""
    KIND: str
    RANK_LABEL: str
    """The label of a pod that has its rank."""
    pod_selector: Callable[[str], str]
    """Returns the label selector of an object's pods, by the object's name."""
    size: Callable[[Object], int]
    """Returns how many nodes an object has."""
    suspended: Callable[[Object], bool]
    """Checks whether an object is told to have no pods."""
    pause: Callable[[Object], Change]
    """Returns the change that ends an object's pods and keeps the run."""
    resume: Callable[[Object], Change]
    """Returns the change that makes its pods again."""
    state: Callable[[Observed], State]
    """Returns the state of an object."""


ENGINES: Final[MappingProxyType[str, Engine]] = MappingProxyType(
    {each.NAME: each for each in (job, jobset, trainjob, volcano, paddlejob)}
)
"""All engines, by their names."""


def engine_of(workload: Object) -> Engine | None:
    """Return the engine of an object, for any version of its API; None if it has none."""
    group, kind = text(workload, "apiVersion").partition("/")[0], text(workload, "kind")
    fits = (each for each in ENGINES.values() if (each.VERSION.partition("/")[0], each.KIND) == (group, kind))
    return next(fits, None)
