"""Which change stops a run or lets it go on, by what is so: pure."""

import pytest

from jobs.engines.status import Observed
from jobs.runs import suspend
from tests.objects import Object
from tests.unit.jobs.states.read import NOW, recorded
from trainer.errors import SpecError, TransientError

RUN = "lines-1a2b3c4d"


def observed(state: str) -> Observed:
    return Observed(now=NOW, **recorded(state))


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
