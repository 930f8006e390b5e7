"""`ocrfleet run` from a bucket to a published model, killed at every stage, on two nodes, watched by Prometheus."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import urllib.request
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.commands import job_file, ocrfleet, start
from trainer import contract
from trainer.contract import ExitCode
from trainer.storage import open_store

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300)]
CANARY = "canary-0b7d51"


@pytest.fixture
def run(tmp_path, data, bucket):
    """Run a job on the pages with the real command; `more` words go to `ocrfleet run`."""

    def go(*more: str, job: Path) -> list[str]:
        return ["run", str(job), "--workdir", str(tmp_path / "runs"), *more]

    return go


def manifests(bucket: str) -> list[str]:
    keys = [info.key for info in open_store(f"{bucket}models/").list("runs/")]
    return [key for key in keys if key.endswith("/manifest.json")]


def files_with(folder: Path, text: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_run_reads_from_the_bucket_and_publishes_into_it(tmp_path, data, bucket, run, monkeypatch):
    """One long test, since the road is long: metrics, secrets, manifest, models, a second run, a reading."""
    monkeypatch.setenv("AWS_SESSION_NOTE", CANARY)
    monkeypatch.setenv("SOME_TOKEN", CANARY)
    job = job_file(tmp_path, data=data, output=f"{bucket}models/", devices=2, sets=["run.publish.promote=candidate"])
    port = free_port()
    process = start(*run("--metrics-port", str(port), job=job))
    scraped: dict[str, set[str]] = {}
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith(("[prepare done]", "[train] checkpoint", "[verify begun]")):
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    scraped.setdefault(sample.name, set()).add(sample.labels.get("run", ""))
            assert CANARY not in text
    run_id = process.communicate()[0].strip()
    assert process.returncode == ExitCode.DONE, "".join(said)
    assert {"ocrfleet_step", "ocrfleet_samples_total", "ocrfleet_loss", "ocrfleet_eval_metric"} <= scraped.keys()
    assert scraped["ocrfleet_step"] == {run_id}

    # The curves of VisualDL, which is installed here, are filed with the logs.
    logs = [info.key for info in open_store(f"{bucket}models/").list(f"checkpoints/{run_id}/logs/1/")]
    assert any("/vdlrecords." in key for key in logs), logs

    # What is published is what the manifest says.
    output = open_store(f"{bucket}models/")
    manifest = json.loads(output.get(f"runs/{run_id}/manifest.json"))
    assert {info.key: info.size for info in output.list(f"runs/{run_id}/1/")} == {
        f"runs/{run_id}/{file['path']}": file["size"] for file in manifest["files"]
    }
    record = json.loads(output.get(f"runs/{run_id}/1/record.json"))
    assert record["packages"]["paddlepaddle"]
    assert record["metrics"]["verification"]["pair"] == "loaded"
    assert json.loads(output.get("channels/candidate.json"))["run"] == run_id
    secrets = [CANARY, os.environ["AWS_SECRET_ACCESS_KEY"]]
    assert not [path for secret in secrets for path in files_with(tmp_path / "runs", secret)]
    for info in output.list():
        assert not any(secret.encode() in output.get(info.key) for secret in secrets), info.key

    # A second run has nothing to do.
    again = ocrfleet(*run(job=job))
    assert (again.returncode, again.stdout.strip()) == (ExitCode.DONE, run_id)
    assert "already published" in again.stderr

    # The model is listed, shown, pulled and read with.
    assert run_id in ocrfleet("models", "list", f"{bucket}models/").stdout
    assert run_id in ocrfleet("models", "show", f"{bucket}models@candidate").stdout
    pulled = ocrfleet("models", "pull", f"{bucket}models@candidate", str(tmp_path / "pulled"))
    assert pulled.returncode == ExitCode.DONE, pulled.stderr
    assert list((tmp_path / "pulled").rglob("inference.pdiparams"))
    page = next((tmp_path / "pages").glob("*.png"), None) or next((tmp_path / "pages").glob("*.jpg"))
    read = ocrfleet("predict", "--rec", f"{bucket}models/", "--out", str(tmp_path / "read"), str(page))
    assert read.returncode == ExitCode.DONE, read.stderr


# A line of each stage at which it is under way; in training the first step is done and saved.
UNDER_WAY = {stage: rf"\[{stage} begun\]" for stage in contract.STAGES} | {"train": r"\[train\] checkpoint at step 1 "}


@pytest.mark.slow
def test_a_run_killed_at_every_stage_goes_on_and_publishes_once(tmp_path, data, bucket, run):
    """Each time everything that belongs to the run is killed at once, as when a machine loses power."""
    sets = ["run.checkpoint.every=1steps", "placement.rehearse=true"]
    job = job_file(tmp_path, data=data, output=f"{bucket}models/", task="det", sets=sets)
    for place, stage in enumerate(contract.STAGES):
        process = start(*run(job=job))
        said = read_until(process, UNDER_WAY[stage])
        kill_tree(process)
        # The last process was killed after its line of a stage: before that stage was done, or just after.
        skipped = [f"[{name} skipped] already done\n" for name in contract.STAGES]
        assert [line for line in said if " skipped] " in line] in (skipped[: max(0, place - 1)], skipped[:place])
        if stage != "publish":
            assert manifests(bucket) == []
        if stage == "evaluate":
            assert any("resuming after step" in line for line in said), "training began anew"
    ended = ocrfleet(*run(job=job))
    assert ended.returncode == ExitCode.DONE, ended.stderr
    assert len(manifests(bucket)) == 1


@pytest.mark.slow
def test_two_nodes_stop_on_ctrl_c_and_go_on(tmp_path, data, bucket, run):
    """Two nodes of one worker each, with work folders of their own, meet only over the network and the bucket."""
    job = job_file(tmp_path, data=data, output=f"{bucket}models/", epochs=12, evaluateEvery="12ep")
    two_nodes = ("--nodes", "2", "--devices-per-node", "1")
    process = start(*run(*two_nodes, job=job))
    read_until(process, r"\[train \d+%\] step ")
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == ExitCode.STOPPED, said
    assert "The state is saved" in said
    ended = ocrfleet(*run(*two_nodes, job=job))
    assert ended.returncode == ExitCode.DONE, ended.stderr
    assert "resuming after step" in ended.stderr
    (manifest,) = manifests(bucket)
    record = json.loads(open_store(f"{bucket}models/").get(manifest.replace("manifest.json", "2/record.json")))
    assert (record["nodes"], record["devices"]) == (2, 2)
    logs = {
        info.key.rpartition("/")[2]
        for info in open_store(f"{bucket}models/").list("checkpoints")
        if "/logs/2/" in info.key
    }
    assert {"node-0.log", "node-1.log", "train-rank-0.log", "train-rank-1.log"} <= logs


@pytest.mark.slow
def test_a_node_that_lost_its_disk_goes_on_from_the_bucket(tmp_path, data, bucket, run):
    job = job_file(tmp_path, data=data, output=f"{bucket}models/", sets=["run.checkpoint.every=1steps"])
    process = start(*run(job=job))
    read_until(process, r"\[export begun\]")
    kill_tree(process)
    shutil.rmtree(tmp_path / "runs")
    ended = ocrfleet(*run(job=job))
    assert ended.returncode == ExitCode.DONE, ended.stderr
    assert "[train skipped] already done" in ended.stderr
    assert "[evaluate skipped] already done" in ended.stderr


def test_a_stage_is_done_alone_when_those_before_it_are(tmp_path, data, bucket, run):
    job = job_file(tmp_path, data=data, output=f"{bucket}models/")
    early = ocrfleet(*run("--stage", "train", job=job))
    assert early.returncode == ExitCode.SPEC
    words = "--stage train needs the stage fetch, which is not done. Use --stage fetch first, or run all stages"
    assert words in early.stderr
    for stage in ("fetch", "prepare", "prepare"):
        alone = ocrfleet(*run("--stage", stage, job=job))
        assert alone.returncode == ExitCode.DONE, alone.stderr
        assert f"[{stage} done]" in alone.stderr
    assert "Stage prepare is done" in alone.stderr
    assert manifests(bucket) == []


def read_until(process: subprocess.Popen[str], pattern: str) -> list[str]:
    """Read what the command says until a line whose beginning matches; the test's time-out is the deadline."""
    said = []
    for line in process.stderr:
        said.append(line)
        if re.match(pattern, line):
            return said
    raise AssertionError("".join(said))


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill the command with its nodes and workers, and wait until they are gone."""
    family = psutil.Process(process.pid).children(recursive=True)
    for member in [psutil.Process(process.pid), *family]:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.communicate()
    psutil.wait_procs(family, timeout=10)
