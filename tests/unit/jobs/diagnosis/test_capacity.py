"""Who has room, and who holds it: over Nodes and pods as plain objects."""

from typing import Any

import pytest

from jobs.diagnosis.capacity import in_unit, nearest, rooms
from tests.unit.jobs.states.read import recorded, status

GPU = "nvidia.com/gpu"


def machine(name: str, gpus: int, **spec: Any) -> dict[str, Any]:
    """Give a ready Node."""
    return {
        "metadata": {"name": name, "labels": {"pool": "a100"}},
        "spec": spec,
        "status": {
            "allocatable": {GPU: str(gpus)},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(on: str, gpus: int, *, run: str = "", phase: str = "Running") -> dict[str, Any]:
    """Give a pod that holds GPUs."""
    return {
        "metadata": {"labels": {"ocrfleet.io/run": run} if run else {}},
        "spec": {"nodeName": on, "containers": [{"resources": {"limits": {GPU: str(gpus)}}}]},
        "status": {"phase": phase},
    }


def words(machines: list[Any], pods: list[Any] | None, amount: float = 4, **spec: Any) -> str:
    return str(nearest(rooms(machines, pods, resource=GPU, pod={"spec": spec}), resource=GPU, amount=amount))


def test_the_closest_is_named_with_the_run_that_holds_the_rest() -> None:
    told = words(
        [machine("gpu-1", 8), machine("gpu-2", 8)],
        [pod("gpu-1", 6, run="lines-aa"), pod("gpu-2", 4, run="det-bb"), pod("gpu-2", 1)],
    )
    assert told.startswith(
        "no Kubernetes node has 4 free GPUs; the closest, gpu-2, has 3 of 8 free (run det-bb holds 4, other pods "
        "hold 1)"
    )
    assert "`ocrfleet list`" in told


def test_pods_that_are_over_hold_nothing() -> None:
    told = words([machine("gpu-1", 4)], [pod("gpu-1", 2, run="a"), pod("gpu-1", 2, run="b", phase="Succeeded")])
    assert "has 2 of 4 free (run a holds 2)" in told


def test_machines_that_are_cordoned_or_not_ready_or_not_selected_do_not_count() -> None:
    silent = machine("gpu-2", 8) | {"status": {"allocatable": {GPU: "8"}, "conditions": []}}
    open_one = machine("gpu-3", 4)
    told = words([machine("gpu-1", 8, unschedulable=True), silent, open_one], [pod("gpu-3", 1, run="a")])
    assert "the closest, gpu-3, has 3 of 4" in told
    assert "none that is ready matches placement.nodeSelector" in words([open_one], [], nodeSelector={"pool": "h100"})


def test_what_no_machine_has_at_all_never_starts_by_itself() -> None:
    told = words([machine("gpu-1", 2), machine("gpu-2", 0)], [])
    assert told == (
        "no Kubernetes node has 4 free GPUs: the largest, gpu-1, has 2 "
        "Request less in placement, or add a suitable Kubernetes node."
    )


def test_without_the_right_to_read_pods_less_is_said() -> None:
    assert words([machine("gpu-1", 8)], None).startswith("no Kubernetes node has 4 free GPUs It starts")


def test_of_many_holders_three_are_named_and_the_others_counted() -> None:
    pods = [pod("gpu-1", 1, run=f"run-{number}") for number in range(5)]
    told = words([machine("gpu-1", 8)], pods)
    assert "run run-4 holds 1, run run-3 holds 1, run run-2 holds 1, 2 more runs hold 2)" in told


def test_a_recorded_pod_without_a_place_is_told_who_holds_the_gpus() -> None:
    objects = recorded("job-no-gpu")
    for each in objects["machines"]:
        each["status"]["allocatable"][GPU] = "8"
    first, second = (each["metadata"]["name"] for each in objects["machines"])
    told = status(objects | {"neighbours": [pod(first, 5, run="det-bb"), pod(second, 7, run="det-bb")]})
    assert told.reason.text == (
        "Nodes 0 and 1 are not scheduled: no Kubernetes node has 4 free GPUs; "
        f"the closest, {first}, has 3 of 8 free (run det-bb holds 5)."
    )


@pytest.mark.parametrize(
    ("amount", "resource", "words"),
    [
        (4, GPU, "4"),
        (0.1234, "cpu", "0.123"),
        (1.5 * 2**30, "memory", "1.5 GiB"),
        (0.25 * 2**30, "ephemeral-storage", "0.25 GiB"),
    ],
)
def test_an_amount_is_spelled_in_its_unit(amount: float, resource: str, words: str) -> None:
    assert in_unit(amount, resource) == words
