"""`ocrfleet status`: every recorded state as a user reads it, in states/*.txt, and as data.

`python -m tests.unit.jobs.commands.test_status` writes the texts anew.
"""

import io
import json
import os
import pty
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from jobs import cli
from jobs.kube.fields import name_of
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.commands.test_follow import read
from tests.unit.jobs.runs.test_find import another
from tests.unit.jobs.states.read import FILES, NOW, recorded
from tests.unit.jobs.whole import put
from trainer.telemetry.lines import Line, to_json

RUN = "lines-1a2b3c4d"
WORDS = ("run", "object", "namespace", "engine", "phase", "final", "reason", "advice", "progress")
TIMES = ("created", "started", "finished")


class _Clock(datetime):
    """A clock that stands still after all states were recorded."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Any:
        return NOW.replace(hour=1)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.commands.status.datetime", _Clock)


def told(state: str, folder: Path, *words: str) -> str:
    api, out = ApiServer(), io.StringIO()
    put(api, state)
    with (
        api.serving(folder) as kubeconfig,
        mock.patch.dict(os.environ, KUBECONFIG=str(kubeconfig)),
        redirect_stdout(out),
    ):
        assert cli.main(["status", RUN, *words]) == 0
    return out.getvalue()


@pytest.mark.parametrize("state", FILES)
def test_a_state_reads_as_it_was_approved(state: str, tmp_path: Path) -> None:
    assert told(state, tmp_path) == FILES[state].with_suffix(".txt").read_text("utf-8")


def test_no_text_is_of_a_state_that_is_gone() -> None:
    assert {path.stem for path in next(iter(FILES.values())).parent.glob("*.txt")} == set(FILES)


def test_what_data_says_has_stable_names(tmp_path: Path) -> None:
    found = json.loads(told("kueue-running", tmp_path, "-o", "json"))
    assert set(found) == {"exitCode", "restarts", "queue", "nodes", *WORDS, *TIMES}
    assert set(found["queue"]) == {"name", "clusterQueue", "active", "admitted", "waitedSeconds", "evictions"}
    assert set(found["nodes"][0]) == (
        {"rank", "phase", "reason", "advice", "pod", "machine", "restarts", "exitCode", "started", "finished"}
    )
    assert (found["run"], found["object"], found["engine"], found["phase"]) == (RUN, f"{RUN}-9f0e", "job", "Running")
    assert found["queue"]["clusterQueue"] == "ml"
    assert [each["rank"] for each in found["nodes"]] == [0, 1]


def test_yaml_and_json_say_the_same_and_over_has_its_code(tmp_path: Path) -> None:
    data = json.loads(told("job-exit-41", tmp_path, "--output", "json"))
    assert data == yaml.safe_load(told("job-exit-41", tmp_path, "--output=yaml"))
    assert (data["exitCode"], data["final"], data["finished"]) == (41, True, "2026-11-23T00:03:06Z")
    assert "data check" in data["advice"]


def test_wide_names_the_pods(tmp_path: Path) -> None:
    wide = told("job-running", tmp_path, "-o", "wide").splitlines()
    assert wide[-3].split() == ["NODE", "PHASE", "MACHINE", "RESTARTS", "EXIT", "RAN", "POD"]
    assert wide[-2].endswith(f"{RUN}-9f0e-0-h6qlm")


def test_a_reason_of_other_nodes_than_the_runs_own_is_told_below(tmp_path: Path) -> None:
    """What one node waits for is the run's reason; what another one waits for is not lost."""
    api, out = ApiServer(), io.StringIO()
    put(api, "job-no-gpu")
    leader = next(
        each for path, each in api.objects.items() if "/pods/" in path and each["metadata"]["name"][20] == "0"
    )
    leader["spec"]["nodeName"] = "node1"
    leader["status"]["conditions"] = []
    leader["status"]["containerStatuses"] = [
        {"name": "trainer", "image": "x:1", "state": {"waiting": {"reason": "InvalidImageName", "message": "x"}}}
    ]
    with api.serving(tmp_path) as config, mock.patch.dict(os.environ, KUBECONFIG=str(config)), redirect_stdout(out):
        assert cli.main(["status", RUN]) == 0
    assert "Node 1 is not scheduled: no Kubernetes node has 4 free GPUs" in out.getvalue()
    assert out.getvalue().endswith(
        "Node 0: 'ocrfleet/trainer:0.1.0' is not the name of an image. Fix placement.image.\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("lines", "-n", "ml"),
        (RUN, "--namespace=ml"),
        (f"{RUN}-9f0e", "-n", "ml", "--context", "fake", "--timeout", "5s"),
    ],
)
def test_a_run_is_named_as_in_other_commands(
    words: tuple[str, ...], api: ApiServer, ocrfleet: Callable[..., Any]
) -> None:
    put(api, "job-running", namespace="ml")
    assert ocrfleet("status", *words).out.startswith(f"{RUN} is Running.\n")


def test_a_run_of_several_objects_is_told_by_its_newest(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    first = put(api, "job-exit-46", namespace="ml")
    another(api, first, f"{RUN}-0002", RUN, "2026-12-24T00:00:00Z")
    assert f"{RUN}-0002" in ocrfleet("status", "lines", "-n", "ml").out


@pytest.fixture
def leader(api: ApiServer) -> str:
    """The pod of the leader of a run that trains."""
    put(api, "job-running", namespace="ml")
    return next(name for pod in recorded("job-running")["pods"] if "-0-" in (name := name_of(pod)))


@pytest.mark.parametrize("form", ["text", "json"])
def test_how_far_a_running_run_is_comes_from_its_leaders_log(
    api: ApiServer, ocrfleet: Callable[..., Any], leader: str, form: str
) -> None:
    line = Line(stage="train", percent=19, message="step 18/96, 14 s left")
    written = str(line) if form == "text" else to_json(line, {"event": "step"})
    api.write(leader, "[train begun]", written, "UserWarning: of a library")
    assert "\nprogress    [train 19%] step 18/96, 14 s left\n" in ocrfleet("status", RUN, "-n", "ml").out
    found = json.loads(ocrfleet("status", RUN, "-n", "ml", "-o", "json").out)
    assert found["progress"] == {"stage": "train", "percent": 19, "message": "step 18/96, 14 s left"}


@pytest.mark.parametrize("why", ["it wrote nothing of itself", "it has no log", "it may not be read"])
def test_a_run_whose_leader_does_not_say_how_far_it_is(
    api: ApiServer, ocrfleet: Callable[..., Any], leader: str, why: str
) -> None:
    if why == "it wrote nothing of itself":
        api.write(leader, "[train begun]", *(f"line {number} of a library" for number in range(20)))
    elif why == "it may not be read":
        api.write(leader, "[train begun]")
        api.refused = {("get", "pods/log")}
    ran = ocrfleet("status", RUN, "-n", "ml")
    assert (ran.code, "progress" in ran.out) == (0, False)


def test_what_may_not_be_read_is_left_out(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    put(api, "job-no-gpu")
    api.refused = {("list", "nodes"), ("list", "events")}
    ran = ocrfleet("status", RUN)
    assert ran.code == 0
    assert "Nodes 0 and 1 are not scheduled" in ran.out
    api.refused = {("list", "pods")}
    ran = ocrfleet("status", RUN)
    assert (ran.code, ran.out) == (42, ""), "a run whose pods are hidden must not seem to have none"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("status", "lnes"), 40, "no run 'lnes'. Did you mean 'lines'"),
        (("status",), 2, "RUN"),
        (("status", RUN, "-o", "name"), 2, "invalid choice: 'name'"),
        (("status", RUN, "--context", "nowhere"), 40, "nowhere"),
    ],
)
def test_what_goes_wrong_is_said(
    words: tuple[str, ...], code: int, said: str, api: ApiServer, ocrfleet: Callable[..., Any]
) -> None:
    put(api, "job-running")
    ran = ocrfleet(*words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


if __name__ == "__main__":
    with mock.patch("jobs.commands.status.datetime", _Clock):
        for name in sys.argv[1:] or FILES:
            FILES[name].with_suffix(".txt").write_text(told(name, Path(tempfile.mkdtemp())), "utf-8")


CLIPBOARD = "\x1b]52;c;cm0gLXJmIC8=\x07"


def poisoned(part: Any) -> Any:
    """Return objects whose messages set a terminal's clipboard."""
    if isinstance(part, dict):
        return {
            key: value + CLIPBOARD if key in ("message", "reason") and isinstance(value, str) else poisoned(value)
            for key, value in part.items()
        }
    return [poisoned(each) for each in part] if isinstance(part, list) else part


@pytest.mark.parametrize("state", FILES)
def test_no_message_of_a_cluster_commands_the_terminal(
    state: str, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(api, state)
    api.objects = {path: poisoned(found) for path, found in api.objects.items()}
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w", encoding="utf-8") as stream, monkeypatch.context() as patch:
        for name in ("stdout", "stderr"):
            patch.setattr(sys, name, stream)
        assert cli.main(["status", RUN]) == 0
        assert cli.main(["events", RUN]) == 0
    shown = read(leader)
    assert RUN in shown
    assert not set("\x1b\x07") & set(shown)
