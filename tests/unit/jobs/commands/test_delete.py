"""`ocrfleet delete` and `ocrfleet prune`: what they delete, what they refuse, and what they say."""

import threading
from collections.abc import Callable
from typing import Any

from jobs.kube.fields import name_of
from jobs.kube.kinds import POD
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.commands.writes import changes, made
from tests.unit.jobs.runs.test_find import another, held
from tests.unit.jobs.states.read import recorded

RUN = "lines-1a2b3c4d"


Ocrfleet = Callable[..., Any]


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
