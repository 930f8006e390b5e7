"""What real controllers have said of real runs, in our words: each state was recorded by states/record.py."""

from datetime import timedelta
from typing import Any

import pytest

from jobs.engines import ENGINES, engine_of
from jobs.engines.status import NodePhase, Phase, Status
from tests.unit.jobs.states.read import FILES, NOW, recorded, status

RUN = "lines-1a2b3c4d"


AGAIN = "submit the file again with placement.retry increased by one"


STATES: dict[str, tuple[Phase, int | None, str, str]] = {
    # Phase, exit code, what the reason has, what the advice has. Engines agree where they can.
    "job-running": (Phase.RUNNING, None, "", ""),
    "jobset-running": (Phase.RUNNING, None, "", ""),
    "trainjob-running": (Phase.RUNNING, None, "", ""),
    "paddlejob-running": (Phase.RUNNING, None, "", ""),
    "kueue-running": (Phase.RUNNING, None, "", ""),
    "job-complete": (Phase.SUCCEEDED, 0, "The leader has published the model.", ""),
    "jobset-complete": (Phase.SUCCEEDED, 0, "The leader has published the model.", ""),
    "trainjob-complete": (Phase.SUCCEEDED, 0, "The leader has published the model.", ""),
    "paddlejob-succeeded": (Phase.SUCCEEDED, 0, "The leader has published the model.", ""),
    "job-exit-41": (Phase.FAILED, 41, "failed: the dataset is wrong (exit code 41).", "ocrfleet data check"),
    "jobset-exit-42": (Phase.FAILED, 42, "failed: access to the bucket was refused (exit code 42).", "credentials"),
    "trainjob-exit-43": (Phase.FAILED, 43, "failed: the model did not pass its gate (exit code 43).", "run.gate"),
    "paddlejob-exit-44": (Phase.FAILED, 44, "failed: the loss became NaN or infinite (exit code 44).", "learning rate"),
    "job-exit-46": (Phase.SUPERSEDED, 46, "A newer object of the same run took over.", f"`ocrfleet watch {RUN}`"),
    "job-backoff": (Phase.FAILED, 75, "a peer, the network or a disk failed", AGAIN),
    "job-deadline": (Phase.FAILED, None, "It ran longer than placement.deadlines.run allows.", AGAIN),
    "paddlejob-deadline": (Phase.FAILED, None, "failed: it ran longer than placement.deadlines.run allows.", AGAIN),
    "job-memory": (Phase.FAILED, 137, "Node 0 failed: it exceeded its memory limit and was killed.", "limits.memory"),
    "job-suspended": (Phase.STOPPED, None, "It is stopped.", f"`ocrfleet resume {RUN}`"),
    "jobset-suspended": (Phase.STOPPED, None, "It is stopped.", f"`ocrfleet resume {RUN}`"),
    "trainjob-suspended": (Phase.STOPPED, None, "It is stopped.", f"`ocrfleet resume {RUN}`"),
    "paddlejob-suspended": (Phase.STOPPED, None, "It is stopped.", f"`ocrfleet resume {RUN}`"),
    "kueue-stopped": (Phase.STOPPED, None, "It is stopped.", f"`ocrfleet resume {RUN}`"),
    "job-evicted": (Phase.WAITING, None, "is ending: it is being evicted, such as by `kubectl drain`.", "A new pod"),
    "job-no-gpu": (
        Phase.WAITING,
        None,
        "Nodes 0 and 1 are not scheduled: no Kubernetes node has 4 free GPUs: none has any.",
        "Request less in placement",
    ),
    "job-never-pull": (
        Phase.WAITING,
        None,
        "cannot start: the image ocrfleet/absent:1 is not on the Kubernetes node node",
        "Load the image there",
    ),
    "job-pull": (
        Phase.WAITING,
        None,
        "cannot start: the image registry.invalid/absent:1 cannot be pulled: failed to do request",
        "placement.imagePullSecrets",
    ),
    "job-image-name": (Phase.WAITING, None, "'Not A Name' is not the name of an image.", "Fix placement.image."),
    "job-secret-volume": (Phase.WAITING, None, "cannot start: the Secret bucket does not exist.", "kubectl create"),
    "job-secret-key": (Phase.WAITING, None, "cannot start: the Secret bucket does not exist.", "kubectl create"),
    "job-pod-security": (
        Phase.WAITING,
        None,
        "have no pod: the Pod Security level restricted:latest of the namespace forbids the pod: host namespaces",
        "whose level allows it",
    ),
    "job-account": (Phase.WAITING, None, "have no pod: the ServiceAccount trainer does not exist.", "serviceAccount"),
    "job-quota": (
        Phase.WAITING,
        None,
        "has no pod: the ResourceQuota team is used up: pods=1 allowed, pods=1 in use, pods=1 requested by the pod",
        "`kubectl describe resourcequota team`",
    ),
    "kueue-waiting": (
        Phase.QUEUED,
        None,
        "The queue team lacks 0.15 CPUs (flavor ml): run receipts-55667788 holds 0.2.",
        "It starts by itself",
    ),
    "kueue-too-large": (
        Phase.QUEUED,
        None,
        "It requests 0.2 CPUs, but the queue team has at most 0.15 (flavor ml), so it can never start.",
        "have the quota increased",
    ),
    "kueue-no-queue": (Phase.QUEUED, None, "The queue nobody does not exist.", "`kubectl get localqueues`"),
    "kueue-preempted": (
        Phase.QUEUED,
        None,
        "It was preempted by a run of higher priority in its ClusterQueue; now the queue team lacks 0.15 CPUs "
        "(flavor ml): run urgent-99aabbcc holds 0.2.",
        "It starts by itself",
    ),
}


def test_every_recorded_state_is_in_the_table() -> None:
    assert set(STATES) == set(FILES)


@pytest.mark.parametrize("state", STATES)
def test_a_recorded_state_is_told_in_words(state: str) -> None:
    phase, code, reason, advice = STATES[state]
    told = status(recorded(state))
    assert (told.phase, told.exit_code) == (phase, code)
    assert reason in told.reason.text
    assert advice in told.reason.advice
    assert bool(told.reason.text) == bool(reason), "no reason where nothing is out of order"


@pytest.mark.parametrize("state", STATES)
def test_no_sentence_has_a_gap_or_a_second_line(state: str) -> None:
    told = status(recorded(state))
    for words in (str(told.reason), *(str(node.reason) for node in told.nodes)):
        assert "\n" not in words
        assert not {"{", "}"} & set(words)
        assert ".." not in words
        assert "  " not in words


@pytest.mark.parametrize("state", STATES)
def test_a_status_knows_its_run_its_nodes_and_its_engine(state: str) -> None:
    objects = recorded(state)
    told = status(objects)
    made = engine_of(objects["workload"])
    assert (told.run, told.name) == (RUN, f"{RUN}-9f0e")
    assert made is ENGINES[told.engine]
    assert [node.rank for node in told.nodes] == ([0] if state == "job-memory" else [0, 1])
    assert told.created
    assert (told.queue is None) == (not state.startswith("kueue"))


@pytest.mark.parametrize("state", [state for state, told in STATES.items() if told[0].final])
def test_a_run_that_is_over_has_its_times(state: str) -> None:
    told = status(recorded(state))
    assert told.created
    assert told.started
    assert told.finished
    assert told.created <= told.started <= told.finished


def test_a_running_node_names_its_pod_and_its_kubernetes_node() -> None:
    leader, other = status(recorded("job-running")).nodes
    assert leader.phase is other.phase is NodePhase.RUNNING
    assert leader.pod
    assert leader.pod.startswith(f"{RUN}-9f0e-0-")
    assert leader.machine in ("node1", "node2")
    assert leader.started
    assert (leader.exit_code, leader.finished, leader.restarts) == (None, None, 0)


def test_a_queue_tells_when_the_run_was_let_in_and_how_often_it_had_to_leave() -> None:
    running, preempted = status(recorded("kueue-running")).queue, status(recorded("kueue-preempted")).queue
    assert running
    assert running.name == "team"
    assert running.cluster_queue == "ml"
    assert running.admitted
    assert running.waited is not None
    assert running.waited.total_seconds() < 60
    assert preempted
    assert (preempted.admitted, preempted.cluster_queue, preempted.evictions) == (None, None, 1)


def test_a_stopped_run_rests_and_one_that_waits_does_not() -> None:
    stopped, waiting = status(recorded("kueue-stopped")).queue, status(recorded("kueue-waiting")).queue
    assert stopped
    assert waiting
    assert (stopped.active, waiting.active) == (False, True)
    assert (stopped.waited is None, waiting.waited is None) == (True, False)


def test_a_node_that_ended_while_the_run_goes_on_is_replaced() -> None:
    objects = recorded("job-running")
    objects["pods"][0] = recorded("job-backoff")["pods"][0] | {"metadata": objects["pods"][0]["metadata"]}
    told = status(objects)
    assert told.phase is Phase.WAITING
    assert "failed: a peer, the network or a disk failed" in told.reason.text
    assert told.reason.advice == "A new pod replaces it and continues from the checkpoint."


def test_the_codes_of_gone_pods_are_in_the_jobs_own_words() -> None:
    told = status(recorded("job-exit-41") | {"pods": []})
    assert (told.phase, told.exit_code) == (Phase.FAILED, 41)
    assert told.reason.text == "It failed: the dataset is wrong (exit code 41)."


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


def moment(ago: float) -> str:
    return (NOW - timedelta(seconds=ago)).isoformat()


def pod(rank: int, phase: str = "Running", *, on: str = "node1", **state: Any) -> dict[str, Any]:
    """Return a pod of a Job, with the state of its container."""
    return {
        "metadata": {"name": f"a-{rank}", "labels": {"batch.kubernetes.io/job-completion-index": str(rank)}},
        "spec": {"nodeName": on},
        "status": {"phase": phase, "containerStatuses": [{"name": "trainer", "state": state}]},
    }


def ended(rank: int, code: int, *, ago: float) -> dict[str, Any]:
    return pod(rank, "Failed", terminated={"exitCode": code, "finishedAt": moment(ago)})


def gang(*pods: dict[str, Any], size: int = 2, kind: str = "", made: float = 3600, **job: Any) -> Status:
    """Return the status of a Job with these pods, which has a condition of a type if that is named."""
    conditions = [{"type": kind, "status": "True", "message": job.pop("message", "")}]
    workload = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "a", "creationTimestamp": moment(made)},
        "spec": {"completions": size},
        "status": {"conditions": conditions if kind else [], **job},
    }
    return status({"workload": workload, "pods": pods})


def test_a_run_started_when_its_controller_says_else_with_its_first_node() -> None:
    pods = [pod(rank, running={"startedAt": moment(ago)}) for rank, ago in enumerate((40, 60, 50))]
    assert gang(*pods, startTime=moment(90)).started == NOW - timedelta(seconds=90)
    assert gang(*pods).started == NOW - timedelta(seconds=60)
    assert gang().started is None


def test_a_run_that_kueue_has_not_seen_yet_is_in_the_queue_that_it_names() -> None:
    queue = status(recorded("kueue-waiting") | {"queued": None}).queue
    assert queue
    assert queue.name == "team"


@pytest.mark.parametrize(
    ("pods", "culprit", "code"),
    [
        # 75 and 143 are what the others end with when one is lost.
        ([ended(0, 75, ago=9), ended(1, 143, ago=8), ended(2, 44, ago=7)], 2, 44),
        ([ended(0, 75, ago=8), ended(1, 143, ago=9)], 1, 143),
        ([ended(0, 44, ago=8), ended(1, 41, ago=9), ended(2, 1, ago=7)], 1, 41),
        ([ended(0, 44, ago=9), ended(1, 41, ago=9)], 0, 44),
        ([pod(0, "Failed"), ended(1, 41, ago=9)], 1, 41),
        ([pod(0, "Failed"), pod(1)], 0, None),
        ([pod(0, terminated={"exitCode": 41}), pod(1)], 0, 41),
    ],
)
def test_the_node_that_failed_first_by_itself_is_the_one_to_blame(
    pods: list[dict[str, Any]], culprit: int, code: int | None
) -> None:
    told = gang(*pods, size=len(pods), kind="Failed")
    assert told.phase is Phase.FAILED
    assert told.reason.text.startswith(f"Node {culprit} failed: ")
    assert told.exit_code == code


def test_the_node_to_blame_has_the_code_that_the_job_names() -> None:
    said = "Container trainer for pod default/a-1 failed with exit code 41 matching FailJob rule at index 0"
    told = gang(ended(0, 44, ago=9), ended(1, 41, ago=8), kind="Failed", message=said)
    assert told.reason.text == "Node 1 failed: the dataset is wrong (exit code 41)."
    told = gang(ended(0, 44, ago=9), ended(1, 1, ago=8), kind="Failed", message=said)
    assert told.reason.text == "It failed: the dataset is wrong (exit code 41)."
    assert told.exit_code == 41


@pytest.mark.parametrize(
    ("ago", "advice"),
    [(5, ""), (30, ""), (31, "See `kubectl describe job a`."), (3600, "See `kubectl describe job a`.")],
)
def test_a_controller_that_made_no_pod_for_half_a_minute_is_to_be_looked_at(ago: float, advice: str) -> None:
    told = gang(made=ago)
    assert (told.phase, told.reason.text) == (Phase.WAITING, "Nodes 0 and 1 have no pod.")
    assert told.reason.advice == advice
    assert not gang(pod(0), pod(1, "Pending"), made=ago).reason.advice


def test_an_object_without_nodes_waits_for_its_controller() -> None:
    told = gang(size=0)
    assert (told.phase, told.nodes) == (Phase.WAITING, ())
    assert told.reason.text == "Its controller has not created a pod yet."


WAITS = {"waiting": {"reason": "CrashLoopBackOff"}}
TAKEN = {"metadata": {**pod(1)["metadata"], "deletionTimestamp": moment(9)}}


@pytest.mark.parametrize(
    ("pods", "words"),
    [
        ([], "Nodes 0 and 1 have no pod."),
        ([pod(0)], "Node 1 has no pod."),
        ([pod(0), pod(1, "Succeeded")], ""),
        ([pod(0), pod(1, "Pending", on="")], "Node 1 is not scheduled."),
        ([pod(0, "Pending"), pod(1, "Pending")], "Nodes 0 and 1 are starting."),
        ([pod(0, "Pending"), pod(1, "Pending", on="")], "Node 1 is not scheduled."),
        ([pod(0, "Pending", on="")], "Node 1 has no pod."),
        ([pod(0), pod(1) | TAKEN], "Node 1 is ending."),
        ([pod(0, "Pending"), pod(1) | TAKEN], "Node 0 is starting."),
        ([pod(0), ended(1, 41, ago=9)], "Node 1 failed: the dataset is wrong (exit code 41)."),
        ([pod(0, "Pending", on=""), ended(1, 41, ago=9)], "Node 1 failed: the dataset is wrong (exit code 41)."),
        (
            [ended(0, 41, ago=9), ended(1, 44, ago=9), ended(2, 41, ago=9)],
            "Nodes 0 and 2 failed: the dataset is wrong (exit code 41).",
        ),
        (
            [pod(0), pod(1, "Novel")],
            "Node 1 is in an unknown state: its pod has the phase 'Novel', which this version "
            "of ocrfleet does not know.",
        ),
        ([pod(rank, "Pending") for rank in range(3)], "Nodes 0, 1 and 2 are starting."),
        ([pod(rank, "Pending") for rank in range(4)], "Nodes 0, 1, 2 and 3 are starting."),
        ([pod(rank, "Pending") for rank in range(5)], "Nodes 0, 1, 2 and 2 more are starting."),
        ([pod(rank, "Pending") for rank in range(9)], "Nodes 0, 1, 2 and 6 more are starting."),
    ],
)
def test_the_reason_of_a_run_is_that_of_the_nodes_that_most_need_a_person(
    pods: list[dict[str, Any]], words: str
) -> None:
    """One with a reason comes first, then the one that is least far."""
    told = gang(*pods)
    assert told.phase is (Phase.WAITING if words else Phase.RUNNING)
    assert told.reason.text == words


def test_a_failed_node_is_replaced_only_where_a_retry_can_help() -> None:
    assert gang(pod(0), ended(1, 75, ago=9)).reason.advice.startswith("A new pod replaces it")
    assert gang(pod(0), ended(1, 41, ago=9)).reason.advice.startswith("Check it with `ocrfleet data check`")


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


def test_volcano_says_why_no_pod_of_a_run_is_there_yet() -> None:
    told = status(volcano("Running", phase="Unknown"))
    assert told.phase is Phase.WAITING
    assert told.reason.text == "Some of its nodes run; the others cannot be scheduled."
    objects = volcano("Running", phase="Unknown")
    del objects["workload"]["spec"]["tasks"]
    assert status(objects).reason == told.reason


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
