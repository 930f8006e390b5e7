"""`ocrfleet shell`: a command's streams and its exit code, over a real WebSocket."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from jobs import cli
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded

RUN = "lines-1a2b3c4d"


@pytest.fixture(autouse=True)
def running(api: ApiServer) -> None:
    """A run of two nodes."""
    held(api, "job-running")
    for pod in recorded("job-running")["pods"]:
        pod["status"]["phase"] = "Running"
        api.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="ml")


def shell(*words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "jobs.cli", "shell", RUN, "-n", "ml", *words]
    return subprocess.run(command, input=given, capture_output=True, timeout=60, env=os.environ)


def test_streams_go_through_as_they_are_and_the_exit_code_is_the_commands() -> None:
    """A megabyte of every byte, there and back; the end of the input ends the command."""
    data = bytes(range(256)) * 4096
    ran = shell("--", "sh", "-c", "cat; echo said >&2; exit 7", given=data)
    assert ran.returncode == 7, ran.stderr
    assert ran.stdout == data
    assert ran.stderr == b"said\n"


def test_without_a_command_the_input_is_a_shells() -> None:
    ran = shell(given=b"echo $((40+2))\n")
    assert (ran.returncode, ran.stdout) == (0, b"42\n")


def test_a_command_that_is_not_there() -> None:
    ran = shell("--", "not-there")
    assert ran.returncode == 1
    assert ran.stderr.startswith(b"error: The command cannot run in the pod: ")


@pytest.mark.parametrize("words", [(), ("--node", "1")])
def test_the_container_of_the_node_is_asked_for(words: tuple[str, ...], api: ApiServer) -> None:
    assert shell(*words, "--", "true").returncode == 0
    _, path, query, _ = api.asked[-1]
    assert path.split("/")[-2].startswith(f"{RUN}-9f0e-{words[1] if words else 0}-")
    assert {key: query[key] for key in ("container", "tty", "stdin", "stderr")} == {
        "container": "trainer", "tty": "false", "stdin": "true", "stderr": "true",
    }  # fmt: skip


def test_a_node_without_a_pod_that_runs(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("shell", RUN, "-n", "ml", "--node", "2")
    assert (ran.code, f"`ocrfleet logs {RUN} --node 2`" in ran.err) == (40, True)


def test_who_may_not_is_told_so(api: ApiServer, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    api.refused.add(("get", "pods/exec"))
    ran = ocrfleet("shell", RUN, "-n", "ml", "--", "true")
    assert (ran.code, "The cluster refuses the request: pods is forbidden" in ran.err) == (42, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([RUN], (0, [])),
        ([RUN, "--node", "1"], (1, [])),
        ([RUN, "--", "ls"], (0, ["ls"])),
        (["--node", "2", RUN, "--", "ls", "-n", "--"], (2, ["ls", "-n", "--"])),
        ([RUN, "--node", "2", "--", "--node", "3"], (2, ["--node", "3"])),
    ],
)
def test_words_behind_the_dashes_are_the_commands(words: list[str], expected: tuple[int, list[str]]) -> None:
    parsed = cli.build_parser().parse_args(["shell", *words])
    assert (parsed.node, parsed.words) == expected
