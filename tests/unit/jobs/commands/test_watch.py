"""`ocrfleet watch` and `submit --watch`: how they end, and what they show on a terminal."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.runs.test_watch import BEFORE, DONE, RUN, STEP, running
from tests.unit.jobs.submitted import JOB

__all__ = ["running"]
Ocrfleet = Callable[..., Any]


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("job-complete", 0, "is done: its model is published."),
        ("jobset-complete", 0, "is done: its model is published."),
        ("trainjob-complete", 0, "is done: its model is published."),
        ("paddlejob-succeeded", 0, "is done: its model is published."),
        ("job-exit-41", 41, "the dataset is wrong (exit code 41). Check it with `ocrfleet data check`"),
        ("jobset-exit-42", 42, "access to the bucket was refused (exit code 42). Fix the credentials"),
        ("trainjob-exit-43", 43, "the model did not pass its gate (exit code 43). See `ocrfleet logs"),
        ("paddlejob-exit-44", 44, "the loss became NaN or infinite (exit code 44). Lower the learning rate"),
        (
            "job-exit-46",
            46,
            f"is Superseded. A newer object of the same run took over. `ocrfleet watch {RUN}` follows the newer one.",
        ),
        ("job-backoff", 75, "failed, and retrying did not help (exit code 75)."),
        ("job-memory", 137, "it exceeded its memory limit and was killed. Increase placement.resources.limits.memory"),
        ("job-deadline", 1, "is Failed. It ran longer than placement.deadlines.run allows. Increase it"),
        ("paddlejob-deadline", 1, "it ran longer than placement.deadlines.run allows. Incr"),
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
        f"{RUN} is Running.", *BEFORE, STEP.format(2)
    ]  # fmt: skip
    assert ran.err.startswith(f"error: {RUN} did not finish within 1 s; it continues.")
    assert {verb for verb, *_ in api.asked} == {"GET"}


def test_a_run_that_is_not_there(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet("watch", "lines", "--namespace", "ml")
    assert (ran.code, ran.out) == (40, "")
    assert "has no run 'lines'" in ran.err


def test_ctrl_c_leaves_the_run_alone(running: tuple[Object, Object], api: ApiServer) -> None:
    # Whoever runs the tests in the background has Ctrl-C ignored, and a child inherits that.
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from jobs.cli import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", program, "watch", RUN, "-n", "ml"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        while "step 2/32" not in (line := process.stdout.readline()):
            assert line
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said == f"{RUN} continues. To watch it again: `ocrfleet watch {RUN}`. To stop it: `ocrfleet stop {RUN}`.\n"
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
        (DONE, 0, "is done: its model is published. See `ocrfleet models show s3://models/slips-rec/#slips-rec-"),
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
    assert "--watch and --dry-run exclude each other" in ran.err
