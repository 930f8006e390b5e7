"""The training loop on real paddle workers: equal ranks, an orderly stop, a true resume."""

import json
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml

from examples.demo import pages
from jobs.local.plan import free_ports
from tests.e2e.commands import RECIPES, SMALL
from trainer import contract, recipes
from trainer.datasets.prepared import Prepared
from trainer.errors import DatasetError, DivergedError, SpecError, StoppedError, TransientError
from trainer.node.supervisor import Supervisor
from trainer.run import spec as runspec
from trainer.run.assignment import DeadlineSeconds
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.stages.prepare import prepare
from trainer.state import checkpoints
from trainer.state.checkpoints import file_digest
from trainer.telemetry.events import Ready, Step
from trainer.weights import arrays
from trainer.weights.facts import Origin

pytestmark = [pytest.mark.paddle, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]


SMALLER = {
    # Dropout in its CTC neck and in the decoder that guides it, and RecConAug joins lines.
    "dropout": {
        "Train.dataset.transforms.RecConAug.image_shape": [32, 64, 3],
        "Train.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
        "Eval.dataset.transforms.RecResizeImg.image_shape": [3, 32, 64],
    },
}


def a_run(
    folder: Path,
    task: str,
    *,
    overrides=None,
    world=2,
    init=None,
    data=None,
    recipe=None,
    checkpoint=None,
    distill=None,
    **train,
) -> WorkDir:
    """Prepare a run of a few steps on six generated pages."""
    work = WorkDir(folder)
    source = work.train_data / "pages"
    if not source.exists():
        pages.write_export(source, pages=6, seed=1)
    run = runspec.from_dict(
        RunSpec,
        {
            "task": task,
            "recipe": recipe or RECIPES[task],
            "overrides": {**({} if recipe else SMALL[task]), **(overrides or {})},
            "data": {"train": "file:///unused", "split": "4:1:1", **(data or {})},
            "train": {"epochs": 3, "batchSizePerDevice": 4, **train},
            "checkpoint": checkpoint or {},
            "init": init or {},
            "distill": distill or {},
            "output": "file:///unused",
        },
        where="run",
    )
    content = {"apiVersion": contract.API_VERSION, "name": "test", "run": runspec.to_dict(run)}
    work.run_file.write_text(yaml.safe_dump(content))
    prepare(run, work, lambda done, total: None)
    configure(work, run, world=world)
    work.trained.mkdir(exist_ok=True)
    return work


def configure(work: WorkDir, run: RunSpec, *, world: int, more=lambda config: None) -> None:
    """Write the configuration that the workers read."""
    recipe = recipes.resolve(run, Prepared.load(work.prepared), world_size=world)
    more(recipe.config)
    work.configuration.write_text(yaml.safe_dump(recipe.config))


def train(
    work: WorkDir, *, world=2, stop_at: int | None = None, kill_at: int | None = None, program: Sequence[str] = ()
) -> dict:
    """Train on `world` workers, asking them to stop, or killing one, after a step if wanted; give training.json."""
    pids = {}

    def hear(event):
        if isinstance(event, Ready):
            pids[event.rank] = event.pid
        if isinstance(event, Step) and event.rank == world - 1:
            if event.step == stop_at:
                supervisor.stop()
            if event.step == kill_at:
                os.kill(pids[event.rank], signal.SIGKILL)

    more = {"program": tuple(program)} if program else {}
    supervisor = Supervisor(
        Topology(devices_per_node=world, port=free_ports(world + 1)),
        deadlines=DeadlineSeconds(rendezvous=60, stall=60),
        hear=hear,
        **more,
    )
    supervisor.run("train", workdir=work.root, log=lambda rank: work.worker_log(attempt=1, stage="train", rank=rank))
    return json.loads(work.training_facts.read_text())


def mixing(config) -> None:
    """Have CopyPaste mix regions of another page into each."""
    dataset = config["Train"]["dataset"]
    place = next(i for i, operator in enumerate(dataset["transforms"]) if "IaaAugment" in operator)
    dataset["transforms"].insert(place, {"CopyPaste": None})
    dataset["ext_op_transform_idx"] = place


@pytest.mark.parametrize(
    ("kind", "world"),
    [
        ("rec", 1),
        ("rec", 2),
        ("det", 1),
        ("det", 2),
        ("dropout", 1),
        ("dropout", 2),
    ],
)
@pytest.mark.slow
def test_a_run_that_was_ended_twice_goes_on_to_the_end_it_would_have_had(tmp_path, kind, world):
    """Killed at one step and stopped at another, each in the middle of an epoch or at its end, and resumed in new
    processes: the same parameters, statistics, optimizer, losses, evaluations and best model as one never ended.

    That two ranks end with equal parameters at all is checked by the loop itself.
    """

    def make(name: str) -> WorkDir:
        every = {"checkpoint": {"every": "2steps"}, "world": world}
        if kind == "dropout":
            more = {"overrides": SMALLER[kind], "recipe": "rec-pp-ocrv5-mobile", "batchSizePerDevice": 8, "epochs": 2}
            return a_run(tmp_path / name, "rec", **more, **every)
        work = a_run(tmp_path / name, kind, **every)
        if kind == "det":
            _, run = runspec.read_run(work.run_file)
            configure(work, run, world=world, more=mixing)
        return work

    ends_as_if_never_ended(make("whole"), make("ended"), world=world)


def ends_as_if_never_ended(whole_work: WorkDir, work: WorkDir, *, world: int) -> dict:
    """Train one run undisturbed and another in three pieces; give what the undisturbed one found."""
    whole = train(whole_work, world=world)
    # Others for each case, and the same whenever it is run.
    steps = random.Random(os.environ["PYTEST_CURRENT_TEST"]).sample(range(1, whole["steps"]), 2)
    kill, stop = sorted(steps)
    told = f"killed at step {kill}, stopped at step {stop} of {whole['steps']}"
    with pytest.raises(TransientError, match="was killed by SIGKILL"):
        train(work, world=world, kill_at=kill)
    with pytest.raises(StoppedError, match=r"Stopped after step \d+\. The state is saved"):
        train(work, world=world, stop_at=stop)
    assert stop <= checkpoints.verified(checkpoints.local(work.checkpoints)[-1]).facts["step"] <= whole["steps"], told
    resumed = train(work, world=world)
    for name in ("parameters_sha256", "history", "best", "steps", "samples"):
        assert whole[name] == resumed[name], (name, told)
    assert whole.get("distillation", {}).get("picked") == resumed.get("distillation", {}).get("picked")
    first, second = (checkpoints.local(folder.checkpoints)[-1] for folder in (whole_work, work))
    assert first.name == second.name, told
    # Every rank's statistics, too; and in state.json its random states.
    files = {"model", "optimizer", "best", *(f"rank-{rank}" for rank in range(world))}
    names = {*(f"{file}.safetensors" for file in files), "state.json", checkpoints.SEAL}
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()} == names
    for file in files:
        same_tensors(*(arrays.read(folder / f"{file}.safetensors") for folder in (first, second)))
    assert (first / "state.json").read_bytes() == (second / "state.json").read_bytes()
    assert len(json.loads((first / "state.json").read_bytes())["generators"]) == world
    return whole


def same_tensors(one, other) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert np.array_equal(value, other[name]), name


def test_a_damaged_checkpoint_costs_steps_and_does_not_change_the_result(tmp_path):
    """The newest is damaged; the one before it leads to the same model, with the same best one."""
    works = [a_run(tmp_path / name, "rec", world=1, checkpoint={"every": "2steps"}) for name in ("whole", "damaged")]
    whole = train(works[0], world=1)
    with pytest.raises(StoppedError):
        train(works[1], world=1, stop_at=whole["steps"] - 1)
    weights = checkpoints.local(works[1].checkpoints)[-1] / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    resumed = train(works[1], world=1)
    for name in ("parameters_sha256", "history", "best", "steps", "samples"):
        assert whole[name] == resumed[name], name
    assert file_digest(works[0].best_weights) == file_digest(works[1].best_weights)


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_data_that_changed_under_a_run_end_it_on_all_ranks(tmp_path, world):
    work = a_run(tmp_path, "rec", world=world)
    with pytest.raises(StoppedError):
        train(work, world=world, stop_at=1)
    facts = json.loads((work.prepared / "dataset.json").read_text())
    (work.prepared / "dataset.json").write_text(json.dumps({**facts, "digest": "0" * 64}))
    with pytest.raises(DatasetError, match=r"^The data changed under this run: .* now the digest is 0{64}"):
        train(work, world=world)


def mean_loss(facts: dict, *, epoch: int) -> float:
    return float(np.mean([entry["loss"] for entry in facts["history"]["loss"] if entry["epoch"] == epoch]))


def test_training_lowers_the_loss(tmp_path):
    """The metric says nothing yet: a few pages are too few to read others."""
    facts = train(a_run(tmp_path, "rec", world=1, epochs=2, evaluateEvery="2ep"), world=1)
    assert mean_loss(facts, epoch=2) < 0.6 * mean_loss(facts, epoch=1)


RATE = 0.5
OBSERVED = """
import os, sys
from pathlib import Path
import numpy as np, paddle
from trainer.ppocr import build, train_step, worker

class Observed(train_step.TrainStep):
    def __call__(self, batch):
        def weights():
            return {name: weight.numpy() for name, weight in self.model.named_parameters()}

        path = Path(sys.argv[sys.argv.index("--workdir") + 1]) / f"rank-{paddle.distributed.get_rank()}.npz"
        if path.exists():
            return super().__call__(batch)
        before = weights()
        self.network.train()
        with self.network.no_sync():
            tensors = [paddle.to_tensor(array) for array in batch]
            self.loss(self.network(tensors[0]), tensors)["loss"].backward()
        # A layer that this network leaves out has none.
        own = {name: w.grad.numpy() for name, w in self.model.named_parameters() if w.grad is not None}
        self.optimizer.clear_grad()
        losses = super().__call__(batch)
        told = {"before": before, "own": own, "after": weights()}
        np.savez(path, **{f"{when} {name}": value for when, of in told.items() for name, value in of.items()})
        return losses

def descent(config, model, **_):
    return paddle.optimizer.SGD(learning_rate=RATE, parameters=model.parameters()), RATE

RATE = float(os.environ["OCRFLEET_TEST_RATE"])
build.build_optimizer, train_step.TrainStep = descent, Observed
code = worker.main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""


def test_a_step_of_two_ranks_is_one_step_along_the_mean_of_their_gradients(tmp_path, monkeypatch):
    monkeypatch.setenv("OCRFLEET_TEST_RATE", str(RATE))
    script = tmp_path / "observed.py"
    script.write_text(OBSERVED)
    work = a_run(tmp_path / "run", "rec", world=2, epochs=1)
    train(work, world=2, program=(sys.executable, str(script)))
    first, second = (dict(np.load(work.root / f"rank-{rank}.npz")) for rank in (0, 1))
    names = [key.partition(" ")[2] for key in first if key.startswith("own ")]
    assert any(not np.allclose(first[f"own {name}"], second[f"own {name}"]) for name in names), "they saw other data"
    for name in names:
        assert np.array_equal(first[f"before {name}"], second[f"before {name}"]), name
        assert np.array_equal(first[f"after {name}"], second[f"after {name}"]), name
        gradient = (first[f"own {name}"].astype("float64") + second[f"own {name}"]) / 2
        moved = first[f"before {name}"].astype("float64") - first[f"after {name}"]
        scale = float(np.abs(gradient).max())
        assert np.allclose(moved / RATE, gradient, rtol=1e-3, atol=1e-3 * scale + 1e-6), name


@pytest.mark.slow
def test_on_another_number_of_ranks_a_run_goes_on_with_the_samples_that_are_left(tmp_path):
    work = a_run(tmp_path, "rec", world=2)
    with pytest.raises(StoppedError):
        train(work, world=2, stop_at=2)
    saved = checkpoints.verified(checkpoints.local(work.checkpoints)[-1]).facts
    facts = train(work, world=1)
    count = Prepared.load(work.prepared).counts["train"]
    # Whole epochs of steps of 4, of which two were done by two ranks: those of one rank drop what is no whole step.
    left = (count - saved["samples"]) // 4
    assert facts["samples"] == saved["samples"] + 4 * left + 2 * 4 * (count // 4)
    assert facts["steps"] == saved["step"] + left + 2 * (count // 4)
    assert facts["history"]["eval"][-1]["step"] == facts["steps"]


def test_training_starts_from_the_given_weights(tmp_path):
    """At a learning rate of 0 it ends with them, too."""
    first = a_run(tmp_path / "first", "rec", world=1, epochs=1)
    trained = train(first, world=1)
    from trainer.ppocr import export

    published = tmp_path / "model.pdparams"
    export.export_weights(first.best_weights, published)
    init = {"pretrained": published.as_uri(), "sha256": file_digest(published)}
    still = {"Optimizer.lr": {"name": "Const", "learning_rate": 0.0}}
    second = a_run(tmp_path / "second", "rec", world=1, epochs=1, overrides=still, init=init)
    second.pretrained.write_bytes(published.read_bytes())
    Origin(uri=init["pretrained"], sha256=init["sha256"]).write(second.pretrained_facts)
    assert train(second, world=1)["parameters_sha256"] == trained["parameters_sha256"]


@pytest.mark.parametrize("stop", [None, 2], ids=["done", "stopped"])
@pytest.mark.slow
def test_who_keeps_the_store_leaves_last(tmp_path, stop):
    """Rank 1 asks rank 0's store late each time; rank 0 may be at its end by then, and must not be gone."""
    script = tmp_path / "slow.py"
    script.write_text(
        """
import os, sys, time
from trainer.ppocr import collective, worker

class Slow:
    def __init__(self, store):
        self.set, self.later = store.set, store.wait

    def wait(self, name):
        time.sleep(0.2)
        self.later(name)

if os.environ["PADDLE_TRAINER_ID"] == "1":
    real = collective._store
    collective._store = lambda: Slow(real())
code = worker.main()
sys.stdout.flush()
os._exit(code)
"""
    )
    work = a_run(tmp_path / "run", "rec", world=2, epochs=1)
    program = (sys.executable, str(script))
    if stop is None:
        assert train(work, world=2, program=program)["steps"] > 0
        return
    with pytest.raises(StoppedError):
        train(work, world=2, stop_at=stop, program=program)
    log = work.worker_log(attempt=1, stage="train", rank=1).read_text()
    assert "Traceback" not in log, log


COUNTING = """
import json, multiprocessing, os
from pathlib import Path
forks = []
os.register_at_fork(before=lambda: forks.append(1))

def write_counts():
    counts = [len(forks), len(multiprocessing.active_children())]
    Path(__file__).with_suffix(".json").write_text(json.dumps(counts))
"""
"""Counts the processes that a worker has forked, and those that are left, into a file."""


def counting(folder: Path) -> tuple[str, ...]:
    """Return a worker program that counts its readers."""
    script = folder / "counting.py"
    script.write_text(
        f"""{COUNTING}
import sys
from trainer.ppocr import worker
code = worker.main()
write_counts()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""
    )
    return sys.executable, str(script)


def test_readers_are_started_once_for_all_epochs_and_none_is_left(tmp_path):
    """And nothing but the time changes: neither where they read from one epoch into the next, nor after a stop."""
    plain = train(a_run(tmp_path / "plain", "rec", world=1), world=1)
    work = a_run(tmp_path / "readers", "rec", world=1, readers=2)
    with pytest.raises(StoppedError):
        train(work, world=1, stop_at=plain["steps"] // 2, program=counting(tmp_path))
    counts = tmp_path / "counting.json"
    assert json.loads(counts.read_text()) == [2, 0]
    facts = train(work, world=1, program=counting(tmp_path))
    assert json.loads(counts.read_text()) == [2, 0]
    assert facts["parameters_sha256"] == plain["parameters_sha256"]
    assert facts["reading"]["readers"] == 2
    assert 0 <= facts["reading"]["reader_wait_seconds"] <= facts["reading"]["seconds"]
    assert facts["reading"]["reader_cpu_seconds"] > 0


def test_a_training_that_goes_back_ends_its_readers_before_it_starts_others(tmp_path):
    work = a_run(tmp_path, "rec", world=1, readers=2, checkpoint={"every": "2steps"})
    facts = train(work, world=1, program=poisoned(tmp_path, calls=[4], rank=0))
    assert [entry["step"] for entry in facts["skipped_batches"]] == [3, 4]
    assert json.loads((tmp_path / "poisoned.json").read_text()) == [4, 0]


def test_readers_that_cannot_fit_into_shared_memory_are_refused_before_training(tmp_path):
    work = a_run(tmp_path, "rec", world=1, readers=2)
    script = tmp_path / "small.py"
    script.write_text(
        """
import os, sys
from trainer.ppocr import job, worker
from trainer.system.shared_memory import SharedMemory
job.SharedMemory.now = lambda: SharedMemory(total=4096, free=4096)
code = worker.main()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""
    )
    with pytest.raises(
        SpecError, match=r"run\.train\.readers is 2, but /dev/shm has 1Mi, .* set run.train.readers to 0"
    ):
        train(work, world=1, program=(sys.executable, str(script)))
    assert not checkpoints.local(work.checkpoints)


def poisoned(folder: Path, *, calls: Sequence[int], rank: int) -> tuple[str, ...]:
    """Give a worker program whose loss is no number at these calls of a rank."""
    script = folder / "poisoned.py"
    script.write_text(
        f"""{COUNTING}
import os, sys
from trainer.ppocr import build, worker
honest, count = build.build_loss, iter(range(1, 10**9))

def build_loss(config):
    loss = honest(config)
    def poisoned(predictions, batch):
        losses = loss(predictions, batch)
        mine = int(os.environ["PADDLE_TRAINER_ID"]) == {rank}
        if mine and next(count) in {list(calls)}:
            losses["loss"] = losses["loss"] * float("nan")
        return losses
    return poisoned

build.build_loss = build_loss
code = worker.main()
write_counts()
sys.stdout.flush()
sys.stderr.flush()
os._exit(code)
"""
    )
    return sys.executable, str(script)


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_loss_that_is_no_number_once_costs_two_batches_and_no_more(tmp_path, world):
    """One rank's loss is enough; all go back to the last checkpoint, which is of the step before."""
    work = a_run(tmp_path, "rec", world=world, checkpoint={"every": "2steps"})
    facts = train(work, world=world, program=poisoned(tmp_path, calls=[4], rank=world - 1))
    assert [entry["step"] for entry in facts["skipped_batches"]] == [3, 4]
    left_out = facts["skipped_batches"]
    assert {entry["reason"] for entry in left_out} == {"The loss of step 4 is not finite"}
    assert all(
        len(entry["samples"]) == 4 * world and all(":" in name for name in entry["samples"]) for entry in left_out
    )
    losses = facts["history"]["loss"]
    assert all(np.isfinite(entry["loss"]) for entry in losses)
    assert not {3, 4} & {entry["step"] for entry in losses}
    assert facts["steps"] == losses[-1]["step"]
    samples = Prepared.load(work.prepared).counts["train"]
    assert facts["samples"] == (3 * (samples // (4 * world)) - 2) * 4 * world
    for folder in checkpoints.local(work.checkpoints):
        weights = arrays.read(folder / "model.safetensors")
        assert all(np.isfinite(value).all() for value in weights.values())


def test_a_loss_that_is_no_number_again_ends_the_run(tmp_path):
    """The step counts of the second time are of new batches: 1 and 2 are left out."""
    work = a_run(tmp_path, "rec", overrides={"Optimizer.lr.learning_rate": 1.0e30}, world=1)
    with pytest.raises(
        DivergedError, match=r"step \d+ is not finite, for the second time. The first time was at step 2"
    ):
        train(work, world=1)
    assert [folder.name for folder in checkpoints.local(work.checkpoints)] == ["00000000"]


@pytest.mark.parametrize("readers", [0, 1, 2])
@pytest.mark.parametrize("spoilt", ["all", "two"])
def test_images_that_go_bad_after_prepare_end_the_run_at_the_limit(tmp_path, readers, spoilt):
    """PaddleOCR replaces them, or hangs when all are bad."""
    work = a_run(tmp_path, "det", world=1, epochs=1, readers=readers, data={"maxRefused": {"train": 0.25}})
    samples = Prepared.load(work.prepared).samples("train")
    for sample in samples if spoilt == "all" else samples[:2]:
        sample.image.resolve().write_bytes(b"")
    says = {
        "all": rf"{len(samples)} training samples in a row could not be used\. The first is .*Label.txt:\d+",
        "two": rf"2 of {len(samples)} training samples cannot be used, but run.data.maxRefused.train allows",
    }
    with pytest.raises(DatasetError, match=says[spoilt]):
        train(work, world=1)


def test_a_few_bad_images_are_replaced_and_named(tmp_path):
    work = a_run(tmp_path, "det", world=1, epochs=2, data={"maxRefused": {"train": 0.25}})
    spoilt = Prepared.load(work.prepared).samples("train")[1]
    spoilt.image.resolve().write_bytes(b"")
    facts = train(work, world=1)
    assert facts["refused"].keys() == {spoilt.source}


def test_labels_that_cannot_be_learned_are_left_out_by_name(tmp_path):
    """They are longer than the user's limit: PaddleOCR's encoder drops them without a word."""
    limit = {"Global.max_text_length": 4}
    work = a_run(tmp_path, "rec", world=1, epochs=1, overrides=limit, data={"maxRefused": {"train": 1.0}})
    long = {s.source for s in Prepared.load(work.prepared).samples("train") if len(s.label) > 4}
    facts = train(work, world=1)
    assert facts["refused"].keys() == long
    assert all("more than Global.max_text_length allows" in why for why in facts["refused"].values())
    assert facts["steps"] == (Prepared.load(work.prepared).counts["train"] - len(long)) // 4


def test_an_epoch_without_a_batch_is_the_datasets_fault(tmp_path):
    """PaddleOCR's own loop logs this and returns 0."""
    work = a_run(tmp_path, "rec", world=1, batchSizePerDevice=4096)
    with pytest.raises(DatasetError, match=r"\d+ training samples cannot fill one batch \(4096"):
        train(work, world=1)


def test_reader_processes_make_the_same_batches(tmp_path):
    """With regions of other pages mixed in, too."""

    def made(name: str, **more) -> str:
        work = a_run(tmp_path / name, "det", world=1, epochs=1, **more)
        _, run = runspec.read_run(work.run_file)
        configure(work, run, world=1, more=mixing)
        return train(work, world=1)["parameters_sha256"]

    assert made("here") == made("there", readers=2)
