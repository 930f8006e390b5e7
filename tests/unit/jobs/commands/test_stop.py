"""`stop`, `resume`, `delete` and `prune`: what they change on the server, what they leave alone, and what they say."""

import copy
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs import cli
from jobs.engines.status import Observed
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.kinds import POD, kind_of
from jobs.runs import prune, suspend
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import another, held
from tests.unit.jobs.states.read import NOW, recorded
from trainer.errors import SpecError, TransientError

RUN = "lines-1a2b3c4d"
KUEUE = "kueue.x-k8s.io"
Ocrfleet = Callable[..., Any]


def observed(state: str) -> Observed:
    return Observed(now=NOW, **recorded(state))


# -- which change it takes: pure ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "kind", "body"),
    [
        ("job-running", "Job", {"spec": {"suspend": True}}),
        ("jobset-running", "JobSet", {"spec": {"suspend": True}}),
        ("trainjob-running", "TrainJob", {"spec": {"suspend": True}}),
        ("paddlejob-running", "PaddleJob", {"spec": {"runPolicy": {"suspend": True}}}),
        ("kueue-running", "Workload", {"spec": {"active": False}}),
        ("kueue-waiting", "Workload", {"spec": {"active": False}}),
    ],
)
def test_how_each_is_stopped(state: str, kind: str, body: Object) -> None:
    decision = suspend.stop(observed(state), queues=True)
    assert decision.change is not None
    assert (decision.change.kind, decision.change.body) == (kind, body)
    assert f"`ocrfleet resume {RUN}`" in decision.sentence
    assert ("quota" in decision.sentence) == (kind == "Workload")
    assert ("checkpoint and end" in decision.sentence) == ("running" in state)


@pytest.mark.parametrize(
    ("state", "kind", "body"),
    [
        ("job-suspended", "Job", {"spec": {"suspend": False}}),
        ("jobset-suspended", "JobSet", {"spec": {"suspend": False}}),
        ("trainjob-suspended", "TrainJob", {"spec": {"suspend": False}}),
        ("paddlejob-suspended", "PaddleJob", {"spec": {"runPolicy": {"suspend": False}}}),
        ("kueue-stopped", "Workload", {"spec": {"active": True}}),
    ],
)
def test_how_each_goes_on(state: str, kind: str, body: Object) -> None:
    decision = suspend.resume(observed(state), queues=True)
    assert decision.change is not None
    assert (decision.change.kind, decision.change.body) == (kind, body)
    assert ("queue" in decision.sentence) == (kind == "Workload")


def test_a_job_of_volcano_is_told_by_a_command() -> None:
    job = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "metadata": {"name": "x-1-2", "uid": "u"}}
    running = {**job, "status": {"state": {"phase": "Running"}}}
    stop = suspend.stop(Observed(workload=running, now=NOW), queues=False).change
    assert stop is not None
    assert (stop.verb, stop.body["action"]) == ("create", "AbortJob")
    aborted = {**job, "status": {"state": {"phase": "Aborted"}}}
    resume = suspend.resume(Observed(workload=aborted, now=NOW), queues=False).change
    assert resume is not None
    assert resume.body["action"] == "ResumeJob"


@pytest.mark.parametrize("state", ["job-suspended", "kueue-stopped", "job-complete", "job-exit-41"])
def test_what_is_stopped_or_over_is_not_stopped_again(state: str) -> None:
    assert suspend.stop(observed(state), queues=True).change is None


@pytest.mark.parametrize("state", ["job-running", "kueue-waiting", "kueue-preempted", "job-complete"])
def test_what_is_not_stopped_is_not_resumed(state: str) -> None:
    assert suspend.resume(observed(state), queues=True).change is None


def test_a_run_that_failed_needs_another_object() -> None:
    with pytest.raises(SpecError, match=r"finished \(Failed\).*placement\.retry increased by one"):
        suspend.resume(observed("job-exit-41"), queues=False)


def test_in_a_queue_that_does_not_know_it_a_run_is_left_as_it_is() -> None:
    """Kueue would start again whatever is suspended without its knowledge. Without Kueue the queue's name is a word."""
    waits = {**recorded("kueue-waiting"), "queued": None}
    found = Observed(now=NOW, **waits)
    for decide in (suspend.stop, suspend.resume):
        if decide is suspend.stop:
            with pytest.raises(TransientError, match="has no Workload for"):
                decide(found, queues=True)
        else:
            assert decide(found, queues=True).change is None
    resumed = suspend.resume(found, queues=False).change
    assert resumed is not None
    assert resumed.body == {"spec": {"suspend": False}}


def test_what_no_engine_knows_is_refused() -> None:
    strange = Observed(workload={"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "x"}}, now=NOW)
    with pytest.raises(SpecError, match="no engine that"):
        suspend.stop(strange, queues=False)


# -- the commands ------------------------------------------------------------------------------------------------------


def changes(api: ApiServer) -> list[tuple[str, str, Any]]:
    return [(verb, path.rpartition("/")[2], body) for verb, path, _, body in api.asked if verb not in ("GET", "POST")]


def test_stop_and_resume_change_one_field_and_print_the_run(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-running")
    ran = ocrfleet("stop", "lines", "-n", "ml")
    assert (ran.code, ran.out) == (0, f"{RUN}\n")
    assert changes(api) == [("PATCH", f"{RUN}-9f0e", {"spec": {"suspend": True}})]
    api.asked.clear()
    for pod in recorded("job-running")["pods"]:
        api.take(POD, name_of(pod), namespace="ml")
    assert "already" in ocrfleet("stop", RUN, "-n", "ml").err
    assert changes(api) == []
    ran = ocrfleet("resume", RUN, "-n", "ml")
    assert (ran.code, ran.out) == (0, f"{RUN}\n")
    assert changes(api) == [("PATCH", f"{RUN}-9f0e", {"spec": {"suspend": False}})]


def test_under_kueue_the_workload_is_changed_and_the_object_left_alone(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    api.groups[KUEUE] = f"{KUEUE}/v1beta2"
    held(api, "kueue-waiting")
    queued = recorded("kueue-waiting")["queued"]
    assert ocrfleet("stop", RUN, "-n", "ml").code == 0
    assert changes(api) == [("PATCH", name_of(queued), {"spec": {"active": False}})]


def test_stop_waits_for_the_last_pod(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-running")
    pods = recorded("job-running")["pods"]

    def end() -> None:
        with api.changed:
            assert api.changed.wait_for(lambda: any(verb == "PATCH" for verb, *_ in api.asked), 10)
        for pod in pods:
            api.take(POD, name_of(pod), namespace="ml")

    ending = threading.Thread(target=end)
    ending.start()
    ran = ocrfleet("stop", RUN, "-n", "ml", "--wait", "--timeout", "20s")
    ending.join()
    assert (ran.code, ran.out) == (0, f"{RUN}\n"), ran.err


def test_stop_waits_for_a_pod_that_has_ended_and_holds_its_volumes_yet(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-suspended")
    pods = recorded("job-suspended")["pods"]
    assert [(pod["status"]["phase"], "deletionTimestamp" in pod["metadata"]) for pod in pods] == [("Succeeded", True)]
    assert ocrfleet("stop", RUN, "-n", "ml", "--wait", "--timeout", "0.3s").code == 75
    for pod in pods:
        api.take(POD, name_of(pod), namespace="ml")
    assert ocrfleet("stop", RUN, "-n", "ml", "--wait", "--timeout", "20s").code == 0


def test_stop_waits_for_no_pod_that_nobody_deletes(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    """A Job keeps those that ended before it was stopped."""
    held(api, "job-suspended")
    for pod in recorded("job-suspended")["pods"]:
        del pod["metadata"]["deletionTimestamp"]
        api.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="ml")
    assert ocrfleet("stop", RUN, "-n", "ml", "--wait", "--timeout", "20s").code == 0


def test_a_wait_has_an_end(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-running")
    ran = ocrfleet("stop", RUN, "-n", "ml", "--wait", "--timeout", "0.3s")
    assert (ran.code, ran.out) == (75, "")
    assert "did not get there within 0.3 s" in ran.err


def test_resume_waits_until_pods_may_be_made(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-suspended")
    assert ocrfleet("resume", RUN, "-n", "ml", "--wait", "--timeout", "20s").code == 0


def test_delete_refuses_a_run_that_trains(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    workload = held(api, "job-running")
    for pod in recorded("job-running")["pods"]:
        pod["status"] = {
            "phase": "Running",
            "startTime": "2026-11-23T00:02:58Z",
            "containerStatuses": [
                {"name": "trainer", "ready": True, "state": {"running": {"startedAt": "2026-11-23T00:03:00Z"}}}
            ],
        }
        api.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="ml")
    ran = ocrfleet("delete", RUN, "-n", "ml")
    assert (ran.code, ran.out) == (2, "")
    assert f"`ocrfleet stop {RUN}`" in ran.err
    assert changes(api) == []
    ran = ocrfleet("delete", RUN, "-n", "ml", "--yes")
    assert (ran.code, ran.out) == (0, f"job/{name_of(workload)} deleted\n")
    assert "stays. The same job file, submitted again, continues" in ran.err
    assert api.asked[-1][3]["propagationPolicy"] == "Background"


def test_delete_takes_all_objects_of_a_run_or_the_one_that_is_named(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    first = held(api, "job-complete")
    for number in ("0002", "0003"):
        another(api, first, f"{RUN}-{number}", RUN, "2026-11-24T00:00:00Z")
    another(api, first, "lines-00000000-0004", "lines-00000000", "2026-11-25T00:00:00Z")
    assert ocrfleet("delete", f"{RUN}-0002", "-n", "ml").out == f"job/{RUN}-0002 deleted\n"
    ran = ocrfleet("delete", "lines", "-n", "ml")
    assert (ran.code, ran.out) == (2, "")
    assert "lines is the name of a job: name one of its runs, such as lines-00000000" in ran.err
    deleted = ocrfleet("delete", RUN, "-n", "ml").out.splitlines()
    assert sorted(deleted) == [f"job/{RUN}-0003 deleted", f"job/{RUN}-9f0e deleted"]
    assert ocrfleet("delete", "lines-00000000", "-n", "ml").code == 0
    ran = ocrfleet("delete", RUN, "-n", "ml")
    assert (ran.code, "has no run" in ran.err) == (40, True)


def test_delete_waits_until_object_and_pods_are_gone(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-complete")

    def collect() -> None:
        with api.changed:
            assert api.changed.wait_for(lambda: any(verb == "DELETE" for verb, *_ in api.asked), 10)
        for pod in recorded("job-complete")["pods"]:
            api.take(POD, name_of(pod), namespace="ml")

    collecting = threading.Thread(target=collect)
    collecting.start()
    ran = ocrfleet("delete", RUN, "-n", "ml", "--wait", "--timeout", "20s")
    collecting.join()
    assert ran.code == 0, ran.err


# -- prune -------------------------------------------------------------------------------------------------------------


def made(state: str, number: int, run: int) -> Object:
    found: Object = copy.deepcopy(recorded(state)["workload"])
    labels = {**found["metadata"]["labels"], "ocrfleet.io/run": f"lines-{run:08}"}
    created = datetime(2026, 1, number, tzinfo=UTC).isoformat()
    found["metadata"] |= {"name": f"o{number}", "labels": labels, "creationTimestamp": created}
    return found


@pytest.mark.parametrize(
    ("objects", "keep", "gone"),
    [
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 0, "o1 o2 o3"),
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 1, "o1 o2"),
        ([("job-complete", 1, 1), ("job-exit-41", 2, 2), ("job-complete", 3, 3)], 3, ""),
        # What is not over neither goes nor takes a place of those that stay.
        ([("job-complete", 1, 1), ("job-running", 2, 2), ("job-suspended", 3, 3), ("kueue-waiting", 4, 4)], 0, "o1"),
        ([("job-complete", 1, 1), ("job-complete", 2, 2), ("job-running", 3, 3)], 1, "o1"),
        # A run of several objects goes as one, by its newest; while one of them is not over, it stays.
        ([("job-exit-46", 1, 1), ("job-complete", 2, 2), ("job-complete", 3, 1)], 1, "o2"),
        ([("job-exit-46", 1, 1), ("job-running", 2, 1)], 0, ""),
        ([("jobset-complete", 1, 1), ("trainjob-complete", 2, 2), ("paddlejob-succeeded", 3, 3)], 1, "o1 o2"),
    ],
)
def test_what_is_pruned(objects: list[tuple[str, int, int]], keep: int, gone: str) -> None:
    found = [made(*each) for each in objects]
    for order in (found, found[::-1]):
        assert [name_of(each) for each in prune.prunable(order, keep=keep, now=NOW)] == gone.split()


def test_prune_deletes_the_oldest_that_are_over(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    for state, number in (("job-complete", 1), ("job-exit-41", 2), ("job-running", 3)):
        api.put(made(state, number, number), namespace="ml")
    ran = ocrfleet("prune", "lines", "--done", "--keep", "1", "--dry-run", "-n", "ml")
    assert (ran.code, ran.out) == (0, "job/o1 deleted (dry run)\n")
    assert changes(api) == []
    assert ocrfleet("prune", "lines", "--done", "--keep", "1", "-n", "ml").out == "job/o1 deleted\n"
    assert [(verb, name) for verb, name, _ in changes(api)] == [("DELETE", "o1")]
    ran = ocrfleet("prune", "lines", "--done", "--keep", "1", "-n", "ml")
    assert (ran.code, ran.out) == (0, "")
    assert "Nothing to delete" in ran.err
    assert "has no run of the job 'slips'" in ocrfleet("prune", "slips", "--done", "--keep", "1", "-n", "ml").err


# -- words -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prune", "lines", "--keep", "1"], "the following arguments are required: --done"),
        (["prune", "lines", "--done"], "the following arguments are required: --keep"),
        (["prune", "lines", "--done", "--keep", "-1"], "--keep"),
        (["delete"], "the following arguments are required: RUN"),
        (["stop", RUN, "--timeout", "soon"], "'soon' is not a time such as 90s, 5m or 1h30m"),
        (["stop", RUN, "--timeout", "0s"], "'0s' is not a time"),
        (["resume", RUN, "-n", "Ä"], "is not a namespace"),
    ],
)
def test_words_that_do_not_fit(words: list[str], sentence: str, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet(*words)
    assert (ran.code, sentence in ran.err) == (2, True), ran


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["stop", RUN], "wait", False),
        (["stop", RUN, "--wait"], "wait", True),
        (["resume", RUN], "wait", False),
        (["resume", RUN, "--wait"], "wait", True),
        (["delete", RUN], "yes", False),
        (["delete", RUN, "--yes"], "yes", True),
        (["delete", RUN], "wait", False),
        (["delete", RUN, "--wait"], "wait", True),
        (["prune", "x", "--done", "--keep", "0"], "keep", 0),
        (["prune", "x", "--done", "--keep", "0"], "dry_run", False),
        (["prune", "x", "--done", "--keep", "0", "--dry-run"], "dry_run", True),
        *(([each, RUN, "-n", "ml"], "namespace", "ml") for each in ("stop", "resume", "delete", "shell")),
        *(([each, RUN, "--context", "c"], "context", "c") for each in ("stop", "resume", "delete", "shell")),
        *(([each, RUN, "--timeout", "2m"], "timeout", 120.0) for each in ("stop", "resume", "delete", "shell")),
    ],
)
def test_options(words: list[str], name: str, value: Any) -> None:
    assert vars(cli.build_parser().parse_args(words))[name] == value


def test_the_context_says_where(api: ApiServer, cluster: Cluster, ocrfleet: Ocrfleet) -> None:
    found = recorded("job-suspended")["workload"]
    api.put(found, namespace="team-ocr")
    assert ocrfleet("resume", RUN, "--context", "elsewhere").code == 0
    assert api.objects[kind_of(found).path(namespace="team-ocr", name=name_of(found))]["spec"]["suspend"] is False
    ran = ocrfleet("resume", RUN, "--context", "nowhere")
    assert (ran.code, "Its contexts: elsewhere, fake" in ran.err) == (40, True)
