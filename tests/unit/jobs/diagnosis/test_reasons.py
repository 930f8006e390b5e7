"""Messages of schedulers, kubelets, webhooks and queues become a sentence with the next command."""

from typing import Any

import pytest

from jobs.diagnosis.containers import last_error
from jobs.engines.status import NodePhase, Phase
from tests.unit.jobs.states.read import recorded, status
from trainer.contract import RETRY_CODE, ExitCode


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


def refused(message: str) -> str:
    """Give the reason of a recorded run whose pods are refused in another way."""
    objects = recorded("job-quota") | {"pods": []}
    for event in objects["events"]:
        event["message"] = message
    return str(status(objects).reason)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            'Error creating: pods "a-0-" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=4, '
            "used: requests.nvidia.com/gpu=8, limited: requests.nvidia.com/gpu=8",
            "Nodes 0 and 1 have no pod: the ResourceQuota team is used up: requests.nvidia.com/gpu=8 allowed",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: failed quota: team: must specify limits.memory for: trainer',
            "the ResourceQuota team requires every pod to set limits.memory for: trainer. Set them in",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: no PriorityClass with name high was found',
            "the PriorityClass high does not exist. Fix placement.priority",
        ),
        (
            'Error creating: pods "a-0-" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
            "a LimitRange of the namespace forbids the pod: maximum memory usage per Container is 1Gi, but limit is "
            "2Gi.",
        ),
        (
            'Error creating: admission webhook "policy.example.com" denied the request: no latest tags',
            "the admission webhook policy.example.com refused the pod: no latest tags.",
        ),
        (
            'Error creating: Internal error occurred: failed calling webhook "policy.example.com": timeout',
            "the admission webhook policy.example.com does not respond.",
        ),
        ("Error creating: {0} odd {run}", "its pod could not be created: {0} odd"),
    ],
)
def test_a_refused_pod_is_told_in_words(message: str, words: str) -> None:
    assert words in refused(message)


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


def test_a_node_that_ended_while_the_run_goes_on_is_replaced() -> None:
    objects = recorded("job-running")
    objects["pods"][0] = recorded("job-backoff")["pods"][0] | {"metadata": objects["pods"][0]["metadata"]}
    told = status(objects)
    assert told.phase is Phase.WAITING
    assert "failed: a peer, the network or a disk failed" in told.reason.text
    assert told.reason.advice == "A new pod replaces it and continues from the checkpoint."


def test_the_code_that_the_training_operator_retries_means_what_it_stands_for() -> None:
    objects = recorded("paddlejob-exit-44")
    for pod in objects["pods"]:
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = RETRY_CODE
    told = status(objects)
    assert told.exit_code == ExitCode.TRANSIENT
    assert "failed: a peer, the network or a disk failed, and retrying did not help (exit code 75)" in str(told)


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


def test_what_the_trainer_said_last_is_in_the_sentence() -> None:
    objects = recorded("job-exit-41")
    message = "prepare ...\nreading  40%|##\rreading 100%|###\nerror: labels.txt:3 has no tab. Mend it.\n"
    for pod in objects["pods"]:
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message
    told = status(objects).reason
    assert told.text.endswith(" failed: the dataset is wrong (exit code 41): labels.txt:3 has no tab. Mend it.")


@pytest.mark.parametrize(
    ("message", "error"),
    [("", ""), ("no error", ""), ("error: one\nerror: two\n", "two"), ("50%\rerror: after a bar", "after a bar")],
)
def test_the_last_error_of_a_log_is_found(message: str, error: str) -> None:
    assert last_error(message) == error


def test_the_codes_of_gone_pods_are_in_the_jobs_own_words() -> None:
    told = status(recorded("job-exit-41") | {"pods": []})
    assert (told.phase, told.exit_code) == (Phase.FAILED, 41)
    assert told.reason.text == "It failed: the dataset is wrong (exit code 41)."


def test_a_run_under_a_queue_that_nobody_looks_after_says_so() -> None:
    told = status(recorded("kueue-waiting") | {"queued": None})
    assert told.phase is Phase.QUEUED
    assert told.reason.text == "Kueue has not picked it up, although placement.queue is team."


@pytest.mark.parametrize(
    ("message", "reason", "words"),
    [
        ("LocalQueue team is stopped", "Inadmissible", "The queue team is stopped. Ask the queue's administrator."),
        ("ClusterQueue gpus is inactive", "Inadmissible", "The ClusterQueue gpus is stopped or misconfigured."),
        ("ClusterQueue gpus doesn't exist", "Misconfigured", "The ClusterQueue gpus does not exist."),
        ("flavor a100 doesn't match node affinity", "NoMatchingFlavor", "No flavor of the queue team fits its nodes"),
        ("how odd", "Novel", "Its queue reports 'Novel': how odd."),
    ],
)
def test_a_queues_message_is_told_in_words(message: str, reason: str, words: str) -> None:
    objects = recorded("kueue-waiting")
    for each in objects["queued"]["status"]["conditions"]:
        if each["type"] == "QuotaReserved":
            each |= {"message": message, "reason": reason}
    assert words in str(status(objects).reason)


def test_a_run_that_is_being_deleted_is_stopping() -> None:
    objects = recorded("job-running")
    objects["workload"]["metadata"]["deletionTimestamp"] = "2026-11-22T23:59:00Z"
    told = status(objects)
    assert told.phase is Phase.STOPPING
    assert "being deleted" in told.reason.text


def test_a_stopped_run_whose_pods_still_write_is_stopping() -> None:
    objects = recorded("job-suspended") | {"pods": recorded("job-running")["pods"]}
    told = status(objects)
    assert told.phase is Phase.STOPPING
    assert told.reason.text == "It is stopping. Its pods write a checkpoint first."


def test_a_run_that_was_just_resumed_waits_and_is_not_stopped() -> None:
    objects = recorded("job-suspended") | {"pods": []}
    objects["workload"]["spec"]["suspend"] = False
    assert status(objects).phase is Phase.WAITING


def volcano(word: str, **group: Any) -> dict[str, Any]:
    """Give a Job of Volcano in a phase, and its PodGroup."""
    name = "lines-1a2b3c4d-9f0e"
    return {
        "workload": {
            "apiVersion": "batch.volcano.sh/v1alpha1",
            "kind": "Job",
            "metadata": {"name": name},
            "spec": {"queue": "team", "tasks": [{"replicas": 2}]},
            "status": {"state": {"phase": word, "message": "max retry"}},
        },
        "inner": [{"kind": "PodGroup", "metadata": {"name": f"{name}-1"}, "status": group}],
    }


def test_volcano_says_why_its_queue_holds_a_run() -> None:
    said = "2/2 tasks in gang unschedulable: pod group is not ready, 2 Pending, 2 minAvailable"
    held = {"phase": "Inqueue", "conditions": [{"type": "Unschedulable", "status": "True", "message": said}]}
    told = status(volcano("Pending", **held))
    assert told.phase is Phase.QUEUED
    assert told.queue
    assert told.queue.name == "team"
    assert told.reason.text == f"Volcano cannot place all of its nodes: {said}."
    assert told.reason.advice == "See `kubectl describe podgroup lines-1a2b3c4d-9f0e-1`."
    assert "Its queue does not have room" in status(volcano("Pending", phase="Pending")).reason.text


def test_volcano_says_what_ended_a_run() -> None:
    told = status(volcano("Failed"))
    assert told.phase is Phase.FAILED
    assert told.reason.text == "More of its pods failed than its Job allows. Message: max retry."


def test_a_paddlejob_that_its_operator_ended_for_its_deadline_says_so() -> None:
    objects = recorded("paddlejob-exit-44")
    for each in objects["workload"]["status"]["conditions"]:
        if each["type"] == "Failed":
            each["message"] = "Job a has failed because it was active longer than specified deadline"
    told = status(objects)
    assert (told.phase, told.exit_code) == (Phase.FAILED, None)
    assert told.reason.text == "It ran longer than placement.deadlines.run allows."
