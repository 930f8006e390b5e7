"""A write to the API server as data, so that what decides on one needs no cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jobs.kube.fields import text
from jobs.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Change:
    """One write to the API server, as data: a merge patch of an object, or a new object."""

    verb: Literal["patch", "create"]
    version: str
    """API version of the object."""

    kind: str
    name: str
    """Of the object to patch; what a new object's name begins with."""

    body: Mapping[str, Any]
    """The merge patch (application/merge-patch+json), or the whole object."""


def patch(found: Object, body: Mapping[str, Any]) -> Change:
    """Return the change that lays a merge patch over an object."""
    version, kind = text(found, "apiVersion"), text(found, "kind")
    return Change(verb="patch", version=version, kind=kind, name=text(found, "metadata", "name"), body=body)
