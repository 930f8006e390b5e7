"""`ocrfleet watch` and `submit --watch`: what they show, what they survive, and how they end."""

import copy
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import podlogs, watching
from jobs.cluster import Cluster
from jobs.commands import watch
from jobs.engines.reading import name_of
from jobs.kinds import POD, Kind, kind_of
from jobs.runfile import ANNOTATION
from jobs.status import Status
from jobs.watching import Notice, Said, Watching
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.states.read import recorded
from tests.unit.jobs.test_fleet import held
from tests.unit.jobs.test_submit import JOB
from trainer.errors import NotFoundError, OcrfleetError, SpecError, TransientError

RUN = "lines-1a2b3c4d"
STEP = "train: epoch 1/8, step {}/32, loss 61.43, 8.72 samples/s, 14 s left"
DONE = {"conditions": [{"type": "Complete", "status": "True"}]}
Object = dict[str, Any]
Ocrfleet = Callable[..., Any]


class Watcher:
    """Takes what is seen of a run, as words; `until` waits for one."""

    def __init__(self, seen: Iterator[Status | Said | Notice], workload: Object) -> None:
        self.words: list[str] = []
        self.error: OcrfleetError | None = None
        self._came = threading.Condition()
        self._thread = threading.Thread(target=self._take, args=(seen, workload), daemon=True)
        self._thread.start()

    def _take(self, seen: Iterator[Status | Said | Notice], workload: Object) -> None:
        try:
            for each in seen:
                with self._came:
                    self.words.append(watching.sentence(each, workload) if isinstance(each, Status) else each.text)
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


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for a test."""
    monkeypatch.setattr(watching, "_BETWEEN", 0.02)
    monkeypatch.setattr(podlogs, "_PAUSE", 0.02)


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
    api.write(name_of(leader), "fetch ...", "fetch done in 0.1 s", "train ...", STEP.format(1), STEP.format(2))
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
        api.write(name_of(pod), f"train ... of {name_of(pod)}")
        put(api, pod)
    seen.until(f"{RUN} is Running.")
    leader = next(pod for pod in pods if "-0-" in name_of(pod))
    seen.until(f"train ... of {name_of(leader)}")
    api.write(name_of(leader), STEP.format(1), STEP.format(2))
    seen.until(STEP.format(2))
    api.write(name_of(leader), "publish done in 0.1 s")
    api.put(workload | {"status": DONE}, namespace="ml")
    for pod in pods:
        put(api, pod, status={"phase": "Succeeded"})
    assert seen.end()[-6:] == [
        f"{RUN} is Running.",
        f"train ... of {name_of(leader)}",
        STEP.format(1),
        STEP.format(2),
        "publish done in 0.1 s",
        f"{RUN} is done: its model is published. `ocrfleet models show s3://models/lines/#{RUN}` shows it.",
    ]
    assert len(seen.words) == len(set(seen.words))


def test_of_what_was_said_before_only_the_last_progress_is_shown(
    running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    seen = begin(running[0])
    seen.until(STEP.format(2))
    assert seen.words == [f"{RUN} is Running.", "fetch ...", "fetch done in 0.1 s", "train ...", STEP.format(2)]


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
    monkeypatch.setattr(watching, "_AGAIN", 0.1)
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
    said = [word for word in seen.end() if word.startswith("train:")]
    assert said == [STEP.format(number) for number in (2, 3, 4, 5)]


def test_a_new_leader_is_read_from_its_start(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher]
) -> None:
    workload, leader = running
    seen = begin(workload)
    seen.until(STEP.format(2))
    api.take(POD, name_of(leader), namespace="ml")
    seen.until(f"{RUN} is Waiting. Node 0 has no pod.")
    api.written[name_of(leader)] = "train skipped: done before\n"
    put(api, leader, metadata=leader["metadata"] | {"uid": "another", "creationTimestamp": "2027-01-01T00:00:00Z"})
    seen.until("train skipped: done before")
    assert seen.words.count(f"{RUN} is Running.") == 2


def test_an_api_server_that_is_away_is_said_once_and_so_is_its_return(
    api: ApiServer, running: tuple[Object, Object], begin: Callable[..., Watcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_GRACE", 0.05)
    seen = begin(running[0])
    seen.until(STEP.format(2))
    api.next = [Answer(503, "starting")] * 1000
    api.cut()
    seen.until("The API server does not answer. The run goes on")
    api.next = []
    seen.until("The API server answers again.")
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
    api.refused.add(("get", "pods"))
    seen = begin(workload)
    seen.until("What the run says stays unread. The cluster refuses that: pods is forbidden")
    api.put(workload | {"status": DONE}, namespace="ml")
    put(api, leader, status={"phase": "Succeeded"})
    assert seen.end()[-1] == f"{RUN} is done: its model is published."


def test_what_no_engine_knows_is_refused(cluster: Cluster) -> None:
    with pytest.raises(SpecError, match="none of the engines"):
        Watching(cluster, {"apiVersion": "x/v1", "kind": "Thing", "metadata": {"name": "x"}})


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("job-complete", 0, "is done: its model is published."),
        ("jobset-complete", 0, "is done: its model is published."),
        ("trainjob-complete", 0, "is done: its model is published."),
        ("paddlejob-succeeded", 0, "is done: its model is published."),
        ("job-exit-41", 41, "the dataset is wrong (exit code 41). Run `ocrfleet data check`"),
        ("jobset-exit-42", 42, "access to the bucket was refused (exit code 42). Mend the credentials"),
        ("trainjob-exit-43", 43, "the model did not pass its gate (exit code 43). Look at `ocrfleet logs"),
        ("paddlejob-exit-44", 44, "the loss became NaN or infinite (exit code 44). Lower the learning rate"),
        (
            "job-exit-46",
            46,
            f"is Superseded. A newer object of the same run took over. `ocrfleet watch {RUN}` looks at that.",
        ),
        ("job-backoff", 75, "failed for longer than the retries last (exit code 75)."),
        ("job-memory", 137, "its memory was used up. Raise placement.resources.limits.memory"),
        ("job-deadline", 1, "is Failed. It ran longer than placement.deadlines.run allows. Raise that"),
        ("paddlejob-deadline", 1, "it ran longer than placement.deadlines.run allows. Rais"),
    ],
)
def test_it_ends_as_the_run_has(state: str, code: int, words: str, api: ApiServer, ocrfleet: Ocrfleet) -> None:
    """One sentence says what became of it; its log is for `ocrfleet logs`."""
    held(api, state)
    ran = ocrfleet("watch", RUN, "-n", "ml")
    assert (ran.code, ran.err, ran.out.count("\n")) == (code, "", 1)
    assert words in ran.out


@pytest.mark.parametrize("word", ["--timeout", "--timeout="])
def test_timeout_leaves_the_run_alone(
    word: str, running: tuple[Object, Object], api: ApiServer, ocrfleet: Ocrfleet
) -> None:
    words = ["--timeout", "1s"] if word == "--timeout" else ["--timeout=1s"]
    ran = ocrfleet("watch", "lines", "-n", "ml", *words)
    assert ran.code == 75
    assert ran.out.splitlines() == [
        f"{RUN} is Running.", "fetch ...", "fetch done in 0.1 s", "train ...", STEP.format(2)
    ]  # fmt: skip
    assert ran.err.startswith(f"error: {RUN} is not over after 1 s, and goes on.")
    assert {verb for verb, *_ in api.asked} == {"GET"}


def test_a_run_that_is_not_there(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet("watch", "lines", "--namespace", "ml")
    assert (ran.code, ran.out) == (40, "")
    assert "has no run 'lines'" in ran.err


def test_ctrl_c_leaves_the_run_alone(running: tuple[Object, Object], api: ApiServer) -> None:
    words = [sys.executable, "-m", "jobs.cli", "watch", RUN, "-n", "ml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        while "step 2/32" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said == f"{RUN} goes on. `ocrfleet watch {RUN}` looks at it again, `ocrfleet stop {RUN}` stops it.\n"
    assert {verb for verb, *_ in api.asked} == {"GET"}


# -- submit --watch ----------------------------------------------------------------------------------------------------


@pytest.fixture
def submitted(tmp_path: Path, api: ApiServer) -> Path:
    """A job file, and a server with the kinds of its objects."""
    api.kinds["v1"].append("ServiceAccount")
    api.kinds["networking.k8s.io/v1"] = ["NetworkPolicy"]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB), "utf-8")
    return path


def end_when_made(api: ApiServer, status: Object) -> threading.Thread:
    """Be the controller of the first Job that is made."""

    def end() -> None:
        with api.changed:
            assert api.changed.wait_for(lambda: any("/jobs/" in path for path in api.objects), 30)
            (made,) = (each for path, each in api.objects.items() if "/jobs/" in path)
            api.put(made | {"status": status})

    thread = threading.Thread(target=end, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("status", "code", "last"),
    [
        (DONE, 0, "is done: its model is published. `ocrfleet models show s3://models/slips-rec/#slips-rec-"),
        (
            {"conditions": [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}]},
            1,
            "is Failed. It ran longer than placement.deadlines.run allows.",
        ),
    ],
    ids=["done", "failed"],
)
def test_submit_can_stay_until_its_run_is_over(
    status: Object, code: int, last: str, submitted: Path, api: ApiServer, ocrfleet: Ocrfleet
) -> None:
    """Stdout has the run's id alone, as ever; the exit code is the run's own."""
    controller = end_when_made(api, status)
    ran = ocrfleet("submit", submitted, "--watch")
    controller.join()
    (name,) = (path.rpartition("/")[2] for path in api.objects if "/jobs/" in path)
    assert (ran.code, ran.out) == (code, f"{name.rpartition('-')[0]}\n")
    assert last in ran.err.splitlines()[-1]


@pytest.mark.parametrize("how", ["client", "server"])
def test_a_dry_run_has_nothing_to_watch(how: str, submitted: Path, api: ApiServer, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet("submit", submitted, "--watch", f"--dry-run={how}")
    assert (ran.code, ran.out, api.asked) == (2, "", [])
    assert "--watch and --dry-run don't go together" in ran.err


# -- on a terminal -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "standing"),
    [
        (60, "  6% train: epoch 1/8, step 2/32, loss 61.43, 14 s left"),
        (80, "  6% train: epoch 1/8, step 2/32, loss 61.43, 8.72 samples/s, 14 s left"),
        (0, "  6% train: epoch 1/8, step 2/32, loss 61.43, 8.72 samples/s, 14 s left"),
    ],
)
def test_on_a_terminal_progress_stays_in_one_line(columns: int, standing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other lines stand above it; what its stage says next takes its place."""
    monkeypatch.setenv("TERM", "xterm")
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        screen = watch.Screen(stream)
        screen.said("train ...")
        screen.said(STEP.format(1))
        screen.said(STEP.format(2))
        screen.line("lines is Waiting.")
        screen.said("train done in 14 s")
        screen.close()
        shown = os.read(leader, 10_000).decode()
    os.close(leader)
    first, rest = shown.split("\r\n", 1)
    assert first == "train ..."
    clear = "\r\033[K"
    assert rest == (
        f"{clear}{standing.replace('6%', '3%').replace('2/32', '1/32')}{clear}{standing}"
        f"{clear}lines is Waiting.\r\n{standing}{clear}train done in 14 s\r\n"
    )


@pytest.mark.parametrize("terminal", ["dumb", "pipe"])
def test_where_no_line_can_be_written_over_each_has_its_own(terminal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb" if terminal == "dumb" else "xterm")
    leader, follower = pty.openpty() if terminal == "dumb" else os.pipe()
    with os.fdopen(follower, "w", encoding="utf-8") as stream:
        screen = watch.Screen(stream)
        screen.said(STEP.format(1))
        screen.said(STEP.format(2))
        screen.close()
        shown = os.read(leader, 10_000).decode()
    os.close(leader)
    assert shown.split() == f"{STEP.format(1)} {STEP.format(2)}".split()
    assert "\033" not in shown
