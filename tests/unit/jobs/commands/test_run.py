"""`ocrfleet run`: its options, what it prints, and where it works."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.commands import run as run_command
from jobs.jobfile import model as jobfile
from jobs.local import plan
from tests.unit.trainer.system import drivers

RUN_DEFAULTS = {
    "nodes": None,
    "devices_per_node": None,
    "device": None,
    "workdir": None,
    "metrics_port": None,
    "stage": None,
    "sets": [],
    "debug": False,
}


@pytest.mark.parametrize(
    ("words", "changed"),
    [
        ([], {}),
        (["--nodes", "2"], {"nodes": 2}),
        (["--devices-per-node", "3"], {"devices_per_node": 3}),
        (["--device", "gpu"], {"device": "gpu"}),
        (["--workdir", "/tmp/x"], {"workdir": Path("/tmp/x")}),
        (["--metrics-port", "9400"], {"metrics_port": 9400}),
        (["--stage", "verify"], {"stage": "verify"}),
        (["--set", "a=1", "--set", "b=2"], {"sets": ["a=1", "b=2"]}),
        (["--debug"], {"debug": True}),
    ],
)
def test_options_of_run(words: list[str], changed: dict[str, Any]) -> None:
    parsed = vars(cli.build_parser().parse_args(["run", "job.yaml", *words]))
    assert parsed == {"job": "job.yaml", "run": run_command.run, **RUN_DEFAULTS, **changed}


STUB = "import sys; print('said by the node'); sys.exit(int(sys.argv[1]))"


@pytest.mark.parametrize("code", [0, 41])
def test_run_prints_the_runs_id_alone_when_it_is_done(
    code: int, job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, str(code)))
    planned = plan.plan(jobfile.load(job), plan.Options(nodes=2))
    ran = ocrfleet("run", job, "--nodes", 2)
    assert ran.code == code
    assert ran.out == ("" if code else f"{planned.run_id}\n")
    assert f"Run {planned.run_id}: 2 nodes of 1 worker on cpu." in ran.err
    assert "said by the node" in ran.err


def test_run_needs_no_image(
    job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, "0"))
    ran = ocrfleet("run", job, "--set", "placement.image=")
    assert ran.code == 0
    assert jobfile.load(tmp_path / ".ocrfleet" / ran.out.strip() / "node-0" / "run.yaml").placement.image is None


@pytest.mark.parametrize("how", ["option", "environment", "default"])
def test_where_run_works(
    how: str, job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, "0"))
    if how == "environment":
        monkeypatch.setenv("OCRFLEET_WORKDIR", str(tmp_path / "environment"))
    ran = ocrfleet("run", job, *(["--workdir", tmp_path / "option"] if how == "option" else []))
    folder = {"default": ".ocrfleet"}.get(how, how)
    assert (tmp_path / folder / ran.out.strip() / "node-0" / "run.yaml").is_file()


def test_a_gpu_that_this_machine_cannot_use_is_refused_before_a_node_is_started(
    job: Path, ocrfleet: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(plan, "NODE_PROGRAM", (sys.executable, "-c", STUB, "0"))
    monkeypatch.syspath_prepend(drivers.paddle(tmp_path / "packages", drivers.FOR_CPU))
    ran = ocrfleet("run", job, "--device", "gpu")
    assert ran.code == 40
    assert "error: The device is `gpu`, but PaddlePaddle 3.2.2 is installed without CUDA" in ran.err
    assert "said by the node" not in ran.err
    assert not list(tmp_path.glob(".ocrfleet/*/node-0"))
