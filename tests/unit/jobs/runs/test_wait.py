"""`stop --wait` and `resume --wait`: until when."""

import threading
from collections.abc import Callable
from typing import Any

from jobs.kube.fields import name_of
from jobs.kube.kinds import POD
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded

RUN = "lines-1a2b3c4d"


Ocrfleet = Callable[..., Any]


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
