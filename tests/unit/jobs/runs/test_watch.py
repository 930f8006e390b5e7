"""A run as it goes on: what is seen of it, and what the seeing survives."""

import copy
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from jobs.commands.follow import sentence
from jobs.engines.runfile import ANNOTATION
from jobs.engines.status import Phase, Status
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.kinds import POD, Kind, kind_of
from jobs.runs import pod_logs, watch
from jobs.runs.watch import Notice, Watching
from tests.objects import Object
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded
from trainer.errors import NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.telemetry.lines import Line, read, to_json

RUN = "lines-1a2b3c4d"
STEP = "[train 3%] step {}/32, 14 s left, loss 61.43, 8.72 samples/s, epoch 1/8"
BEFORE = ["[fetch begun]", "[fetch done] (0.1 s)", "[train begun]"]
DONE = {"conditions": [{"type": "Complete", "status": "True"}]}


class Watcher:
    """Takes what is seen of a run, as words; `until` waits for one."""

    def __init__(self, seen: Iterator[Status | Line | Notice], workload: Object) -> None:
        self.words: list[str] = []
        self.error: OcrfleetError | None = None
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._take, args=(seen, workload), daemon=True)
        self._thread.start()

    def _take(self, seen: Iterator[Status | Line | Notice], workload: Object) -> None:
        try:
            for each in seen:
                with self._came:
                    self.words.append(_words(each, workload))
                    self._came.notify_all()
        except OcrfleetError as error:
            self.error = error

    def until(self, word: str) -> None:
        with self._came:
            assert self._came.wait_for(lambda: any(word in each for each in self.words), 10), (word, self.words)

    def end(self) -> list[str]:
        self._thread.join(10)
        assert not self._thread.is_alive(), self.words
        return self.words


def _words(seen: Status | Line | Notice, workload: Object) -> str:
    match seen:
        case Status():
            return sentence(seen, workload)
        case Notice():
            return seen.text
        case _:
            return str(seen)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for a test."""
    monkeypatch.setattr(watch, "_BETWEEN", 0.02)
    monkeypatch.setattr(pod_logs, "_PAUSE", 0.02)


@pytest.fixture
def begin(api: ApiServer) -> Callable[..., Watcher]:
    """Watch an object of namespace `ml`."""

    def begin(workload: Object, **words: Any) -> Watcher:
        return Watcher(Watching(Cluster(namespace="ml", deadline=5), workload, **words).seen(), workload)

    return begin


def put(api: ApiServer, found: Object, **changed: Any) -> None:
    api.put({"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(found), **changed}, namespace="ml")


@pytest.fixture
def running(api: ApiServer) -> tuple[Object, Object]:
    """A run of two nodes, whose leader has said something; its object, and the leader's pod."""
    workload = held(api, "job-running")
    leader = next(pod for pod in recorded("job-running")["pods"] if "-0-" in name_of(pod))
    leader["metadata"]["uid"] = f"Pod-{name_of(leader)}"
    api.write(name_of(leader), *BEFORE, STEP.format(1), STEP.format(2))
    return workload, leader


# -- what is seen ------------------------------------------------------------------------------------------------------


def test_a_run_from_its_first_wait_to_its_model(api: ApiServer, begin: Callable[..., Watcher]) -> None:
    """Phases with their reasons, lines of the leader alone, each once, and at last where the model is."""
    objects = recorded("job-running")
    workload, pods = objects["workload"], objects["pods"]
    workload["spec"]["template"]["metadata"]["annotations"] = {ANNOTATION: '{"run": {"output": "s3://models/lines/"}}'}
    api.put(workload, namespace="ml")
    seen = begin(workload)
    seen.until(f"{RUN} is Waiting. Nodes 0 and 1 have no pod.")
    for pod in pods:
        put(api, pod, status={"phase": "Pending", "conditions": []})
    seen.until("Nodes 0 and 1 are starting.")
    for pod in pods:
        api.write(name_of(pod), f"[train] pod {name_of(pod)}")
        put(api, pod)
    seen.until(f"{RUN} is Running.")
    leader = next(pod for pod in pods if "-0-" in name_of(pod))
    seen.until(f"[train] pod {name_of(leader)}")
    api.write(name_of(leader), STEP.format(1), STEP.format(2))
    seen.until(STEP.format(2))
    api.write(name_of(leader), "[publish done] (0.1 s)")
    api.put(workload | {"status": DONE}, namespace="ml")
    for pod in pods:
        put(api, pod, status={"phase": "Succeeded"})
    assert seen.end()[-6:] == [
        f"{RUN} is Running.",
        f"[train] pod {name_of(leader)}",
        STEP.format(1),
        STEP.format(2),
        "[publish done] (0.1 s)",
        f"{RUN} is done: its model is published. See `ocrfleet models show s3://models/lines/#{RUN}`.",
    ]
    assert len(seen.words) == len(set(seen.words))


def test_of_what_was_said_before_only_the_last_progress_is_shown(
    running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    seen = begin(running[0])
    seen.until(STEP.format(2))
    assert seen.words == [f"{RUN} is Running.", *BEFORE, STEP.format(2)]


def test_a_leader_that_logs_json_is_shown_in_the_same_words(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    api.written[name_of(leader)] = ""
    lines = [*BEFORE, STEP.format(1), STEP.format(2)]
    events = ("stage_begun", "stage_done", "stage_begun", "step", "step")
    api.write(
        name_of(leader),
        *(to_json(read(line), {"event": event}) for line, event in zip(lines, events, strict=True)),
    )
    seen = begin(workload)
    seen.until(STEP.format(2))
    assert seen.words == [f"{RUN} is Running.", *BEFORE, STEP.format(2)]


def test_what_a_run_said_that_failed_at_once_is_read(api: ApiServer, begin: Callable[..., Watcher]) -> None:
    """It is over before the watch of its pods has told of one."""
    failed = recorded("job-exit-41")
    workload = failed["workload"]
    api.put({**workload, "status": {}}, namespace="ml")
    seen = begin(workload)
    seen.until(f"{RUN} is Waiting.")
    for pod in failed["pods"]:
        path = POD.path(namespace="ml", name=name_of(pod))
        with api.changed:
            api.objects[path] = {"apiVersion": "v1", "kind": "Pod", **pod}
        api.write(name_of(pod), f"error: s3://pages/ is empty, says {name_of(pod)}")
    api.put(workload, namespace="ml")
    leader = next(pod for pod in failed["pods"] if "-0-" in name_of(pod))
    assert f"error: s3://pages/ is empty, says {name_of(leader)}" in seen.end()


def test_a_reason_is_said_again_when_it_changes(api: ApiServer, begin: Callable[..., Watcher]) -> None:
    """A word of the cluster about the object is enough."""
    seen = begin(held(api, "job-quota"))
    seen.until(f"{RUN} is Waiting. Node 1 has no pod. See `kubectl describe job")
    for event in recorded("job-quota")["events"]:
        about = event["involvedObject"]
        event["involvedObject"] = about | {"uid": f"{about['kind']}-{about['name']}"}
        api.put({"apiVersion": "v1", "kind": "Event", **event}, namespace="ml")
    seen.until("Node 1 has no pod: the ResourceQuota team is used up")
    assert len(seen.words) == 2


def test_what_changes_without_a_word_is_seen_in_time(
    api: ApiServer, begin: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do machines, and rivals in other namespaces."""
    monkeypatch.setattr(watch, "_AGAIN", 0.1)
    kueue = "kueue.x-k8s.io/v1beta2"
    api.groups["kueue.x-k8s.io"] = kueue
    queue = {"metadata": {"name": "team"}, "spec": {"clusterQueue": "ml"}}
    api.put({"apiVersion": kueue, "kind": "LocalQueue", **queue}, namespace="ml")
    (rival,) = recorded("kueue-waiting")["rivals"]
    api.put({"apiVersion": kueue, "kind": "Workload", **rival}, namespace="other")
    seen = begin(held(api, "kueue-waiting"))
    seen.until("run receipts-55667788 holds 0.2")
    api.take(Kind(kueue, "Workload"), name_of(rival), namespace="other")
    seen.until("The queue team lacks 0.15 CPUs (flavor ml). ")
    assert len(seen.words) == 2


def test_a_stopped_run_is_looked_at_until_it_goes_on(api: ApiServer, begin: Callable[..., Watcher]) -> None:
    workload = held(api, "job-suspended")
    seen = begin(workload)
    seen.until(f"{RUN} is Stopped. It is stopped. `ocrfleet resume {RUN}`")
    api.put(recorded("job-running")["workload"], namespace="ml")
    for pod in recorded("job-running")["pods"]:
        put(api, pod)
    seen.until(f"{RUN} is Running.")


# -- what it survives --------------------------------------------------------------------------------------------------


def test_a_broken_watch_and_an_expired_one_lose_and_double_nothing(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    seen = begin(workload)
    seen.until(STEP.format(2))
    api.cut()
    api.write(name_of(leader), STEP.format(3))
    seen.until(STEP.format(3))
    api.forget()
    api.cut()
    api.write(name_of(leader), STEP.format(4))
    seen.until(STEP.format(4))
    api.end_logs()
    api.write(name_of(leader), STEP.format(5))
    seen.until(STEP.format(5))
    api.put(workload | {"status": DONE}, namespace="ml")
    put(api, leader, status={"phase": "Succeeded"})
    said = [word for word in seen.end() if word.startswith("[train 3%]")]
    assert said == [STEP.format(number) for number in (2, 3, 4, 5)]


def test_a_new_leader_is_read_from_its_start(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    seen = begin(workload)
    seen.until(STEP.format(2))
    api.take(POD, name_of(leader), namespace="ml")
    seen.until(f"{RUN} is Waiting. Node 0 has no pod.")
    api.written[name_of(leader)] = "[train skipped] already done\n"
    put(api, leader, metadata=leader["metadata"] | {"uid": "another", "creationTimestamp": "2027-01-01T00:00:00Z"})
    seen.until("[train skipped] already done")
    assert seen.words.count(f"{RUN} is Running.") == 2


def test_an_api_server_that_is_away_is_said_once_and_so_is_its_return(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_GRACE", 0.05)
    seen = begin(running[0])
    seen.until(STEP.format(2))
    api.next = [Answer(503, "starting")] * 1000
    api.cut()
    seen.until("The API server does not respond. The run continues")
    api.next = []
    seen.until("The API server responds again.")
    assert len([word for word in seen.words if "API server" in word]) == 2


def test_a_short_break_is_not_worth_a_word(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    seen = begin(workload)
    seen.until(STEP.format(2))
    api.next = [Answer(503, "starting")] * 3
    api.cut()
    api.write(name_of(leader), STEP.format(3))
    seen.until(STEP.format(3))
    assert [word for word in seen.words if "API server" in word] == []


def test_an_api_server_that_is_away_for_too_long_ends_it(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    seen = begin(running[0], patience=0.3)
    seen.until(STEP.format(2))
    api.next = [Answer(503, "starting")] * 1000
    api.cut()
    seen.end()
    assert isinstance(seen.error, TransientError)
    assert seen.error.exit_code == 75


def test_an_object_that_is_deleted_ends_it(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, _ = running
    seen = begin(workload)
    seen.until(f"{RUN} is Running.")
    api.take(kind_of(workload), name_of(workload), namespace="ml")
    seen.end()
    assert isinstance(seen.error, NotFoundError)
    assert f"{RUN} is gone" in str(seen.error)


def test_who_may_not_read_logs_still_sees_where_it_stands(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    api.refused.add(("get", "pods/log"))
    seen = begin(workload)
    seen.until("The logs of the run cannot be read. The cluster refuses the request: pods is forbidden")
    api.put(workload | {"status": DONE}, namespace="ml")
    put(api, leader, status={"phase": "Succeeded"})
    assert seen.end()[-1] == f"{RUN} is done: its model is published."


def test_events_and_queues_are_watched_by_those_who_may(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    api.groups["kueue.x-k8s.io"] = "kueue.x-k8s.io/v1beta2"
    api.kinds["kueue.x-k8s.io/v1beta2"] = ["Workload"]
    api.refused |= {("list", "events"), ("list", "workloads")}
    seen = begin(workload)
    seen.until(f"{RUN} is Running.")
    api.put(workload | {"status": DONE}, namespace="ml")
    put(api, leader, status={"phase": "Succeeded"})
    assert seen.end()[-1] == f"{RUN} is done: its model is published."
    assert seen.error is None


@pytest.mark.parametrize(
    ("phase", "code", "result"),
    [
        (Phase.SUCCEEDED, 0, 0),
        (Phase.SUCCEEDED, None, 0),
        (Phase.FAILED, 41, 41),
        (Phase.FAILED, None, 1),
        (Phase.SUPERSEDED, 46, 46),
        (Phase.STOPPED, None, 1),
    ],
)
def test_a_command_that_watches_ends_with_the_runs_exit_code(phase: Phase, code: int | None, result: int) -> None:
    assert watch.exit_code(Status(run=RUN, name="a", engine="job", phase=phase, exit_code=code)) == result


def test_what_no_engine_knows_is_refused(cluster: Cluster) -> None:
    with pytest.raises(SpecError, match="no engine that"):
        Watching(cluster, {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "x"}})
