"""The commands with which a user has a run in hand, as a user has them: logs, shell, stop, resume, delete, prune."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import yaml

from examples.local_s3 import Server
from tests.cluster import lines
from tests.cluster.controllers import KINDS, SERVES, kueue, need_engine
from tests.cluster.kube import Namespace
from tests.cluster.lines import Bucket, Release
from tests.cluster.machine.addons import KUEUE
from tests.cluster.manifests import container, pod_spec

pytestmark = pytest.mark.builds(KUEUE)

EPOCHS = 1000
"""More than any test lets it do."""


class Commands:
    """The program, in a process of its own, for a namespace."""

    def __init__(self, namespace: Namespace, server: Server) -> None:
        self.where = ("-n", namespace.name)
        self.environ = {**os.environ, **server.environment, "KUBECONFIG": namespace.cluster.kubeconfig}

    def words(self, command: str, *words: str | Path) -> list[str]:
        """Give its command line."""
        return [sys.executable, "-m", "jobs.cli", command, *self.where, *map(str, words)]

    def __call__(
        self, command: str, *words: str | Path, given: str = "", code: int = 0, deadline: float = 300
    ) -> tuple[str, str]:
        """Run a command that ends with this code, and give what it wrote to stdout and stderr."""
        ran = subprocess.run(
            self.words(command, *words), env=self.environ, input=given, capture_output=True, text=True, timeout=deadline
        )
        assert ran.returncode == code, (ran.stdout, ran.stderr)
        return ran.stdout, ran.stderr

    @contextmanager
    def beside(self, command: str, *words: str | Path) -> Iterator[IO[str]]:
        """Run a command beside the test, and give what it writes to stdout."""
        started = subprocess.Popen(self.words(command, *words), env=self.environ, stdout=subprocess.PIPE, text=True)
        assert started.stdout
        try:
            yield started.stdout
            assert started.wait(120) == 0
        finally:
            started.kill()
            started.wait()
            started.stdout.close()


def until(stream: IO[str], pattern: str) -> list[str]:
    """Read lines until one fits; the test's own deadline ends the wait."""
    seen = []
    for line in stream:
        seen.append(line.rstrip("\n"))
        if re.search(pattern, line):
            return seen
    raise AssertionError(f"No line fits {pattern!r}: {seen}")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", sorted(KINDS))
def test_a_run_is_looked_into_stopped_resumed_and_deleted(
    engine: str, namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """Two nodes. Its logs outlive its pods, and its object."""
    need_engine(namespace.cluster, engine)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    content = lines.job(bucket, image=tinytrainer, engine=engine, nodes=2, epochs=EPOCHS)
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(content)
    kind, version = KINDS[engine]
    (name,) = release.objects(kind, version=version)
    run, ocrfleet = lines.run_of(name), Commands(namespace, s3_outside)

    with ocrfleet.beside("logs", lines.NAME, "--follow") as followed:
        assert all(re.match(r"\[node [01]\] ", line) for line in until(followed, r"\[train\] checkpoint at step"))

        out, _ = ocrfleet("shell", run, "--node", "1", "--", "sh", "-c", "cat; echo $OCRFLEET_NODE_RANK", given="in\n")
        assert out == "in\n1\n"
        ocrfleet("shell", run, "--", "sh", "-c", "exit 7", code=7)
        assert "not-there" in ocrfleet("shell", run, "--", "not-there", code=1)[1]
        assert typed_into_a_shell(ocrfleet, run, "echo $((40+2)); tty; exit\r") >= {"42", "/dev/pts/0"}

        assert f"`ocrfleet stop {run}`" in ocrfleet("delete", run, code=2)[1]
        assert "Nothing to delete" in ocrfleet("prune", lines.NAME, "--done", "--keep", "0")[1]

        out, told = ocrfleet("stop", lines.NAME, "--wait", "--timeout", "4m")
        assert out == f"{run}\n"
        assert f"`ocrfleet resume {run}`" in told
        # It ends by itself when the run rests.
        said = followed.read()
        assert "checkpoint at step" in said, said
        assert "Stopped" in said, said
    assert not [pod for pod in namespace.pods() if pod["status"]["phase"] == "Running"]
    assert "already" in ocrfleet("stop", run)[1]
    step = bucket.newest(run)

    out, told = ocrfleet("logs", run)
    assert "attempt 1 of 1" in told
    assert {line[:8] for line in out.splitlines() if line.startswith("[")} == {"[node 0]", "[node 1]"}
    assert ocrfleet("logs", run, "--rank", "1", "--attempt", "1", "--tail", "1")[0]
    assert "Available: attempts 1, nodes 0, 1, ranks 0, 1" in ocrfleet("logs", run, "--rank", "9", code=40)[1]

    assert f"`ocrfleet watch {run}`" in ocrfleet("resume", run, "--wait", "--timeout", "2m")[1]
    with ocrfleet.beside("logs", run, "-f", "--node", "0") as followed:
        resumed = until(followed, r"resum|goes on|checkpoint at step")
        assert not resumed[0].startswith("[")
        assert bucket.newest(run) >= step
        out, _ = ocrfleet("delete", run, "--yes", "--wait")
        assert out == f"{kind.lower()}/{name} deleted\n"
        followed.read()
    assert not namespace.pods(f"ocrfleet.io/name={lines.NAME}")

    assert "has no run" in ocrfleet("logs", run, code=40)[1]
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(content), "utf-8")
    assert "attempt 2 of 2" in ocrfleet("logs", file)[1]
    assert "attempt 1 of 2" in ocrfleet("logs", run, "--from", content["run"]["output"], "--attempt", "1")[1]


def typed_into_a_shell(ocrfleet: Commands, run: str, keys: str) -> set[str]:
    """Give the lines that a terminal shows when somebody types there."""
    here, there = pty.openpty()
    started = subprocess.Popen(
        ocrfleet.words("shell", run), env=ocrfleet.environ, stdin=there, stdout=there, stderr=there
    )
    os.close(there)
    seen, typed = b"", False
    try:
        while block := os.read(here, 1 << 16):
            seen += block
            if not typed and b"$ " in seen:  # it is ready to read
                os.write(here, keys.encode())
                typed = True
    except OSError:  # how a terminal says that nobody is there any more
        pass
    finally:
        os.close(here)
    assert started.wait(60) == 0, seen
    return {line.strip() for line in seen.decode().splitlines()}


@pytest.fixture
def queue(namespace: Namespace) -> Iterator[str]:
    """A queue of Kueue with room for one node."""
    with kueue(namespace, "cpu", "100m") as name:
        yield name


@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", sorted(KINDS))
def test_under_kueue_stop_deactivates_the_workload_and_resume_brings_it_back(
    engine: str, queue: str, namespace: Namespace, tiny: str, s3_outside: Server, tmp_path: Path
) -> None:
    """What it leaves is another's at once, and resume waits until that is done. Its image need not exist for that."""
    need_engine(namespace.cluster, engine)
    bucket = Bucket(server=s3_outside, name=namespace.name)
    content = lines.job(bucket, image="none", engine=engine, queue=queue, resources={"requests": {"cpu": "100m"}})
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(content)
    ocrfleet = Commands(namespace, s3_outside)
    namespace.wait_pods(bool, labels=f"ocrfleet.io/name={lines.NAME}", deadline=120)

    def active() -> list[bool]:
        found = namespace.cluster.find("Workload", namespace=namespace.name, version=KUEUE.version)
        return sorted(each["spec"]["active"] for each in found)

    assert active() == [True]
    assert "gives its quota back" in ocrfleet("stop", lines.NAME, "--wait", "--timeout", "2m")[1]
    assert active() == [False]
    assert not namespace.pods(f"ocrfleet.io/name={lines.NAME}")

    pod = pod_spec(container(tiny, *SERVES, resources={"requests": {"cpu": "100m"}}))
    metadata = {"name": "other", "labels": {"kueue.x-k8s.io/queue-name": queue}}
    namespace.apply(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": {"spec": pod}}}
    )
    namespace.wait_pods(bool, labels="batch.kubernetes.io/job-name=other", deadline=120)
    assert "back in its queue" in ocrfleet("resume", lines.NAME, "--wait", "--timeout", "5s", code=75)[1]
    assert active() == [True, True]
    namespace.delete("Job", "other")
    assert "is not stopped" in ocrfleet("resume", lines.NAME, "--wait", "--timeout", "2m")[1]
    namespace.wait_pods(bool, labels=f"ocrfleet.io/name={lines.NAME}", deadline=120)
    (run,) = release.objects(KINDS[engine][0], version=KINDS[engine][1])
    assert ocrfleet("delete", run, "--wait", "--timeout", "2m")[0] == f"{KINDS[engine][0].lower()}/{run} deleted\n"
    assert not namespace.pods(f"ocrfleet.io/name={lines.NAME}")


@pytest.mark.timeout(900)
def test_logs_go_on_with_the_pod_that_takes_the_place_of_a_lost_one(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """What the workers said in the attempt that ended with it is in the bucket, too."""
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(lines.job(bucket, image=tinytrainer, nodes=2, epochs=EPOCHS))
    (name,) = release.objects()
    pods = namespace.wait_pods(lines.running(name, 2), deadline=240)
    ocrfleet = Commands(namespace, s3_outside)
    with ocrfleet.beside("logs", lines.NAME, "-f") as followed:
        until(followed, r"\[node 0\] \[train\] checkpoint at step")
        namespace.delete("Pod", pods["1"]["metadata"]["name"], grace=0)
        until(followed, r"\[node 0\] .*All nodes start again")
        until(followed, r"\[node 1\] \[train( \d+%)?\] (step|checkpoint)")
        ocrfleet("stop", lines.NAME, "--wait", "--timeout", "4m")
        followed.read()
    assert "attempt 2 of 2" in ocrfleet("logs", lines.NAME)[1]
    first, second = (ocrfleet("logs", lines.NAME, "--rank", "0", "--attempt", number)[0] for number in "12")
    assert first
    assert first != second
