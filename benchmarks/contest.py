"""Two ways to train the same thing, timed alike: PaddleOCR's own `tools/train.py`, and the worker of a run.

Both read one configuration and the same samples. Each is a process of its own that says when a step is done, and its
clock is this process': from the moment that the last step of the warm-up is heard of, to the moment that the last step
is. Start-up, evaluation and saving are outside of that time on both sides.
"""

import contextlib
import copy
import dataclasses
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from jobs.local.plan import free_ports
from trainer import contract, recipes
from trainer.datasets.prepared import Prepared
from trainer.errors import StoppedError, TransientError
from trainer.node.supervisor import Supervisor
from trainer.ppocr import tree
from trainer.run import spec as runspec
from trainer.run.assignment import DeadlineSeconds
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.stages.prepare import prepare
from trainer.system.cpu import mathematics
from trainer.telemetry.events import Event, Step

SPARE: Final = 5
"""Batches of the epoch beyond the last that is timed, so that neither side comes to its end, where both save."""

DEADLINE: Final = 600.0
"""Seconds that one side gets for its start and all of its steps."""

_STEP: Final = re.compile(r"\bglobal_step: (\d+)")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What both sides train."""

    task: str
    """`det` or `rec`."""

    recipe: str
    """A built-in recipe."""

    batch: int
    """Samples a step and device."""

    overrides: Mapping[str, Any] = field(default_factory=dict)
    """PaddleOCR keys that make it small enough for a CPU."""

    readers: int | None = None
    """Reader processes of both sides; None leaves each side its default."""

    warm_up: int
    """Steps before the clock is started."""

    steps: int
    """Steps that are timed, after the warm-up; a multiple of it."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long one side took."""

    seconds: float
    """From the end of the warm-up to the end of the last step."""

    samples_per_second: float
    """Over all devices."""


def prepare_run(folder: Path, dataset: Path, setting: Setting, *, devices: int = 1) -> WorkDir:
    """Make the run's folder that both sides train from.

    Args:
        folder: where to make it.
        dataset: a labelled dataset, such as PPOCRLabel exports.
        setting: what to train.
        devices: worker processes that share the samples of an epoch.

    Raises:
        OcrfleetError: the dataset or the setting is wrong.
    """
    train = {"batchSizePerDevice": setting.batch, "readers": setting.readers}
    work, run = make_run(
        folder,
        dataset,
        task=setting.task,
        recipe=setting.recipe,
        overrides=dict(setting.overrides),
        train={name: value for name, value in train.items() if value is not None},
    )
    _repeat_samples(work, (setting.warm_up + setting.steps + SPARE) * setting.batch * devices)
    config = recipes.resolve(run, Prepared.load(work.prepared), world_size=devices).config
    # Batches by width are ours alone: both sides pad every line to one width.
    config["Train"].pop("sampler", None)
    # PaddleOCR would read its own predictions after every step, which is work that ours does not have.
    config["Global"]["cal_metric_during_train"] = False
    work.configuration.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), "utf-8")
    return work


def make_run(folder: Path, dataset: Path, **fields: Any) -> tuple[WorkDir, RunSpec]:
    """Make a run's folder with its prepared dataset, from some fields of `run`."""
    work = WorkDir(folder)
    work.data.mkdir(parents=True)
    work.train_data.symlink_to(dataset.absolute(), target_is_directory=True)
    places = {"data": {"train": "file:///not-fetched", "split": "6:2:2"}, "output": "file:///not-published"}
    run = runspec.from_dict(RunSpec, {**places, **fields}, where="run")
    work.run_file.write_text(
        yaml.safe_dump({"apiVersion": contract.API_VERSION, "name": "benchmark", "run": runspec.to_dict(run)}), "utf-8"
    )
    prepare(run, work)
    return work, run


def _repeat_samples(work: WorkDir, count: int) -> None:
    """Make the training split `count` samples long, so that all timed steps are of one epoch."""
    prepared = Prepared.load(work.prepared)
    splits = {split: prepared.samples(split) for split in prepared.counts}
    splits["train"] = list(itertools.islice(itertools.cycle(splits["train"]), count))
    dataclasses.replace(prepared, counts={name: len(members) for name, members in splits.items()}).save(splits)


def time_ours(work: WorkDir, setting: Setting, *, threads: int | None, devices: int = 1) -> Timing:
    """Train with the run's workers, stop them after the last step, and give the time.

    Args:
        work: the folder that `prepare_run` made.
        setting: what to train.
        threads: OpenMP threads a process; None leaves it to the supervisor.
        devices: worker processes.

    Raises:
        OcrfleetError: training failed.
    """
    heard: dict[int, float] = {}
    last = setting.warm_up + setting.steps

    def hear(event: Event) -> None:
        if isinstance(event, Step) and event.rank == 0:
            heard[event.step] = time.monotonic()
            if event.step == last:
                supervisor.stop()

    supervisor = supervisor_of(devices, hear=hear, stall=DEADLINE)
    for folder in (work.checkpoints, work.trained):
        shutil.rmtree(folder, ignore_errors=True)
    work.trained.mkdir()
    # It is stopped when its last step is done; an epoch that ended by itself would have saved and evaluated.
    with _threads(threads), contextlib.suppress(StoppedError):
        supervisor.run(
            "train", workdir=work.root, log=lambda rank: work.worker_log(attempt=1, stage="train", rank=rank)
        )
    return _timing(heard, setting, devices=devices)


def supervisor_of(devices: int, *, hear: Callable[[Event], None], stall: float) -> Supervisor:
    """Return what starts a gang of workers on this machine."""
    return Supervisor(
        Topology(devices_per_node=devices, port=free_ports(contract.ports(devices))),
        deadlines=DeadlineSeconds(rendezvous=stall, stall=stall),
        hear=hear,
    )


def time_paddleocr(work: WorkDir, setting: Setting, *, threads: int | None, mkl: bool = True) -> Timing:
    """Train with PaddleOCR's `tools/train.py`, end it after the last step, and give the time.

    Args:
        work: the folder that `prepare_run` made.
        setting: what to train.
        threads: OpenMP threads; None leaves it to Paddle, which takes one.
        mkl: with `threads`, whether MKL gets the same variable as in a worker.

    Raises:
        TransientError: it ended or went silent before its last step.
    """
    own = work.root / "paddleocr"
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir()
    (own / "configuration.yml").write_text(yaml.safe_dump(for_paddleocr(work, setting, own)), "utf-8")
    heard: dict[int, float] = {}
    last = setting.warm_up + setting.steps
    with _threads(threads, mkl=mkl), (own / "output.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, str(tree.root() / "tools" / "train.py"), "-c", str(own / "configuration.yml")],
            cwd=own,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Its readers are ended with it.
            start_new_session=True,
        )
        deadline = threading.Timer(DEADLINE, _end, (process,))
        deadline.start()
        try:
            for line in process.stdout or ():
                log.write(line)
                if found := _STEP.search(line):
                    heard[int(found[1])] = time.monotonic()
                if last in heard:
                    break
        finally:
            deadline.cancel()
            _end(process)
            process.communicate()
    if last not in heard:
        tail = "".join((own / "output.log").read_text("utf-8").splitlines(keepends=True)[-20:])
        raise TransientError(f"PaddleOCR's training ended before step {last}. Its last lines:\n{tail}")
    return _timing(heard, setting, devices=1)


def for_paddleocr(work: WorkDir, setting: Setting, own: Path) -> dict[str, Any]:
    """Give the run's configuration with what `tools/train.py` wants beside: where samples and outputs are."""
    config: dict[str, Any] = copy.deepcopy(yaml.safe_load(work.configuration.read_text("utf-8")))
    prepared = Prepared.load(work.prepared)
    for section, split in (("Train", "train"), ("Eval", "eval")):
        labels = own / f"{split}.txt"
        rows = [f"{sample.image.absolute()}\t{sample.label}\n" for sample in prepared.samples(split)]
        labels.write_text("".join(rows), "utf-8")
        config[section]["dataset"] |= {"data_dir": "", "label_file_list": [str(labels)]}
    never = 10**9
    config["Global"] |= {
        "use_gpu": False,
        "log_smooth_window": 20,
        # Ours speaks after each step; this is as seldom as the clock allows.
        "print_batch_step": setting.warm_up,
        "save_model_dir": str(own / "output"),
        "save_epoch_step": never,
        "eval_batch_step": [never, never],
    }
    return config


def _timing(heard: Mapping[int, float], setting: Setting, *, devices: int) -> Timing:
    seconds = heard[setting.warm_up + setting.steps] - heard[setting.warm_up]
    samples = setting.steps * setting.batch * devices
    return Timing(seconds=seconds, samples_per_second=samples / seconds)


@contextlib.contextmanager
def _threads(count: int | None, *, mkl: bool = True) -> Iterator[None]:
    """Set the OpenMP threads of one side, and with `mkl` the variable that a worker sets; None keeps the defaults."""
    ours = mathematics()
    before = {name: os.environ.pop(name) for name in ours if name in os.environ}
    if count is not None:
        os.environ |= {**(ours if mkl else {}), "OMP_NUM_THREADS": str(count)}
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
        os.environ |= before


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
