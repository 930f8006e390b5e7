"""What the scheduler says of a pod becomes a sentence with the next command."""

import pytest

from jobs.diagnosis.scheduling import why_not_placed
from jobs.engines.status import NO_REASON, Observed, Reason
from tests.unit.jobs.states.read import NOW, recorded, status


def unplaced(message: str, reason: str = "Unschedulable") -> str:
    """Give the reason of a recorded run whose pods' scheduler says something else, by someone who may read no nodes."""
    objects = recorded("job-no-gpu") | {"machines": None}
    for pod in objects["pods"]:
        pod["status"]["conditions"][0] |= {"message": message, "reason": reason}
    return str(status(objects).reason)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "0/5 nodes are available: 2 node(s) had untolerated taint {team: nlp}, 3 Insufficient nvidia.com/gpu. "
            "preemption: 0/5 nodes are available: 5 Preemption is not helpful for scheduling.",
            "no Kubernetes node has 4 free GPUs; 2 Kubernetes nodes ruled out by a taint that the pod does not "
            "tolerate. "
            "Add the taint to placement.tolerations.",
        ),
        (
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node "
            "affinity/selector. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            "1 Kubernetes node ruled out by a cordon; 2 Kubernetes nodes ruled out by placement.nodeSelector",
        ),
        (
            "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.",
            "2 Kubernetes nodes ruled out by chart.affinity or chart.topology. Relax these rules.",
        ),
        (
            "0/2 nodes are available: 2 node(s) had volume node affinity conflict.",
            "2 Kubernetes nodes ruled out because its volume is not available there. Check placement.storage.cache.",
        ),
        (
            '0/2 nodes are available: persistentvolumeclaim "pages" not found. not found',
            "the PersistentVolumeClaim pages does not exist. Create it, or fix placement.storage.cache.existingClaim.",
        ),
        (
            "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found",
            "its volume is not bound yet.",
        ),
        ("the moon is in the wrong house.", "the scheduler cannot place its pod: the moon is in the wrong house. See"),
    ],
)
def test_the_schedulers_message_is_told_in_words(message: str, words: str) -> None:
    assert words in unplaced(message)


def test_a_gated_pod_says_so() -> None:
    assert "a scheduling gate, such as that of a queue, holds back its pod" in unplaced("", "SchedulingGated")


@pytest.mark.parametrize(
    ("message", "words", "advice"),
    [
        ("1 node(s) didn't match pod affinity rules", "by chart.affinity or chart.topology", "Relax"),
        ("1 node(s) didn't match pod topology spread constraints", "by the topology spread", "describe pod a-0`"),
        ("1 Too many pods", "by the limit of pods", "starts by itself"),
        ("1 node(s) were unschedulable", "by a cordon", "kubectl uncordon"),
    ],
)
def test_what_rules_a_kubernetes_node_out_has_its_advice(message: str, words: str, advice: str) -> None:
    told = why(f"0/1 nodes are available: {message}. no new claims to deallocate, preemption: 0/1.")
    assert f"1 Kubernetes node ruled out {words}" in told.text
    assert advice in told.advice.replace("{pod}", "a-0")


def why(message: str, *, status: str = "False", reason: str = "Unschedulable") -> Reason:
    """Return why a pod has no place of which a scheduler says this, by someone who may read no nodes."""
    said = {"type": "PodScheduled", "status": status, "reason": reason, "message": message}
    requests = {"cpu": "2", "memory": "4Gi"}
    pod = {
        "metadata": {"name": "a-0"},
        "spec": {"containers": [{"resources": {"requests": requests}}]},
        "status": {"conditions": [said]},
    }
    return why_not_placed(pod, Observed(workload={}, now=NOW))


def test_what_the_user_alone_can_change_is_the_advice_whatever_comes_first() -> None:
    told = why("0/2 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {team: nlp}.")
    assert told.text.index("2 free CPUs") < told.text.index("by a taint")
    assert "placement.tolerations" in told.advice
    assert "starts by itself" in why("0/1 nodes are available: 1 Insufficient cpu.").advice


def test_every_resource_that_is_scarce_is_told_once() -> None:
    told = why("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory, 2 Insufficient cpu.").text
    assert told.count("2 free CPUs") == 1
    assert told.count("4 GiB free memory") == 1


def test_what_preemption_says_is_no_reason_of_the_pod() -> None:
    told = why(
        "0/2 nodes are available: 2 Too many pods. preemption: 0/2 nodes are available: 2 node(s) were unschedulable."
    )
    assert "cordoned" not in told.text


@pytest.mark.parametrize("status", ["True", "Unknown"])
def test_a_scheduler_that_has_not_refused_says_nothing(status: str) -> None:
    assert why("0/1 nodes are available: 1 Insufficient cpu.", status=status) == NO_REASON


@pytest.mark.parametrize("reason", ["SchedulerError", "Novel"])
def test_another_word_of_the_scheduler_is_told_with_its_message(reason: str) -> None:
    assert "how odd" in why("how odd", reason=reason).text
    assert "`kubectl describe pod" in why("", reason=reason).advice
