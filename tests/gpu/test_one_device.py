"""Training on one CUDA device: formats, equal bits, a stop, and a device without memory. `make test-gpu` runs it.

It measures, too: what a test prints is shown with its name. NCCL refuses two ranks on one device, so that nothing here
is of several. OCRFLEET_TEST_DEVICE=cpu walks the same road on a CPU, to see that the tests themselves work.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from examples.demo import looks, pages
from trainer.contract import ExitCode
from trainer.run.workdir import LocalRunDir, WorkDir
from trainer.system import machine

DEVICE: Final = os.environ.get("OCRFLEET_TEST_DEVICE", "gpu")
STEPS: Final = 100 if DEVICE == "gpu" else 4
PAGES: Final = 200 if DEVICE == "gpu" else 24
RECIPES: Final = {"det": "det-db-mobile", "rec": "rec-crnn-mobile"}
BATCH: Final = {"det": 8, "rec": 64} if DEVICE == "gpu" else {"det": 2, "rec": 8}
HAS: Final = machine.look(devices=DEVICE == "gpu")
FORMATS: Final = ["fp32", *(["tf32"] if HAS.tf32 else []), *(["bf16"] if HAS.bfloat16 else [])]

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled pages, and their lines."""
    folder = tmp_path_factory.mktemp("pages")
    pages.write_export(folder, pages=PAGES, seed=1, look=looks.TRAINING)
    return folder


@dataclass(frozen=True)
class Job:
    """A job file of some steps, and where its runs work."""

    path: Path
    folder: Path

    def command(self, *words: str) -> list[str]:
        places = ["--workdir", str(self.folder / "runs"), "--device", DEVICE]
        return [sys.executable, "-m", "jobs.cli", "run", str(self.path), *places, *words]

    def run(self, *words: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, **environment}
        ran = subprocess.run(self.command(*words), capture_output=True, text=True, env=environ, check=False)
        assert ran.returncode == code, ran.stderr
        return ran

    @property
    def work(self) -> WorkDir:
        (run,) = (self.folder / "runs").glob("t-*")
        return LocalRunDir(run).node(0)

    def parameters(self) -> str:
        return str(json.loads(self.work.training_facts.read_text("utf-8"))["parameters_sha256"])


def job(folder: Path, data: Path, task: str, **train: Any) -> Job:
    """Write a job file that trains for some steps and evaluates at the end."""
    folder.mkdir(exist_ok=True)
    per_epoch = max(1, int(PAGES * (1 if task == "det" else 4) * 0.6) // BATCH[task])
    epochs = -(-STEPS // per_epoch)
    raw = {
        "apiVersion": "ocrfleet.io/v1",
        "name": "t",
        "run": {
            "task": task,
            "recipe": RECIPES[task],
            "data": {"train": data.as_uri()},
            "train": {"epochs": epochs, "batchSizePerDevice": BATCH[task], "evaluateEvery": f"{epochs}ep", **train},
            "gate": {"minimum": 0},
            "output": (folder / "models").as_uri(),
        },
    }
    if DEVICE == "cpu" and task == "det":
        raw["run"]["overrides"] = {"Train.dataset.transforms.EastRandomCropData.size": [160, 160]}
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(raw), "utf-8")
    return Job(path, folder)


@contextmanager
def peak_of_shared_memory() -> Iterator[list[int]]:
    """Look at /dev/shm ten times a second; the list has the most bytes in use at its end."""
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.1):
            found = os.statvfs("/dev/shm")
            most[0] = max(most[0], (found.f_blocks - found.f_bfree) * found.f_frsize)

    thread = threading.Thread(target=look)
    thread.start()
    yield most
    over.set()
    thread.join()


def metric(work: WorkDir, name: str) -> float:
    """Add up a metric over its labels."""
    text = work.metrics_snapshot.read_text("utf-8")
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def test_paddle_computes_on_the_device() -> None:
    checks = "import paddle, sys; paddle.set_device(sys.argv[1]); paddle.utils.run_check()"
    ran = subprocess.run([sys.executable, "-c", checks, DEVICE], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "PaddlePaddle is installed successfully" in ran.stdout
    doctor = [sys.executable, "-m", "jobs.cli", "doctor"]
    print(subprocess.run(doctor, capture_output=True, text=True, check=True).stdout)


PRODUCT = """
import numpy as np, paddle, sys
paddle.set_device(sys.argv[1])
a, b = (np.random.default_rng(n).standard_normal((512, 512)) for n in (1, 2))
found = (paddle.to_tensor(a, "float32") @ paddle.to_tensor(b, "float32")).numpy()
print(float(np.abs(found - a @ b).max()))
"""


def test_the_variable_that_evaluate_and_verify_have_turns_tf32_off() -> None:
    """Sums of 512 products are exact to some 1e-4 in fp32, and to some 1e-1 in TF32."""
    errors = {}
    for override in ("0", "1"):
        environ = {**os.environ, "NVIDIA_TF32_OVERRIDE": override}
        command = [sys.executable, "-c", PRODUCT, DEVICE]
        ran = subprocess.run(command, capture_output=True, text=True, env=environ, check=True)
        errors[override] = float(ran.stdout.split()[-1])
    print(f"largest error without TF32 {errors['0']:.1e}, otherwise {errors['1']:.1e}")
    assert errors["0"] < 1e-3


@pytest.mark.parametrize("precision", FORMATS)
@pytest.mark.parametrize("task", list(RECIPES))
def test_a_network_is_trained_evaluated_exported_and_verified(
    tmp_path: Path, data: Path, task: str, precision: str
) -> None:
    """Verify passes only if the export reads as the trained network does."""
    made = job(tmp_path, data, task, precision=precision)
    with peak_of_shared_memory() as shared:
        made.run()
    record = json.loads(made.work.record.read_text("utf-8"))
    training = record["metrics"]["training"]
    assert record["precision"] == precision
    assert record["device"] == DEVICE
    assert record["machine"]["paddle"]["version"]
    waited = metric(made.work, "ocrfleet_reader_wait_seconds_total") / training["seconds"]
    outputs = record["metrics"]["verification"]["outputs"]
    print(
        f"{training['samples'] / training['seconds']:.0f} samples/s, readers waited for {waited:.0%}, "
        f"{shared[0]:,} bytes in /dev/shm, export differs by {outputs['max_difference']:.1e} "
        f"of {outputs['tolerance']:g}"
    )


@pytest.mark.parametrize("task", list(RECIPES))
def test_deterministic_runs_end_in_the_same_bits(tmp_path: Path, data: Path, task: str) -> None:
    """Whether others do is printed: some do by chance."""
    ends: dict[bool, list[str]] = {}
    for exact in (True, False):
        for time in (1, 2):
            made = job(tmp_path / f"{exact}-{time}", data, task, deterministic=exact)
            for stage in ("fetch", "prepare", "train"):
                made.run("--stage", stage)
            ends.setdefault(exact, []).append(made.parameters())
    print(f"without run.train.deterministic the bits are {'equal' if len(set(ends[False])) == 1 else 'different'}")
    assert len(set(ends[True])) == 1


def test_a_run_that_was_stopped_resumes_to_the_same_bits(tmp_path: Path, data: Path) -> None:
    whole, stopped = (job(tmp_path / name, data, "rec", deterministic=True) for name in ("whole", "stopped"))
    whole.run()
    environ = {**os.environ, "OCRFLEET_LOG_FORMAT": "json"}
    process = subprocess.Popen(
        stopped.command(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environ
    )
    assert process.stderr
    for line in process.stderr:
        if '"event":"step"' in line:
            process.send_signal(signal.SIGINT)
            break
    process.communicate()
    assert process.returncode == ExitCode.STOPPED
    stopped.run()
    assert stopped.parameters() == whole.parameters()


@pytest.mark.skipif(DEVICE == "cpu", reason="the limit is one of GPUs")
def test_a_device_without_memory_ends_a_run_with_a_hint_at_the_batch(tmp_path: Path, data: Path) -> None:
    ran = job(tmp_path, data, "det").run(code=ExitCode.SPEC, FLAGS_gpu_memory_limit_mb="200")
    assert "A GPU ran out of memory. Lower run.train.batchSizePerDevice" in ran.stderr
