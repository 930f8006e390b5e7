"""`ocrfleet run` with real processes: a stub program stands for the trainer."""

import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.jobfile import model as jobfile
from jobs.local import plan as local_plan
from tests.unit.jobs.local.nodes import JOB, wait_for
from tests.unit.trainer.system import drivers
from trainer.errors import ConflictError, SpecError
from trainer.run.spec import read_run
from trainer.run.topology import Topology


@pytest.fixture
def at_work(planned: Callable[[str], local_plan.LocalRun]) -> Iterator[local_plan.LocalRun]:
    """A run whose one node waits to be told to stop."""
    run = planned("stop")
    thread = threading.Thread(target=local_plan.run_local, args=(run,), kwargs={"say": lambda _: None})
    thread.start()
    wait_for(run.folder.node(0).root / "ready")
    wait_for(run.folder.lock, filled=True)
    yield run
    os.kill(int(run.folder.lock.read_text()), signal.SIGTERM)
    thread.join(10)


def seen(run: local_plan.LocalRun, rank: int) -> dict[str, str]:
    environment: dict[str, str] = json.loads((run.folder.node(rank).root / "seen.json").read_text())
    return environment


def test_each_node_finds_the_contract_in_its_environment(planned: Callable[[str], local_plan.LocalRun]) -> None:
    run = planned("0,0")
    assert local_plan.run_local(run, say=lambda _: None) == 0
    first, second = (Topology.from_environment(seen(run, rank)) for rank in (0, 1))
    assert (first.node_rank, second.node_rank) == (0, 1)
    assert (first.nodes, first.devices_per_node, first.device) == (2, 3, "cpu")
    assert first.endpoints == second.endpoints
    assert seen(run, 1)["OCRFLEET_RUN_ID"] == run.run_id
    assert seen(run, 1)["OCRFLEET_WORKDIR"] == str(run.folder.node(1).root)
    assert "OCRFLEET_METRICS_PORT" not in seen(run, 0)


def test_placement_retries_holds_on_this_machine_as_on_a_cluster() -> None:
    """A worker that is killed costs an attempt here too; by default as many as the chart allows."""
    for sets, retries in (([], "3"), (["placement.retries=7"], "7")):
        run = local_plan.plan(jobfile.load(JOB, sets=sets))
        assert [node.environment["OCRFLEET_RETRIES"] for node in run.nodes] == [retries, retries]


def test_each_node_finds_its_run_file(planned: Callable[[str], local_plan.LocalRun]) -> None:
    run = planned("0,0")
    local_plan.run_local(run, say=lambda _: None)
    for rank in (0, 1):
        assert read_run(run.folder.node(rank).run_file) == ("receipts", jobfile.load(JOB).run)


def test_the_environment_is_passed_on_and_nothing_of_it_is_written(
    planned: Callable[[str], local_plan.LocalRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    run = planned("0,0")
    said: list[str] = []
    local_plan.run_local(run, say=said.append)
    assert seen(run, 1)["AWS_SECRET_ACCESS_KEY"] == "wJalrXUtnFEMI"
    written = [p for p in run.folder.root.rglob("*") if p.is_file() and p.name != "seen.json"]
    assert not [p for p in written if "wJalrXUtnFEMI" in p.read_text()]
    assert "wJalrXUtnFEMI" not in "".join(said)


def test_on_success_the_user_learns_where_the_model_and_the_report_are(
    planned: Callable[[str], local_plan.LocalRun],
) -> None:
    run = planned("0,0")
    said: list[str] = []
    local_plan.run_local(run, say=said.append)
    assert said == [
        f"Model:  s3://models/receipts#{run.run_id}",
        f"Report: {run.folder.node(0).report_page}",
    ]


def test_the_same_run_twice_at_once_is_refused(at_work: local_plan.LocalRun) -> None:
    with pytest.raises(ConflictError, match=r"is already running in .*") as caught:
        local_plan.run_local(at_work)
    assert f"kill {at_work.folder.lock.read_text()}" in str(caught.value)


def test_a_run_that_has_just_begun_is_refused_without_a_process_to_stop(
    planned: Callable[[str], local_plan.LocalRun],
) -> None:
    run = planned("0,0")
    run.folder.root.mkdir(parents=True, exist_ok=True)
    with run.folder.lock.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match=r"is already running in [^ ]*\. Wait for it\.$"):
            local_plan.run_local(run)


def test_the_lock_lasts_as_long_as_a_node_lives_whose_parent_was_killed(
    orphaned: Callable[[str], tuple[local_plan.LocalRun, int]],
) -> None:
    run, node = orphaned("deaf")
    try:
        with pytest.raises(ConflictError, match=f"kill {node}"):
            local_plan.run_local(run)
    finally:
        os.kill(node, signal.SIGKILL)


def test_the_run_id_is_the_files_and_the_shapes() -> None:
    job = jobfile.load(JOB)
    as_filed = local_plan.plan(job).run_id
    assert local_plan.plan(job).run_id == as_filed
    assert local_plan.plan(job, local_plan.Options(nodes=3, devices_per_node=2)).run_id == as_filed, (
        "the same global batch"
    )
    assert local_plan.plan(job, local_plan.Options(nodes=1)).run_id != as_filed
    assert local_plan.plan(jobfile.load(JOB, sets=["run.train.seed=1"])).run_id != as_filed


def test_every_node_has_a_metrics_port_of_its_own() -> None:
    run = local_plan.plan(jobfile.load(JOB), local_plan.Options(metrics_port=9400))
    assert [node.environment["OCRFLEET_METRICS_PORT"] for node in run.nodes] == ["9400", "9401"]


def test_the_folder_is_absolute_so_that_nodes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = local_plan.plan(jobfile.load(JOB))
    assert run.folder.root == tmp_path / ".ocrfleet" / run.run_id


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, tuple[str, ...]], None]:
    """Let this machine have a device file, and a Paddle with these versions."""

    def have(device: str, versions: tuple[str, ...]) -> None:
        devices = tmp_path / "dev"
        devices.mkdir()
        (devices / device).touch()
        monkeypatch.setattr(local_plan, "_DEVICES", devices)
        monkeypatch.setattr(sys, "path", [str(drivers.paddle(tmp_path / "packages", versions))])

    return have


@pytest.mark.parametrize(
    ("device", "versions", "found"),
    [
        ("nvidia0", drivers.FOR_CUDA, "gpu"),
        ("nvidia0", drivers.FOR_CPU, "cpu"),
        ("null", drivers.FOR_CUDA, "cpu"),
        ("nvidiactl", drivers.FOR_CUDA, "cpu"),  # the driver is there, and no device
    ],
    ids=["both", "a Paddle for CPUs", "no device", "a driver without a device"],
)
def test_this_machine_is_a_gpu_with_a_device_and_a_paddle_for_it(
    machine: Callable[[str, tuple[str, ...]], None], device: str, versions: tuple[str, ...], found: str
) -> None:
    machine(device, versions)
    assert local_plan.this_machine() == found


@pytest.mark.parametrize(
    ("asked", "filed", "device"), [(None, "null", "gpu"), (None, "cpu", "cpu"), ("cpu", "gpu", "cpu")]
)
def test_the_device_is_the_users_else_the_files_else_what_this_machine_has(
    machine: Callable[[str, tuple[str, ...]], None], asked: str | None, filed: str, device: str
) -> None:
    machine("nvidia0", drivers.FOR_CUDA)
    run = local_plan.plan(jobfile.load(JOB, sets=[f"placement.device={filed}"]), local_plan.Options(device=asked))
    assert {node.environment["OCRFLEET_DEVICE"] for node in run.nodes} == {device}


@pytest.mark.parametrize(
    ("visible", "devices"),
    [(None, ["0,1", "2,3"]), ("4,5,6,7", ["4,5", "6,7"]), ("GPU-a,GPU-b,GPU-c,GPU-d", ["GPU-a,GPU-b", "GPU-c,GPU-d"])],
    ids=["all", "some", "by their names"],
)
def test_nodes_share_the_gpus_of_a_machine_and_no_two_have_the_same(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, devices: list[str]
) -> None:
    """NCCL refuses two ranks on one device."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    two_by_two = local_plan.Options(nodes=2, devices_per_node=2, device="gpu")
    run = local_plan.plan(jobfile.load(JOB), two_by_two)
    assert [node.environment["CUDA_VISIBLE_DEVICES"] for node in run.nodes] == devices
    for other in (local_plan.Options(nodes=1, device="gpu"), local_plan.Options(nodes=2, device="cpu")):
        run = local_plan.plan(jobfile.load(JOB), other)
        assert not any("CUDA_VISIBLE_DEVICES" in node.environment for node in run.nodes)


def test_all_nodes_of_a_machine_need_their_gpus_before_any_is_started(
    machine: Callable[[str, tuple[str, ...]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("nvidia0", drivers.FOR_CUDA)
    drivers.library(tmp_path / "driver", devices=3)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[4]))
    two_by_two = local_plan.Options(nodes=2, devices_per_node=2, device="gpu", workdir=tmp_path / "work")
    with pytest.raises(SpecError, match="needs 4 GPUs on this machine, which has 3 CUDA devices"):
        local_plan.run_local(local_plan.plan(jobfile.load(JOB), two_by_two))
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ('schedule.cron="@daily"', "schedule.cron is '@daily' and is ignored: `ocrfleet run` trains now, and once."),
        ("notify.webhookSecret=a", "notify.webhookSecret is 'a' and is ignored: `ocrfleet run` calls no webhook."),
    ],
)
def test_a_field_without_effect_on_this_machine_is_named(option: str, sentence: str) -> None:
    set_, plain = (local_plan.plan(jobfile.load(JOB, sets=sets)) for sets in ([option], []))
    assert local_plan.announce(set_, device_given=True)[0] == f"warning: {sentence}"
    assert not any("ignored" in line for line in local_plan.announce(plain, device_given=True))


def test_more_workers_than_cores_are_mentioned(job: Path) -> None:
    said = local_plan.announce(
        local_plan.plan(jobfile.load(job), local_plan.Options(devices_per_node=64)), device_given=False
    )
    assert "64 workers share" in said[-1]
    assert "is what this machine has; --device changes it" in said[0]
