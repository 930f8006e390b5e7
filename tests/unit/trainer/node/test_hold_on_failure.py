"""A node that failed for good stays to be looked at: with a real process."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from examples.demo import pages
from trainer import contract
from trainer.contract import ExitCode

LONG = "600"


@contextmanager
def node(folder: Path, environment: Mapping[str, str], *, data: str) -> Iterator[subprocess.Popen[str]]:
    """Start a node whose dataset is a folder, and end it at last."""
    run = {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": data, "split": "4:1:1"},
        "train": {"batchSizePerDevice": 4},
        "output": (folder / "out").as_uri(),
    }
    placement = {"deadlines": {"rendezvous": "1s"}}
    job = {"apiVersion": contract.API_VERSION, "name": "lines", "run": run, "placement": placement}
    (folder / "run.yaml").write_text(yaml.safe_dump(job), "utf-8")
    given = {
        contract.ENV_CONTRACT: str(contract.CONTRACT),
        contract.ENV_RUN_ID: "lines-00000001",
        contract.ENV_RUN_FILE: str(folder / "run.yaml"),
        contract.ENV_WORKDIR: str(folder / "work"),
        contract.ENV_POD: "lines-0-abcde",
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer"],
        env={**os.environ, **given},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def said_until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Read what it says up to a line with these words."""
    assert process.stderr
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if words in line:
            return lines
    raise AssertionError(f"it has never said {words!r}: {lines}")


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """A dataset with nothing in it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "Label.txt").write_text("", "utf-8")
    return (tmp_path / "data").as_uri()


@pytest.mark.timeout(60)
def test_a_held_node_serves_its_metrics_and_ends_with_its_own_code_when_it_is_told_to(
    tmp_path: Path, empty: str
) -> None:
    with node(tmp_path, {contract.ENV_HOLD: LONG, contract.ENV_METRICS_PORT: "0"}, data=empty) as process:
        said = said_until(process, "This pod stays")
        assert said[-2].startswith("error: ")
        assert said[-1] == (
            "This pod stays for 10m00s (placement.debug.holdOnFailure), then exits with 41. Look inside with "
            "`kubectl exec -it lines-0-abcde -- sh`. End it now with `kubectl delete pod lines-0-abcde`."
        )
        (logs,) = (tmp_path / "out" / "checkpoints" / "lines-00000001").glob("logs/1/node-0.log")
        assert said[-2].removeprefix("error: ") in logs.read_text("utf-8"), "pushed before it is held"
        (address,) = re.findall(r"http://\S+/metrics", said[0])
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert b"ocrfleet_" in answer.read()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == ExitCode.DATASET


@pytest.mark.timeout(60)
@pytest.mark.parametrize("environment", [{}, {contract.ENV_HOLD: "1"}], ids=["not at all", "a second"])
def test_a_failed_node_stays_no_longer_than_it_is_told_to(
    environment: dict[str, str], tmp_path: Path, empty: str
) -> None:
    with node(tmp_path, environment, data=empty) as process:
        _, said = process.communicate(timeout=30)
        assert ("This pod stays" in said) is bool(environment)
        assert process.returncode == ExitCode.DATASET


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("environment", "code"),
    [({}, ExitCode.TRANSIENT), ({contract.ENV_RETRY_CODE: "203"}, contract.RETRY_CODE)],
    ids=["as it is", "translated"],
)
def test_what_a_retry_may_mend_is_not_held_and_ends_with_the_code_that_its_controller_retries(
    environment: dict[str, str], code: int, tmp_path: Path
) -> None:
    """A node whose peer never comes."""
    pages.write_export(tmp_path / "pages", pages=6, seed=1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        gang = {contract.ENV_NODES: "2", contract.ENV_PORT: str(free.getsockname()[1])}
    with node(
        tmp_path, {contract.ENV_HOLD: LONG, **gang, **environment}, data=(tmp_path / "pages").as_uri()
    ) as process:
        _, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        assert "This pod stays" not in said
