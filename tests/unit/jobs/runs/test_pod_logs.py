"""Lines of pods are followed through broken lines and new pods, and none comes twice."""

import copy
import threading
from collections.abc import Iterator

import pytest

from jobs.engines import job as engine
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.kinds import POD, kind_of
from jobs.runs import pod_logs
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.logged import running
from trainer.errors import AccessError, NotFoundError, TransientError

__all__ = ["running"]


class Follower:
    """Takes lines of a run as they come."""

    def __init__(self, lines: Iterator[pod_logs.Line]) -> None:
        self.lines: list[str] = []
        self.error: TransientError | None = None
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._take, args=(lines,), daemon=True)
        self._thread.start()

    def _take(self, lines: Iterator[pod_logs.Line]) -> None:
        try:
            for line in lines:
                with self._came:
                    self.lines.append(f"{line.node} {line.text}")
                    self._came.notify_all()
        except TransientError as error:  # no fault in a thread that outlives its test, and with it the server
            self.error = error

    def until(self, line: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: line in self.lines, 10), self.lines

    def end(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert not self.error


def put(api: ApiServer, pod: Object, **metadata: str) -> Object:
    made = copy.deepcopy(pod)
    made["metadata"] |= metadata
    api.put({"apiVersion": "v1", "kind": "Pod", **made}, namespace="ml")
    return made


def test_lines_are_followed_through_a_broken_line_and_a_new_pod_to_the_runs_end(
    api: ApiServer, running: tuple[Object, list[Object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost and nothing comes twice; a node that failed does not end the run."""
    monkeypatch.setattr(pod_logs, "_PAUSE", 0.01)
    workload, (first, second) = running
    cluster = Cluster(namespace="ml", deadline=5)
    follower = Follower(pod_logs.Tailing(cluster, workload, engine, tail=1, node=None).lines())
    follower.until("0 two")
    follower.until("1 two")
    api.write(name_of(first), "three")
    follower.until("0 three")
    api.cut()
    api.write(name_of(first), "four")
    follower.until("0 four")

    second["status"]["phase"] = "Failed"
    put(api, second)
    api.written["again"] = "from the start\n"
    put(
        api,
        {**second, "status": {"phase": "Running"}},
        name="again",
        uid="again",
        creationTimestamp="2027-01-01T00:00:00Z",
    )
    follower.until("1 from the start")

    over = copy.deepcopy(workload)
    over["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
    api.put(over, namespace="ml")
    for name, pod in ((name_of(first), first), ("again", second)):
        put(api, {**pod, "status": {"phase": "Succeeded"}}, name=name, creationTimestamp="2027-01-01T00:00:00Z")
    follower.end()
    assert sorted(follower.lines) == ["0 four", "0 three", "0 two", "1 from the start", "1 two"]


def test_a_log_that_ends_before_its_pod_does_is_taken_up_again(
    api: ApiServer, running: tuple[Object, list[Object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it looks to a reader when a server is told to end."""
    monkeypatch.setattr(pod_logs, "_PAUSE", 0.01)
    workload, (first, _) = running
    follower = Follower(
        pod_logs.Tailing(Cluster(namespace="ml", deadline=5), workload, engine, tail=None, node=0).lines()
    )
    follower.until("0 two")
    api.end_logs()
    api.write(name_of(first), "three")
    follower.until("0 three")
    assert follower.lines == ["0 one", "0 two", "0 three"]


def test_a_pod_with_the_name_of_the_one_that_it_replaces_is_read(
    api: ApiServer, running: tuple[Object, list[Object]]
) -> None:
    """Volcano and the training operator name pods by their rank alone."""
    workload, (first, _) = running
    follower = Follower(
        pod_logs.Tailing(Cluster(namespace="ml", deadline=5), workload, engine, tail=None, node=0).lines()
    )
    follower.until("0 two")
    api.take(POD, name_of(first), namespace="ml")
    api.written[name_of(first)] = "again\n"
    put(api, first, uid="another")
    follower.until("0 again")


def test_following_ends_with_a_run_whose_object_goes(api: ApiServer, running: tuple[Object, list[Object]]) -> None:
    workload, pods = running
    cluster = Cluster(namespace="ml", deadline=5)
    follower = Follower(pod_logs.Tailing(cluster, workload, engine, tail=None, node=0).lines())
    follower.until("0 two")
    for pod in pods:
        api.take(POD, name_of(pod), namespace="ml")
    api.take(kind_of(workload), name_of(workload), namespace="ml")
    follower.end()
    assert follower.lines == ["0 one", "0 two"]


def test_a_run_that_is_over_is_read_to_the_end_of_its_logs(
    api: ApiServer, running: tuple[Object, list[Object]]
) -> None:
    """Its controller can be ahead of the last pods."""
    workload, pods = running
    over = {**workload, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    api.put(over, namespace="ml")
    cluster = Cluster(namespace="ml", deadline=5)
    follower = Follower(pod_logs.Tailing(cluster, over, engine, tail=None, node=None).lines())
    follower.until("0 two")
    follower.until("1 two")
    for pod in pods:
        api.write(name_of(pod), "three")
    follower.until("0 three")
    follower.until("1 three")
    for pod in pods:
        put(api, {**pod, "status": {"phase": "Succeeded"}})
    follower.end()


def test_lines_that_may_not_be_read_are_an_error(api: ApiServer, running: tuple[Object, list[Object]]) -> None:
    workload, _ = running
    api.refused.add(("get", "pods/log"))
    with pytest.raises(AccessError, match="cannot get"):
        list(pod_logs.Tailing(Cluster(namespace="ml", deadline=5), workload, engine, tail=None, node=None).lines())


def test_what_the_kubelet_says_in_place_of_a_log_is_no_line_of_it(
    api: ApiServer, running: tuple[Object, list[Object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container of a pod that starts again is gone for a moment, and with it its log."""
    workload, (first, _) = running
    cluster = Cluster(namespace="ml", deadline=5)
    api.lost_logs = [name_of(first)] * 2
    with pytest.raises(NotFoundError, match=f"no logs of the pod {name_of(first)} any more: its container is gone"):
        list(pod_logs.read(cluster, {0: first}))
    monkeypatch.setattr(pod_logs, "_PAUSE", 0.01)
    follower = Follower(pod_logs.Tailing(cluster, workload, engine, tail=None, node=0).lines())
    follower.until("0 two")
    assert api.lost_logs == []
    assert follower.lines == ["0 one", "0 two"]
