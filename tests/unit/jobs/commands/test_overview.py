"""`ocrfleet list`: the runs of a namespace or of all, in few calls, as wide as the terminal is."""

import fcntl
import gc
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from jobs.diagnosis.observe import observe
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.runs import find
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.commands.test_follow import read
from tests.unit.jobs.runs.test_find import another
from tests.unit.jobs.states.read import FILES, NOW, status
from tests.unit.jobs.states.read import recorded as recorded_state
from tests.unit.jobs.whole import put

RUN = "lines-1a2b3c4d"


@pytest.mark.parametrize("state", FILES)
def test_gathered_at_once_a_run_stands_as_it_does_alone(state: str, api: ApiServer, cluster: Cluster) -> None:
    """Only reasons are shorter: events, rivals and machines are not read for a list."""
    put(api, state)
    [found] = find.gather_all(cluster, now=NOW)
    told, alone = observe(found), status(recorded_state(state))
    assert (told.phase, told.exit_code) == (alone.phase, alone.exit_code)
    assert (told.queue, told.started, told.finished) == (alone.queue, alone.started, alone.finished)
    assert [(each.rank, each.phase, each.pod) for each in told.nodes] == [
        (each.rank, each.phase, each.pod) for each in alone.nodes
    ]


def test_a_hundred_runs_take_as_many_calls_as_one(api: ApiServer, cluster: Cluster) -> None:
    put(api, "trainjob-running")
    first = put(api, "kueue-running")

    def calls() -> int:
        before = len(api.asked)
        find.gather_all(cluster, now=NOW)
        return len(api.asked) - before

    calls()  # which finds out about Kueue's version, once
    few = calls()
    for number in range(100):
        another(api, first, f"lines-{number:08}-9f0e", f"lines-{number:08}", "2026-11-24T00:00:00Z")
    assert calls() == few


def test_runs_of_one_name_in_two_namespaces_have_their_own_pods(api: ApiServer, cluster: Cluster) -> None:
    put(api, "job-running", namespace="a")
    put(api, "job-exit-41", namespace="b")
    found = find.gather_all(cluster, now=NOW, everywhere=True)
    assert {each.workload["metadata"]["namespace"]: observe(each).phase.value for each in found} == {
        "a": "Running",
        "b": "Failed",
    }
    for each in found:
        assert {name_of(pod).partition("-9f0e")[0] for pod in each.pods} == {RUN}
        assert {pod["metadata"]["namespace"] for pod in each.pods} == {each.workload["metadata"]["namespace"]}


@pytest.fixture
def two(api: ApiServer) -> None:
    """A run that failed, and a newer one without a pod."""
    first = put(api, "job-exit-41", namespace="ml")
    made = {**first, "status": {}}
    another(api, made, "lines-00000002-0002", "lines-00000002", "2026-11-23T00:10:00Z")


@pytest.mark.usefixtures("two")
def test_the_newest_run_is_the_last_line(ocrfleet: Callable[..., Any]) -> None:
    heading, first, second = ocrfleet("list", "-n", "ml").out.splitlines()
    assert heading.split() == ["RUN", "ENGINE", "PHASE", "NODES", "AGE", "REASON"]
    assert first.split()[:4] == [RUN, "job", "Failed", "0/2"]
    assert first.endswith("Node 1 failed: the dataset is wrong (exit code 41).")
    assert second.split()[:4] == ["lines-00000002", "job", "Waiting", "0/2"]


@pytest.mark.usefixtures("two")
@pytest.mark.parametrize("words", [("-A",), ("--all-namespaces",), ("-A", "-n", "other")])
def test_all_namespaces_have_a_column(words: tuple[str, ...], ocrfleet: Callable[..., Any]) -> None:
    heading, first, _ = ocrfleet("list", *words).out.splitlines()
    assert (heading.split()[0], first.split()[0]) == ("NAMESPACE", "ml")


def test_wide_has_object_queue_start_restarts_and_code(api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    put(api, "kueue-running")
    heading, row = ocrfleet("list", "-o", "wide").out.splitlines()
    assert heading.split()[4:] == ["AGE", "OBJECT", "QUEUE", "STARTED", "RESTARTS", "EXIT", "REASON"]
    assert row.split()[5:7] == [f"{RUN}-9f0e", "team"]


@pytest.mark.usefixtures("two")
def test_data_is_a_status_a_run_and_names_are_for_xargs(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("list", "-n", "ml", "-o", "json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert found == yaml.safe_load(ocrfleet("list", "-n", "ml", "--output", "yaml").out)
    assert [(each["run"], each["namespace"], each["exitCode"]) for each in found] == [
        (RUN, "ml", 41),
        ("lines-00000002", "ml", None),
    ]
    ran = ocrfleet("list", "-n", "ml", "-o", "name")
    assert (ran.code, ran.out) == (0, f"{RUN}\nlines-00000002\n")


@pytest.mark.usefixtures("api")
def test_a_program_that_calls_a_command_keeps_its_garbage_collection(ocrfleet: Callable[..., Any]) -> None:
    """Connections are released by it: thousands stayed open in a process that had listed runs once."""
    before = gc.get_threshold()
    ocrfleet("list")
    assert gc.isenabled()
    assert gc.get_threshold() == before
    gc.disable()
    try:
        ocrfleet("list")
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("command", ["list", "top"])
@pytest.mark.parametrize(
    ("words", "out", "err"),
    [
        ((), "", "No runs in namespace default.\n"),
        (("-A",), "", "No runs in any namespace.\n"),
        (("-o", "json"), "[]\n", ""),
    ],
)
def test_no_runs_are_no_error(
    words: tuple[str, ...], out: str, err: str, command: str, ocrfleet: Callable[..., Any]
) -> None:
    ran = ocrfleet(command, *words)
    assert (ran.code, ran.out, ran.err) == (0, out, err)


@pytest.mark.parametrize("plural", ["pods", "jobs"])
def test_who_may_not_read_runs_or_pods_is_told(plural: str, api: ApiServer, ocrfleet: Callable[..., Any]) -> None:
    """Without its pods every run would seem to wait."""
    put(api, "job-running")
    api.refused = {("list", each) for each in (plural, "jobsets", "trainjobs", "paddlejobs")}
    ran = ocrfleet("list")
    assert (ran.code, ran.out) == (42, "")
    # Kinds are asked at the same time: whichever is refused first is named.
    assert ("pods is forbidden" in ran.err) == (plural == "pods")


def shown(columns: int, *words: str) -> list[str]:
    """Give the lines that a command writes on a terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    subprocess.run([sys.executable, "-m", "jobs.cli", *words], stdout=follower, check=True)
    os.close(follower)
    return read(leader).splitlines()


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (50, "RUN PHASE REASON"),
        (66, "RUN PHASE NODES REASON"),
        (76, "RUN PHASE NODES AGE REASON"),
        (90, "RUN ENGINE PHASE NODES AGE REASON"),
        (140, "RUN ENGINE PHASE NODES AGE REASON"),
        (400, "RUN ENGINE PHASE NODES AGE REASON"),
    ],
)
def test_on_a_terminal_the_reason_is_cut_to_its_width(columns: int, headings: str, api: ApiServer) -> None:
    """What matters least goes first, so that the reason can be read."""
    put(api, "job-never-pull")
    head, row = shown(columns, "list")
    assert head.split() == headings.split()
    cut, whole = "…", "chart.imagePullPolicy is Never."
    assert row.endswith(whole if columns == 400 else cut)
    assert len(row) == columns or columns == 400


@pytest.mark.parametrize(
    ("columns", "headings"),
    [(50, "RUN PHASE DEVICE-HOURS IDLE"), (60, "RUN PHASE DEVICE-HOURS IDLE QUEUED"), (80, "RUN PHASE DEVICES …")],
)
def test_on_a_narrow_terminal_costs_come_first(columns: int, headings: str, api: ApiServer) -> None:
    put(api, "job-never-pull")
    head, row = shown(columns, "top")
    assert head.split() == headings.replace("…", "DEVICE-HOURS IDLE QUEUED").split()
    assert len(row) <= columns


@pytest.mark.parametrize(
    ("state", "seconds", "words"),
    [("job-exit-41", 1, "1s"), ("kueue-stopped", None, "?"), ("job-suspended", None, "?")],
)
def test_top_shows_how_long_a_run_was_queued_where_that_is_known(
    state: str, seconds: int | None, words: str, api: ApiServer, ocrfleet: Callable[..., Any]
) -> None:
    put(api, state)
    (found,) = json.loads(ocrfleet("top", "-o", "json").out)
    assert found["queuedSeconds"] == seconds
    assert ocrfleet("top").out.split()[-1] == words


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (20, ["{}", "continues from its", "checkpoint."]),
        (60, ["{} continues from its", "checkpoint."]),
        (80, ["{} continues from its checkpoint."]),
    ],
)
def test_on_a_terminal_the_words_and_commands_of_a_status_stay_whole(
    columns: int, lines: list[str], api: ApiServer
) -> None:
    """A command is there to be copied, even where it is wider than all."""
    put(api, "job-suspended")
    said = shown(columns, "status", "lines")
    command = "`ocrfleet resume lines-1a2b3c4d`"
    assert said[said.index("It is stopped.") + 1 : said.index("")] == [line.format(command) for line in lines]
