"""How a node begins."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from trainer import __main__ as node
from trainer import contract
from trainer.contract import ExitCode
from trainer.errors import StoppedError
from trainer.run.workdir import WorkDir
from trainer.telemetry import lines


def test_a_pods_run_file_comes_into_the_work_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kubernetes mounts it read-only elsewhere; a run keeps it with its other files."""
    mounted = tmp_path / "mounted.yaml"
    mounted.write_text("apiVersion: ocrfleet.io/v1\nname: receipts\nrun: {task: det}\n", "utf-8")
    monkeypatch.setenv(contract.ENV_RUN_FILE, str(mounted))
    monkeypatch.setenv(contract.ENV_CONTRACT, str(contract.CONTRACT))
    monkeypatch.setenv(contract.ENV_RUN_ID, "receipts-00000001")
    monkeypatch.setattr("sys.argv", ["trainer", "--workdir", str(tmp_path / "work")])
    assert node.main() == ExitCode.SPEC  # it has no output, which only who has read it can know
    assert (tmp_path / "work" / "run.yaml").read_bytes() == mounted.read_bytes()


@pytest.fixture
def last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which Kubernetes looks for why a container ended, as the kubelet makes it."""
    file = tmp_path / "termination-log"
    file.write_text("")
    monkeypatch.setattr(contract, "TERMINATION_LOG", str(file))
    monkeypatch.setenv(contract.ENV_CONTRACT, str(contract.CONTRACT))
    monkeypatch.setattr("sys.argv", ["trainer", "--workdir", str(tmp_path / "work")])
    return file


@pytest.mark.parametrize("form", ["text", "json"])
def test_why_a_node_failed_is_the_last_line_of_its_log_and_what_kubernetes_keeps(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], form: str
) -> None:
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, form)
    monkeypatch.setenv(contract.ENV_CONTRACT, "0")
    assert node.main() == ExitCode.SPEC
    line = lines.read(capfd.readouterr().err.splitlines()[-1])
    assert line.message.startswith("error: This trainer is ocrfleet")
    assert last_words.read_text() == line.message


def test_last_words_are_cut_to_what_the_kubelet_takes(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Else it would keep the end alone, and with it no beginning of a sentence."""
    last_words.write_text("x" * 9000)
    monkeypatch.setenv(contract.ENV_CONTRACT, "é" * 9000)
    assert node.main() == ExitCode.SPEC
    said = last_words.read_bytes()
    assert len(said) <= contract.LAST_WORDS
    assert said.decode(errors="ignore").startswith("error: This trainer is ocrfleet")


def test_a_fault_is_told_with_its_traceback_and_kept_in_a_line(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise KeyError("of nobody")

    monkeypatch.setattr(node, "_refuse_another_contract", fail)
    assert node.main() == ExitCode.FAILED
    said = capfd.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert said.endswith("error: KeyError: 'of nobody'\n")
    assert last_words.read_text() == "error: KeyError: 'of nobody'"


def test_an_unknown_format_of_the_log_is_refused_in_words(
    last_words: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, "xml")
    assert node.main() == ExitCode.SPEC
    assert capfd.readouterr().err == "error: OCRFLEET_LOG_FORMAT is 'xml'. Set it to text or json.\n"


def test_outside_of_kubernetes_no_last_words_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last_words: Path
) -> None:
    last_words.unlink()
    monkeypatch.setenv(contract.ENV_LOG_FORMAT, "xml")
    assert node.main() == ExitCode.SPEC
    assert not last_words.exists()


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the handlers of before back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Workers:
    """A node whose workers stop in order, where it has any."""

    def __init__(self, *, there: bool) -> None:
        self.supervisor: Any = self
        self.there = there
        self.stopped = 0

    def stop(self) -> bool:
        self.stopped += 1
        return self.there


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_workers_in_order_and_everything_else_at_once(number: signal.Signals) -> None:
    busy, idle = Workers(there=True), Workers(there=False)
    node._obey_signals(busy)  # type: ignore[arg-type]
    signal.raise_signal(number)
    node._obey_signals(idle)  # type: ignore[arg-type]
    with pytest.raises(StoppedError, match=rf"^Stopped by {number.name}\. Run it again to resume\.$"):
        signal.raise_signal(number)
    assert (busy.stopped, idle.stopped) == (1, 1)


def lines_of(folder: Path) -> Path:
    """A job file for one short line."""
    assert cv2.imwrite(str(folder / "a.png"), np.full((32, 100, 3), 255, np.uint8))
    (folder / "rec_gt.txt").write_text("a.png\tA\n", "utf-8")
    run = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": folder.as_uri()}}
    job = {"apiVersion": contract.API_VERSION, "name": "lines", "run": {**run, "output": (folder / "out").as_uri()}}
    (folder / "run.yaml").write_text(yaml.safe_dump(job), "utf-8")
    return folder / "run.yaml"


@pytest.mark.timeout(120)  # Python starts
def test_a_node_that_does_one_stage_leaves_its_log_and_metrics(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {
        contract.ENV_CONTRACT: str(contract.CONTRACT),
        contract.ENV_RUN_ID: "lines-00000001",
        contract.ENV_RUN_FILE: str(lines_of(tmp_path)),
        contract.ENV_METRICS_PORT: str(port),
    }
    work = WorkDir(tmp_path / "work")
    ran = subprocess.run(
        [sys.executable, "-m", "trainer", "--workdir", str(work.root), "--stage", "fetch"],
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    assert f"Metrics are at http://127.0.0.1:{port}/metrics." in ran.stderr
    assert (work.train_data / "rec_gt.txt").exists()
    assert not work.prepared.exists()
    assert " INFO trainer" in work.node_log.read_text("utf-8")
    assert b'run="lines-00000001"' in work.metrics_snapshot.read_bytes()


@pytest.mark.timeout(120)  # Python starts
def test_why_a_node_failed_is_in_its_log_in_the_bucket_too(tmp_path: Path) -> None:
    """A user's error without a traceback: it tells nothing about a dataset."""
    file = lines_of(tmp_path)
    (tmp_path / "rec_gt.txt").write_text("../a.png\tA\n", "utf-8")
    given = {contract.ENV_CONTRACT: str(contract.CONTRACT), contract.ENV_RUN_ID: "lines-00000001"}
    given |= {contract.ENV_RUN_FILE: str(file), contract.ENV_WORKDIR: str(tmp_path / "work")}
    ran = subprocess.run(
        [sys.executable, "-m", "trainer"], env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == ExitCode.DATASET, ran.stderr
    (log,) = (tmp_path / "out" / "checkpoints" / "lines-00000001" / "logs").glob("*/node-0.log")
    said = log.read_text("utf-8")
    assert " ERROR trainer: " in said
    assert ran.stderr.splitlines()[-1].removeprefix("error: ") in said
    assert "Traceback" not in said


CRASHING = """
import os, runpy, signal, sys
from trainer.node import access
access.prove = lambda path: os.kill(os.getpid(), signal.SIGSEGV)
sys.argv = ["trainer", "--prove-access"]
runpy.run_module("trainer", run_name="__main__", alter_sys=True)
"""


def test_a_node_that_crashes_says_where() -> None:
    given = {contract.ENV_CONTRACT: str(contract.CONTRACT), contract.ENV_RUN_FILE: "run.yaml"}
    ran = subprocess.run(
        [sys.executable, "-c", CRASHING], env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert ran.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in ran.stderr
    assert "in _prove_access" in ran.stderr
