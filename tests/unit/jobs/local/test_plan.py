"""`ocrfleet run` with real processes: a stub program stands for the trainer."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.jobfile import model as jobfile
from jobs.local import plan as local_plan
from jobs.local.processes import Ended, Patience
from trainer.errors import ConflictError
from trainer.run.spec import read_run
from trainer.run.topology import Topology

JOB = """
apiVersion: ocrfleet.io/v1
name: receipts
run:
  task: det
  recipe: det-db-mobile
  data: {train: "file:///data/receipts"}
  output: s3://models/receipts
placement: {nodes: 2, devicesPerNode: 3, device: cpu}
"""

# Writes what it was given, then does what its rank's line of the plan says.
STUB = """
import json, os, signal, sys, time
from pathlib import Path
work = Path(sys.argv[sys.argv.index("--workdir") + 1])
(work / "seen.json").write_text(json.dumps(dict(os.environ)))
print("stdout of", work.name)
deed = sys.argv[1].split(",")[int(os.environ["OCRFLEET_NODE_RANK"])]
if deed == "stop":
    signal.signal(signal.SIGTERM, lambda *_: ((work / "stopped").touch(), sys.exit(143)))
if deed == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if deed in ("stop", "deaf"):
    (work / "ready").touch()
    signal.alarm(30)  # no orphan of a failed test lives longer
    signal.pause()
if deed == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if deed != "0":
    print(f"error: node says {deed}.", file=sys.stderr)
sys.exit(int(deed))
"""

SOON = Patience(peers=0.2, stop=0.5, again=5)


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[str], local_plan.LocalRun]:
    program = tmp_path / "stub.py"
    program.write_text(STUB)

    def plan(deeds: str) -> local_plan.LocalRun:
        command = [sys.executable, "-I", str(program), deeds]
        job = jobfile.load(JOB, sets=[f"placement.nodes={len(deeds.split(','))}"])
        return local_plan.plan(job, workdir=tmp_path / "work", command=command)

    return plan


@pytest.fixture
def at_work(planned: Callable[[str], local_plan.LocalRun]) -> Iterator[local_plan.LocalRun]:
    """A run whose one node waits to be told to stop."""
    run = planned("stop")
    thread = threading.Thread(target=local_plan.run_local, args=(run,), kwargs={"say": lambda _: None})
    thread.start()
    wait_for(run.folder.node(0).root / "ready")
    yield run
    os.kill(int(run.folder.lock.read_text()), signal.SIGTERM)
    thread.join(10)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)


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


def test_nodes_write_to_standard_error_or_to_their_own_file(
    planned: Callable[[str], local_plan.LocalRun], capfd: pytest.CaptureFixture[str]
) -> None:
    run = planned("0,0")
    local_plan.run_local(run)
    out, err = capfd.readouterr()
    assert out == ""
    assert "stdout of node-0" in err
    assert "stdout of node-1" not in err
    assert run.folder.node(1).node_output.read_text() == "stdout of node-1\n"


@pytest.mark.parametrize(
    ("deeds", "code", "sentence"),
    [
        ("41,41", 41, "Node"),
        ("0,1", 0, "Model:"),
        ("44,stop", 44, "Node 0 ended with 44"),
        ("stop,41", 41, "error: node says 41."),
        ("75,44", 44, "Node 1 ended with 44"),
        ("stop,killed", 75, "Node 1 was killed by SIGKILL"),
        ("killed", 75, "Run the same command again"),
        ("deaf,40", 40, "node 0 did not stop within 0 s: killed."),
        ("0,stop", 0, "stopping node 1"),
    ],
)
def test_the_run_ends_as_the_node_that_failed_first_and_says_why(
    planned: Callable[[str], local_plan.LocalRun], deeds: str, code: int, sentence: str
) -> None:
    said: list[str] = []
    assert local_plan.run_local(planned(deeds), say=said.append, patience=SOON) == code
    assert sentence in "\n".join(said)


def interrupted(run: local_plan.LocalRun, *signals: signal.Signals) -> tuple[int, str]:
    """Run in the main thread and send it signals when its nodes are ready."""
    said: list[str] = []
    heard = threading.Semaphore(0)

    def say(sentence: str) -> None:
        said.append(sentence)
        heard.release()

    def send() -> None:
        for node in run.nodes:
            wait_for(run.folder.node(node.rank).root / "ready")
        for number in signals:
            os.kill(os.getpid(), number)
            # Two signals at once would be one to the kernel: the next follows the answer to this one.
            assert heard.acquire(timeout=10)

    # Under nohup SIGHUP is ignored, which a run respects.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in {*signals} - {signal.SIGINT}}
    thread = threading.Thread(target=send)
    thread.start()
    code = local_plan.run_local(run, say=say, patience=Patience(peers=5, stop=1, again=5))
    thread.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return code, "\n".join(said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_node_once_and_the_run_ends_with_143(
    planned: Callable[[str], local_plan.LocalRun], number: signal.Signals
) -> None:
    code, said = interrupted(planned("stop,stop"), number)
    assert code == 143
    assert said.count("Stopping after a checkpoint") == 1
    assert "Run the same command again to continue" in said


def test_a_second_ctrl_c_kills(planned: Callable[[str], local_plan.LocalRun]) -> None:
    start = time.monotonic()
    code, said = interrupted(planned("deaf,deaf"), signal.SIGINT, signal.SIGINT)
    assert code == 143
    assert "Killed." in said
    assert time.monotonic() - start < 3


def test_a_second_sigterm_does_not_kill(planned: Callable[[str], local_plan.LocalRun]) -> None:
    _, said = interrupted(planned("deaf"), signal.SIGTERM, signal.SIGTERM)
    assert "Killed." not in said
    assert "node 0 did not stop within 1 s: killed." in said


def test_the_handlers_of_before_are_back_afterwards(planned: Callable[[str], local_plan.LocalRun]) -> None:
    before = signal.getsignal(signal.SIGINT)
    local_plan.run_local(planned("0"), say=lambda _: None)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_same_run_twice_at_once_is_refused(at_work: local_plan.LocalRun) -> None:
    with pytest.raises(ConflictError, match=r"is already running in .*") as caught:
        local_plan.run_local(at_work)
    assert f"kill {at_work.folder.lock.read_text()}" in str(caught.value)


@pytest.fixture
def orphaned(planned: Callable[[str], local_plan.LocalRun]) -> Callable[[str], tuple[local_plan.LocalRun, int]]:
    """Start a run in a process of its own and kill that; give the run and its node."""

    def start(deed: str) -> tuple[local_plan.LocalRun, int]:
        run = planned(deed)
        script = (
            "import pickle, sys; from jobs.local import plan; plan.run_local(pickle.loads(bytes.fromhex(sys.argv[1])))"
        )
        parent = subprocess.Popen([sys.executable, "-c", script, pickle.dumps(run).hex()])
        wait_for(run.folder.node(0).root / "ready")
        node = int(run.folder.lock.read_text())
        parent.kill()
        parent.wait(10)
        return run, node

    return start


def test_a_node_stops_in_order_when_its_parent_is_killed(
    orphaned: Callable[[str], tuple[local_plan.LocalRun, int]],
) -> None:
    run, _ = orphaned("stop")
    wait_for(run.folder.node(0).root / "stopped")


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
    assert local_plan.plan(job, nodes=3, devices_per_node=2).run_id == as_filed, "the same global batch"
    assert local_plan.plan(job, nodes=1).run_id != as_filed
    assert local_plan.plan(jobfile.load(JOB, sets=["run.train.seed=1"])).run_id != as_filed


def test_every_node_has_a_metrics_port_of_its_own() -> None:
    run = local_plan.plan(jobfile.load(JOB), metrics_port=9400)
    assert [node.environment["OCRFLEET_METRICS_PORT"] for node in run.nodes] == ["9400", "9401"]


def test_the_folder_is_absolute_so_that_nodes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = local_plan.plan(jobfile.load(JOB))
    assert run.folder.root == tmp_path / ".ocrfleet" / run.run_id


@pytest.mark.parametrize(
    ("codes", "stopped", "verdict"),
    [
        ({1: 0, 0: 0}, False, 0),
        ({0: 0, 1: 75}, False, 0),
        ({1: 75, 0: 41}, False, 41),
        ({1: 75, 0: 143}, False, 75),
        ({1: 143, 0: 143}, True, 143),
        ({1: 75, 0: -9}, True, 143),
        ({1: 143, 0: 44}, True, 44),
        ({1: -9, 0: 143}, False, 75),
        ({0: 1}, False, 1),
    ],
)
def test_the_verdict_is_the_failure_that_says_why(codes: dict[int, int], stopped: bool, verdict: int) -> None:
    assert Ended(codes=codes, stopped=stopped).verdict == verdict


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Let this machine have a device file, and a package of Paddle beside its own."""

    def have(device: str, package: str) -> None:
        devices, packages = tmp_path / "dev", tmp_path / "packages"
        devices.mkdir()
        (devices / device).touch()
        found = packages / f"{package.replace('-', '_')}-3.2.2.dist-info"
        found.mkdir(parents=True)
        (found / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 3.2.2\n")
        monkeypatch.setattr(local_plan, "_DEVICES", devices)
        monkeypatch.setattr(sys, "path", [str(packages)])

    return have


@pytest.mark.parametrize(
    ("device", "package", "found"),
    [
        ("nvidia0", "paddlepaddle-gpu", "gpu"),
        ("nvidia0", "paddlepaddle", "cpu"),
        ("null", "paddlepaddle-gpu", "cpu"),
        ("nvidiactl", "paddlepaddle-gpu", "cpu"),  # the driver is there, and no device
    ],
)
def test_this_machine_is_a_gpu_with_a_device_and_a_paddle_for_it(
    machine: Callable[[str, str], None], device: str, package: str, found: str
) -> None:
    machine(device, package)
    assert local_plan.this_machine() == found


@pytest.mark.parametrize(
    ("asked", "filed", "device"), [(None, "null", "gpu"), (None, "cpu", "cpu"), ("cpu", "gpu", "cpu")]
)
def test_the_device_is_the_users_else_the_files_else_what_this_machine_has(
    machine: Callable[[str, str], None], asked: str | None, filed: str, device: str
) -> None:
    machine("nvidia0", "paddlepaddle-gpu")
    run = local_plan.plan(jobfile.load(JOB, sets=[f"placement.device={filed}"]), device=asked)
    assert {node.environment["OCRFLEET_DEVICE"] for node in run.nodes} == {device}


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
