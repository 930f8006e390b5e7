"""The road of one node: what is refused before it begins, and what its stages leave. Whole roads are in tests/e2e."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.unit.trainer.registry.published import published
from tests.unit.trainer.system import drivers
from trainer import contract
from trainer.errors import SpecError, StoppedError, TransientError
from trainer.node import pipeline
from trainer.node.pipeline import Pipeline
from trainer.node.supervisor import WorkerKilledError
from trainer.registry import channels
from trainer.run import spec as runspec
from trainer.run.assignment import Assignment
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import Signatures
from trainer.state.key import RunKey
from trainer.telemetry.console import Console
from trainer.telemetry.events import Checkpointed, Notice
from trainer.telemetry.metrics import Metrics

Make = Callable[..., Pipeline]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Metrics] = []

    def deed(*, rank: int = 0, device: str = "cpu", **run: Any) -> Pipeline:
        raw = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": (tmp_path / "data").as_uri()}, **run}
        given = Assignment(
            name="lines",
            run=runspec.from_dict(RunSpec, {**raw, "output": (tmp_path / "out").as_uri()}, where="run"),
            run_id="lines-00000001",
            work=WorkDir(tmp_path / f"node-{rank}"),
            topology=Topology(node_rank=rank, nodes=rank + 1, hosts=("127.0.0.1",) * (rank + 1), device=device),
        )
        given.work.root.mkdir()
        made.append(Metrics(run=given.run_id, node=rank, task="rec"))
        return Pipeline(given, console=Console(), metrics=made[-1])

    yield deed
    for metrics in made:
        metrics.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"recipe": "rec-crnn-mobil"},
        {"train": {"precision": "bf16"}},
        {"overrides": {"PostProcess.name": "SARLabelDecode"}},
    ],
    ids=str,
)
def test_a_wrong_job_is_refused_before_anything_is_claimed_or_pulled(make: Make, wrong: dict[str, Any]) -> None:
    node = make(**wrong)
    with pytest.raises(SpecError):
        node.run()
    assert node.output.list() == []
    assert not node.work.data.exists()


def test_a_gpu_without_a_paddle_for_it_is_refused_before_anything_is_claimed_or_pulled(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its device would be held through fetch and prepare, for a worker that cannot use it."""
    monkeypatch.syspath_prepend(drivers.paddle(tmp_path / "packages", drivers.FOR_CPU))
    node = make(device="gpu")
    with pytest.raises(SpecError, match="installed without CUDA: it trains on CPUs only"):
        node.run()
    assert node.output.list() == []
    assert not node.work.data.exists()


@pytest.mark.parametrize("stage", ["evaluate", "verify"])
def test_the_workers_of_a_node_read_a_trained_model_without_tf32(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """What they are started with, in a process that prints it."""
    tells = "import os; from trainer.telemetry.events import Events, Finished; e = Events.from_environment(0); "
    tells += "e.send(Finished(facts=dict(os.environ)))"
    node = make(device="gpu", train={"precision": "bf16", "deterministic": True})
    monkeypatch.setattr(node.supervisor, "_program", (sys.executable, "-c", tells))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    environment = node.alone(stage)
    assert environment["NVIDIA_TF32_OVERRIDE"] == "0"
    assert environment["FLAGS_cudnn_deterministic"] == environment["FLAGS_embedding_deterministic"] == "1"


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_format_that_its_gpu_lacks_is_refused_before_anything_is_claimed_or_pulled(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    drivers.library(tmp_path / "driver", devices=2)  # the second one is of before Ampere
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "driver"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.syspath_prepend(drivers.paddle(tmp_path / "packages", drivers.FOR_CUDA))
    node = make(device="gpu", train={"precision": precision})
    with pytest.raises(SpecError, match="which this GPU does not support"):
        node.run()
    assert node.output.list() == []
    assert not node.work.data.exists()


def test_a_published_run_needs_no_gpu(make: Make) -> None:
    node = make(device="gpu")
    published(node.output, "lines-00000001")
    node.run()


def test_a_stage_alone_needs_those_before_it(make: Make) -> None:
    with pytest.raises(SpecError, match=r"--stage train needs .*fetch, which is not done"):
        make().run(only="train")


def test_the_first_node_leads_and_claims_its_attempt_in_the_bucket(make: Make) -> None:
    leader, other = make(), make(rank=1)
    assert (leader.leader, other.leader) == (True, False)
    for node in (leader, other):
        node._claim()
    assert leader.mirror.claims.latest() == leader.mirror.attempt == 1
    assert [info.key.rpartition("attempts/")[2] for info in leader.output.list("checkpoints")] == ["1"]
    assert other.mirror.attempt == 1, "its own first start"


def test_bytes_that_were_here_already_are_not_counted_as_moved(make: Make) -> None:
    node = make()
    tell = node.pull("fetch")
    for done in (100, 150, 400):
        tell(done, 400)
    for done in (0, 50):  # the next transfer
        tell(done, 80)
    text = node.metrics.snapshot().decode()
    (moved,) = (
        line for line in text.splitlines() if line.startswith("ocrfleet_transfer_bytes_total{") and "pull" in line
    )
    assert float(moved.rpartition(" ")[2]) == (400 - 100) + 50


@pytest.mark.parametrize("stage", contract.STAGES)
def test_every_stage_can_be_done_and_names_what_it_makes(make: Make, stage: str) -> None:
    node = make()
    assert stage in pipeline._STAGES
    folders = {"fetch": node.work.data, "prepare": node.work.prepared, "train": node.work.trained}
    if folder := folders.get(stage):
        folder.mkdir()
        (folder / "file").touch()
        named = pipeline._outputs(node.work, stage)
        assert named == ([folder.name] if stage in ("fetch", "prepare") else [f"{folder.name}/file"])
    else:
        assert pipeline._outputs(node.work, stage) == []


@pytest.mark.parametrize(("rank", "pointed"), [(0, "lines-00000001"), (1, None)], ids=["leader", "other"])
def test_a_run_that_is_published_still_gets_its_channel_from_the_leader(
    make: Make, rank: int, pointed: str | None
) -> None:
    """A node may have ended between the publishing and the channel."""
    node = make(rank=rank, publish={"promote": "candidate"})
    published(node.output, "lines-00000001")
    node.run()
    channel = channels.find(node.output, "candidate")
    assert (channel.run if channel else None) == pointed


def test_a_stage_is_a_phase_of_the_metrics_while_it_runs(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def fetch(node: Pipeline) -> dict[str, Any]:
        text = node.metrics.snapshot().decode()
        seen.extend(line for line in text.splitlines() if line.startswith("ocrfleet_phase{") and line.endswith(" 1.0"))
        raise SpecError("Enough.")

    monkeypatch.setitem(pipeline._STAGES, "fetch", fetch)
    with pytest.raises(SpecError, match="Enough"):
        make().run()
    (line,) = seen
    assert 'phase="fetch"' in line or 'stage="fetch"' in line


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages that need Paddle leave a file each; fetch and prepare work on a real dataset. Names what was done."""
    folder = tmp_path / "data"
    folder.mkdir()
    labels = []
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 255, (32, 100, 3), np.uint8)
        (folder / f"{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        labels.append(f"{number}.png\tline {number}\n")
    (folder / "rec_gt.txt").write_text("".join(labels), "utf-8")
    names: list[str] = []

    def noted(stage: str, work: Callable[[Pipeline], dict[str, Any]]) -> Callable[[Pipeline], dict[str, Any]]:
        def run(node: Pipeline) -> dict[str, Any]:
            names.append(stage)
            return work(node)

        return run

    def stand_in(stage: str) -> Callable[[Pipeline], dict[str, Any]]:
        def work(node: Pipeline) -> dict[str, Any]:
            if stage == "rehearse":
                return {}
            folders = {"train": node.work.trained, "evaluate": node.work.evaluation, "export": node.work.inference}
            made = folders.get(stage, node.work.verification) / f"{stage}.bin"
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(stage, "utf-8")
            return {}

        return work

    for stage, real in list(pipeline._STAGES.items()):
        work = real if stage in ("fetch", "prepare") else stand_in(stage)
        monkeypatch.setitem(pipeline._STAGES, stage, noted(stage, work))
    return names


def test_what_a_node_has_done_is_not_done_again(
    make: Make, done: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    assert done == list(contract.STAGES)
    assert "This node has PaddlePaddle" in capsys.readouterr().err
    assert node.machine["cores"] > 0
    assert node.work.configuration.exists()
    assert [key.rpartition("/")[2] for key in receipts(node)] == [
        "evaluate.json",
        "export.json",
        "rehearse.json",
        "train.json",
        "verify.json",
    ]
    done.clear()
    again = Pipeline(node.given, console=node.console, metrics=node.metrics)
    again.run()
    assert done == []
    assert capsys.readouterr().err.count("already done") == len(contract.STAGES)
    assert again.mirror.attempt == 2


def test_a_run_without_a_rehearsal_is_the_same_run(make: Make, done: list[str]) -> None:
    """What was trained after a rehearsal holds without one, and the other way round."""
    node = make(train={"batchSizePerDevice": 2})
    off = replace(node.given, rehearse=False)
    Pipeline(off, console=node.console, metrics=node.metrics).run()
    assert done == [stage for stage in contract.STAGES if stage != "rehearse"]
    done.clear()
    node.run()
    assert done == [], "what is trained already is not rehearsed"
    node.work.receipt("publish").unlink()
    Pipeline(off, console=node.console, metrics=node.metrics).run()
    assert done == ["publish"]


def test_a_rehearsal_is_repeated_only_for_other_data(
    make: Make, done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that lost its disk while it trained knows from the bucket that it was rehearsed."""

    def lost(node: Pipeline) -> dict[str, Any]:
        raise TransientError("A node was lost.")

    monkeypatch.setitem(pipeline._STAGES, "train", lost)
    node = make(train={"batchSizePerDevice": 2})
    attempts = []
    for disk in ("kept", "lost", "other data"):
        done.clear()
        if disk != "kept":
            node.work.root.rename(tmp_path / disk)
            node.work.root.mkdir()
        if disk == "other data":
            (tmp_path / "data" / "rec_gt.txt").write_text("".join(f"{n}.png\tabc {n}\n" for n in range(12)), "utf-8")
        with pytest.raises(TransientError):
            Pipeline(node.given, console=node.console, metrics=node.metrics).run()
        attempts.append("rehearse" in done)
    assert attempts == [True, False, True]


def test_a_rehearsal_alone_is_the_leaders_and_no_other_stage_needs_it(make: Make, done: list[str]) -> None:
    for node in (make(train={"batchSizePerDevice": 2}), make(rank=1, train={"batchSizePerDevice": 2})):
        for stage in ("fetch", "prepare", "train", "rehearse"):
            Pipeline(node.given, console=node.console, metrics=node.metrics).run(only=stage)
    assert done == ["fetch", "prepare", "train", "rehearse", "fetch", "prepare", "train"]


@pytest.mark.parametrize(
    ("by", "memory", "kind"),
    [("SIGSEGV", False, SpecError), ("SIGKILL", True, SpecError), ("SIGKILL", False, WorkerKilledError)],
)
def test_a_rehearsal_whose_process_crashes_is_not_retried(
    make: Make, monkeypatch: pytest.MonkeyPatch, by: str, memory: bool, kind: type[Exception]
) -> None:
    def alone(stage: str) -> dict[str, Any]:
        raise WorkerKilledError("Worker 0 was killed.", by=by, memory=memory)

    node = make()
    node.work.root.mkdir(exist_ok=True)
    monkeypatch.setattr(node, "alone", alone)
    with pytest.raises(kind):
        pipeline._rehearse(node)


def test_a_stop_in_the_rehearsal_does_not_begin_the_training(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    node = make()

    def alone(stage: str) -> dict[str, Any]:
        node.supervisor.stop()
        return {}

    monkeypatch.setattr(node, "alone", alone)
    with pytest.raises(StoppedError, match="which the next start repeats"):
        pipeline._rehearse(node)


def receipts(node: Pipeline) -> list[str]:
    return sorted(info.key for info in node.output.list("checkpoints") if "/receipts/1/" in info.key)


def test_a_node_that_lost_its_disk_has_its_results_back_from_the_bucket(
    make: Make, done: list[str], tmp_path: Path
) -> None:
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    done.clear()
    node.work.root.rename(tmp_path / "lost")
    node.work.root.mkdir()
    Pipeline(node.given, console=node.console, metrics=node.metrics).run()
    assert done == ["fetch", "prepare", "publish"]
    assert (node.work.trained / "train.bin").read_text("utf-8") == "train"


def test_a_damaged_receipt_or_output_in_the_bucket_costs_its_stage_only(
    make: Make, done: list[str], tmp_path: Path
) -> None:
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    done.clear()
    store = node.mirror.store
    store.put("receipts/1/train.json", store.get("receipts/1/train.json").replace(b'"stage"', b'"stagf"'))
    store.put("stages/1/verify/verification/verify.bin", b"verifz")
    node.work.root.rename(tmp_path / "lost")
    node.work.root.mkdir()
    Pipeline(node.given, console=node.console, metrics=node.metrics).run()
    assert done == ["fetch", "prepare", "train", "verify", "publish"]


def test_a_stage_alone_is_done_even_if_it_is_done(make: Make, done: list[str]) -> None:
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    for stage in ("prepare", "export"):
        done.clear()
        Pipeline(node.given, console=node.console, metrics=node.metrics).run(only=stage)
        assert done == [stage]


def test_a_damaged_dataset_is_fetched_again_and_what_followed_still_holds(make: Make, done: list[str]) -> None:
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    done.clear()
    (node.work.train_data / "rec_gt.txt").write_text("0.png\tother\n", "utf-8")
    Pipeline(node.given, console=node.console, metrics=node.metrics).run()
    assert done == ["fetch"]


@pytest.mark.parametrize("name", ["train.jsonl", "dataset.json", "dictionary.txt"])
def test_a_prepared_list_that_changed_is_prepared_again(make: Make, done: list[str], name: str) -> None:
    """The same number of bytes: a flipped byte, or a label that somebody edits."""
    node = make(train={"batchSizePerDevice": 2})
    node.run()
    done.clear()
    path = node.work.prepared / name
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 0x80]) + whole[1:])
    Pipeline(node.given, console=node.console, metrics=node.metrics).run()
    assert done == ["prepare"]
    assert path.read_bytes() == whole


def test_another_node_ends_after_the_gangs_stages_and_claims_nothing(make: Make, done: list[str]) -> None:
    node = make(rank=1, train={"batchSizePerDevice": 2})
    node.run()
    assert done == ["fetch", "prepare", "train", "evaluate"]
    assert node.output.list("checkpoints") == []
    done.clear()
    Pipeline(node.given, console=node.console, metrics=node.metrics).run()
    assert done == ["train", "evaluate"], "the leader knows whether these are done"


def test_a_checkpoint_that_a_worker_reports_goes_to_the_bucket(make: Make, tmp_path: Path) -> None:
    node = make()
    node._claim()
    folder = node.work.checkpoint(12)
    folder.mkdir(parents=True)
    (folder / "state.bin").write_bytes(b"state")
    node.mirror.begin_pushing(Signatures(key=RunKey(bytes(32)), folder=node.work.signatures))
    node.tell(Notice(rank=0, message="slow"))
    node.tell(Checkpointed(rank=0, step=12, seconds=0.1))
    node.mirror.finish_pushing()
    assert any(info.key.endswith("state.bin") for info in node.output.list("checkpoints"))
