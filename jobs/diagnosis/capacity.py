"""Free capacity: how much of a resource each Kubernetes node has free, and which runs hold the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jobs.engines.status import Reason
from jobs.kube.fields import RUN_LABEL, at, holds, label, name_of, quantity, several, spelled, text
from jobs.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of a resource a Kubernetes node has."""

    machine: str
    total: float
    """Allocatable to pods."""

    free: float | None
    """Not held by any pod; None if the pods may not be read."""

    holders: Mapping[str, float]
    """How much each run holds, by its id; `""` for pods of others."""


def rooms(machines: Sequence[Object], pods: Sequence[Object] | None, *, resource: str, pod: Object) -> list[Room]:
    """Return the room on every machine that is ready and matches a pod's node selector, the largest first.

    Args:
        machines: the cluster's Nodes.
        pods: those of all namespaces; None if they may not be read.
        resource: such as `nvidia.com/gpu`.
        pod: the pod to place; taints and affinity are left to the scheduler.
    """
    held = None if pods is None else _holders(pods, resource)
    found = [_room(each, held, resource) for each in machines if _open(each) and _selected(each, pod)]
    return sorted(
        found, key=lambda each: (-(each.total if each.free is None else each.free), -each.total, each.machine)
    )


def wanted(pod: Object, resource: str) -> float:
    """Return how much of a resource a pod asks for: its containers together, and those that start before and stay."""
    stay = [each for each in several(pod, "spec", "initContainers") if each.get("restartPolicy") == "Always"]
    return sum(_asked(each, resource) for each in [*several(pod, "spec", "containers"), *stay])


def nearest(found: Sequence[Room] | None, *, resource: str, amount: float) -> Reason:
    """Explain that no machine has enough free, and which comes closest.

    Args:
        found: what `rooms` gives; None if the Kubernetes nodes may not be read.
        resource: such as `nvidia.com/gpu`.
        amount: what a pod asks for.
    """
    thing = THINGS.get(resource, resource)
    whole = f"no Kubernetes node has {in_unit(amount, resource)} free {thing}"
    if found is None:
        return Reason(whole, PATIENCE)
    if not found:
        return Reason(f"{whole}: none that is ready matches placement.nodeSelector", "See `kubectl get nodes`.")
    most = max(found, key=lambda each: each.total)
    if most.total < amount:
        offer = f"the largest, {most.machine}, has {in_unit(most.total, resource)}" if most.total else "none has any"
        return Reason(f"{whole}: {offer}", "Request less in placement, or add a suitable Kubernetes node.")
    best = found[0]
    # With enough free, room came after the scheduler spoke, or taints are in the way.
    if best.free is None or best.free >= amount:
        return Reason(whole, PATIENCE)
    held = held_by(best.holders, resource)
    near = f"the closest, {best.machine}, has {in_unit(best.free, resource)} of {in_unit(best.total, resource)} free"
    return Reason(f"{whole}; {near}" + (f" ({held})" if held else ""), PATIENCE)


PATIENCE: Final = "It starts by itself when there is room. `ocrfleet list` shows what is running."


def held_by(holders: Mapping[str, float], resource: str) -> str:
    """List in words which runs hold how much."""
    ours = sorted(((amount, run) for run, amount in holders.items() if run), reverse=True)
    words = [f"run {run} holds {in_unit(amount, resource)}" for amount, run in ours[:3]]
    if len(ours) > 3:
        words.append(f"{len(ours) - 3} more runs hold {in_unit(sum(amount for amount, _ in ours[3:]), resource)}")
    if others := holders.get(""):
        words.append(f"other pods hold {in_unit(others, resource)}")
    return ", ".join(words)


THINGS: Final = {"nvidia.com/gpu": "GPUs", "cpu": "CPUs", "ephemeral-storage": "local disk"}
"""Names of resources in sentences; others keep their own."""


def in_unit(amount: float, resource: str) -> str:
    """Format an amount of a resource for people."""
    if resource in ("memory", "ephemeral-storage"):
        return f"{amount / 2**30:.3g} GiB"
    return spelled(round(amount, 3))


def _holders(pods: Sequence[Object], resource: str) -> dict[str, dict[str, float]]:
    """Return how much each run holds on each machine. Each pod is read once, as there may be thousands."""
    held: dict[str, dict[str, float]] = {}
    for pod in pods:
        machine, over = text(pod, "spec", "nodeName"), text(pod, "status", "phase") in ("Succeeded", "Failed")
        if machine and not over and (amount := wanted(pod, resource)):
            runs, run = held.setdefault(machine, {}), label(pod, RUN_LABEL)
            runs[run] = runs.get(run, 0.0) + amount
    return held


def _room(machine: Object, held: Mapping[str, Mapping[str, float]] | None, resource: str) -> Room:
    total, name = quantity(at(machine, "status", "allocatable", resource)), name_of(machine)
    if held is None:
        return Room(machine=name, total=total, free=None, holders={})
    holders = held.get(name, {})
    return Room(machine=name, total=total, free=max(0.0, total - sum(holders.values())), holders=holders)


def _open(machine: Object) -> bool:
    return holds(machine, "Ready") and at(machine, "spec", "unschedulable") is not True


def _selected(machine: Object, pod: Object) -> bool:
    selector = at(pod, "spec", "nodeSelector")
    return not isinstance(selector, Mapping) or all(label(machine, str(key)) == selector[key] for key in selector)


def _asked(container: Object, resource: str) -> float:
    asked: Any = at(container, "resources", "requests", resource)
    return quantity(at(container, "resources", "limits", resource) if asked is None else asked)
