"""A node is read off the newest pod of its rank: where it stands, and who took it away."""

from datetime import timedelta
from typing import Any

import pytest

from jobs.diagnosis.nodes import DISRUPTIONS, ENDINGS, PHASES, fill, nodes
from jobs.engines.status import NodePhase, NodeStatus, Observed, Phase, Reason
from tests.unit.jobs.states.read import NOW, recorded, status


def test_a_pod_on_a_silent_kubernetes_node_is_lost_and_the_sentence_says_how_to_free_its_rank() -> None:
    objects = recorded("job-running")
    name = objects["pods"][1]["spec"]["nodeName"]
    other = objects["pods"][0]["spec"]["nodeName"]
    for machine in objects["machines"]:
        ready = next(each for each in machine["status"]["conditions"] if each["type"] == "Ready")
        ready["status"] = "Unknown" if machine["metadata"]["name"] == name != other else "True"
    objects["pods"][0]["spec"]["nodeName"] = "elsewhere" if name == other else other
    if name == other:
        next(
            each for m in objects["machines"] if m["metadata"]["name"] == name for each in m["status"]["conditions"]
            if each["type"] == "Ready"
        )["status"] = "Unknown"  # fmt: skip
    told = status(objects)
    assert told.phase is Phase.WAITING
    assert told.nodes[1].phase is NodePhase.LOST
    assert told.reason.text.startswith(f"Node 1 is lost: its Kubernetes node {name} does not respond")
    assert f"`kubectl delete node {name}`" in told.reason.advice


def test_the_newest_pod_of_a_rank_counts_and_those_before_are_its_restarts() -> None:
    objects = recorded("job-running")
    old = recorded("job-backoff")["pods"][0]
    old["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    old["metadata"]["labels"] = objects["pods"][0]["metadata"]["labels"]
    told = status(objects | {"pods": [*objects["pods"], old]})
    assert told.phase is Phase.RUNNING
    assert (told.nodes[0].restarts, told.restarts) == (1, 1)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("PreemptionByScheduler", "a pod of higher priority preempts it"),
        ("DeletionByTaintManager", "is tainted or does not respond"),
        ("DeletionByPodGC", "is gone"),
        ("TerminationByKubelet", "terminates it: Eviction API: evicting"),
        ("Novel", "it is being removed: Eviction API: evicting"),
    ],
)
def test_a_disrupted_pod_says_by_whom(reason: str, words: str) -> None:
    objects = recorded("job-evicted")
    for pod in objects["pods"]:
        for each in pod["status"]["conditions"]:
            if each["type"] == "DisruptionTarget":
                each["reason"] = reason
    assert words in str(status(objects).reason)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("Evicted", "evicted it: The node was low on resource: ephemeral-storage."),
        ("Terminated", "was shut down"),
        ("OutOfnvidia.com/gpu", "had no room for it: The node was low on resource"),
        ("NodeLost", "is lost"),
        ("Novel", "its pod failed: The node was low on resource"),
    ],
)
def test_a_pod_that_its_kubernetes_node_ended_says_how(word: str, words: str) -> None:
    objects = recorded("job-running")
    message = "The node was low on resource: ephemeral-storage."
    objects["pods"][1]["status"] = {"phase": "Failed", "reason": word, "message": message}
    assert words in str(status(objects).reason)


# k8s.io/api v0.36, core/v1
POD_PHASE = "Pending Running Succeeded Failed Unknown"
DISRUPTION_TARGET_REASON = (
    "PreemptionByScheduler DeletionByTaintManager EvictionByEvictionAPI DeletionByPodGC TerminationByKubelet"
)


def test_the_tables_have_every_word_of_their_api() -> None:
    assert set(PHASES) == set(POD_PHASE.split())
    assert set(DISRUPTIONS) == set(DISRUPTION_TARGET_REASON.split())


def pod(phase: str, rank: str = "0", **status: Any) -> dict[str, Any]:
    """Return a pod of a rank on node1."""
    metadata = {"name": f"a-{rank}", "labels": {"rank": rank}}
    return {"metadata": metadata, "spec": {"nodeName": "node1"}, "status": {"phase": phase, **status}}


def read(*pods: dict[str, Any], size: int = 1, **others: Any) -> tuple[NodeStatus, ...]:
    found = Observed(workload={"metadata": {"name": "a"}}, now=NOW, pods=pods, **others)
    return nodes(found, size=size, rank_label="rank")


def condition(kind: str, reason: str = "", status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": status, "reason": reason}]}


def trainer(**state: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "trainer", "state": state}]}


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        (pod(""), NodePhase.STARTING),
        (pod("Pending") | {"spec": {}}, NodePhase.PENDING),
        (pod("Pending"), NodePhase.STARTING),
        (pod("Pending", **condition("PodScheduled")) | {"spec": {}}, NodePhase.STARTING),
        (pod("Running"), NodePhase.RUNNING),
        (pod("Running", **trainer(waiting={"reason": "CrashLoopBackOff"})), NodePhase.STARTING),
        (pod("Running", **trainer(terminated={"exitCode": 0})), NodePhase.SUCCEEDED),
        (pod("Running", **trainer(terminated={"exitCode": 41})), NodePhase.FAILED),
        (pod("Running", **condition("DisruptionTarget")), NodePhase.STOPPING),
        (pod("Running", **condition("DisruptionTarget", status="False")), NodePhase.RUNNING),
        (pod("Running") | {"metadata": {"labels": {"rank": "0"}, "deletionTimestamp": "?"}}, NodePhase.STOPPING),
        (pod("Succeeded"), NodePhase.SUCCEEDED),
        (pod("Failed"), NodePhase.FAILED),
        (pod("Unknown"), NodePhase.LOST),
        (pod("Novel"), NodePhase.UNKNOWN),
    ],
)
def test_where_a_node_stands(found: dict[str, Any], phase: NodePhase) -> None:
    assert [node.phase for node in read(found)] == [phase]


def test_a_rank_without_a_pod_is_missing_and_one_beyond_the_size_is_there() -> None:
    found = read(pod("Running", "2"), size=2)
    assert [(node.rank, node.phase) for node in found] == [
        (0, NodePhase.MISSING),
        (1, NodePhase.MISSING),
        (2, NodePhase.RUNNING),
    ]
    assert [node.pod for node in found] == [None, None, "a-2"]


def test_why_no_pod_could_be_made_is_told_of_the_missing_alone() -> None:
    refused = [{"reason": "FailedCreate", "message": "Error creating: no"}]
    first, second = read(pod("Running"), size=2, events=refused)
    assert (first.reason.text, bool(second.reason.text)) == ("", True)
    assert read(pod("Running"), size=1, events=refused)[0].reason.text == ""


@pytest.mark.parametrize("rank", ["", "-1", "1.5", "x", "٣", "10000"])
def test_a_pod_whose_rank_cannot_be_read_is_no_node(rank: str) -> None:
    assert read(pod("Running", rank), size=0) == ()


def test_a_size_that_no_run_has_is_not_believed() -> None:
    assert len(read(size=10**9)) == 10_000
    assert len(read(pod("Running", "9999"), size=0)) == 10_000


def test_the_restarts_of_a_node_are_its_pods_before_and_those_of_its_containers() -> None:
    again = pod("Running", containerStatuses=[{"restartCount": 2}, {"restartCount": 1}])
    again["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    old = pod("Failed")
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    for order in ((again, old), (old, again)):
        (found,) = read(*order)
        assert (found.phase, found.restarts) == (NodePhase.RUNNING, 4)


@pytest.mark.parametrize(("status", "lost"), [("Unknown", True), ("False", False), ("True", False)])
def test_a_kubernetes_node_that_is_not_ready_still_answers(status: str, lost: bool) -> None:
    """The kubelet says False itself; Unknown is what the control plane says of one that is silent."""
    machine = {"metadata": {"name": "node1"}, "status": condition("Ready", status=status)}
    (found,) = read(pod("Running"), machines=[machine])
    assert (found.phase is NodePhase.LOST) == lost
    (found,) = read(pod("Running"), machines=[machine | {"metadata": {"name": "node2"}}])
    assert found.phase is NodePhase.RUNNING, "another's Kubernetes node says nothing of this pod"


@pytest.mark.parametrize("word", ["running", "terminated"])
def test_a_node_has_the_times_of_its_trainer(word: str) -> None:
    times = {"startedAt": "2026-11-22T23:00:00Z", "finishedAt": "2026-11-22T23:30:00Z"}
    (found,) = read(pod("Running", **trainer(**{word: times})))
    assert found.started == NOW - timedelta(hours=1)
    assert found.finished == (NOW - timedelta(minutes=30) if word == "terminated" else None)


@pytest.mark.parametrize("word", ENDINGS)
def test_how_a_kubernetes_node_ended_a_pod_goes_before_its_exit_code(word: str) -> None:
    killed = trainer(terminated={"exitCode": 137, "reason": "Error"})
    (found,) = read(pod("Failed", reason=word, message="low on disk.", **killed))
    expected = ENDINGS[word].text.replace("{machine}", "node1").replace("{message}", "low on disk")
    assert found.reason.text == expected
    assert found.exit_code == 137


def test_that_a_pod_was_taken_away_goes_before_its_exit_code() -> None:
    killed = trainer(terminated={"exitCode": 137, "reason": "Error"})
    taken = condition("DisruptionTarget", "PreemptionByScheduler")
    (found,) = read(pod("Failed", **killed, **taken))
    assert found.reason.text == DISRUPTIONS["PreemptionByScheduler"].text
    (found,) = read(pod("Failed", **killed))
    assert "exit code 137" in found.reason.text


def test_names_are_filled_in_and_braces_of_other_programs_stay() -> None:
    names = {"run": "a-1", "pod": "a-0"}
    assert fill(Reason("{run} has {pod}", "See {run}"), names) == Reason("a-1 has a-0", "See a-1")
    assert fill(Reason("it says {odd}", "See {run}"), names) == Reason("it says {odd}", "See a-1")
