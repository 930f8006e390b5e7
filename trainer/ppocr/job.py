"""What a worker works on, read from the run's folder and the environment once."""

import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from trainer.datasets.prepared import Prepared
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import Data
from trainer.system.shared_memory import SharedMemory
from trainer.telemetry.events import Events


@dataclass
class Job:
    """One worker's view of the run."""

    run: RunSpec
    """What to train."""

    config: dict[str, Any]
    """The full PaddleOCR configuration."""

    prepared: Prepared
    """The dataset."""

    work: WorkDir
    """The run's folder on this node."""

    events: Events
    """The way to the supervisor."""

    rank: int
    """0 to `world` - 1."""

    world: int
    """Number of workers."""

    device: str
    """`cpu` or `gpu`."""

    local_size: int = 1
    """Number of workers on this node."""

    shared_memory: SharedMemory = field(default_factory=SharedMemory.now)
    """Of the node, before any worker of the gang has begun to fill it."""

    _signals: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path, *, device: str, rank: int, world: int, events: Events) -> "Job":
        """Read the run's folder."""
        work = WorkDir(folder)
        _, run = runspec.read_run(work.run_file)
        config = yaml.safe_load(work.configuration.read_text("utf-8"))
        prepared = Prepared.load(work.prepared)
        return cls(
            run=run,
            config=config,
            prepared=prepared,
            work=work,
            events=events,
            rank=rank,
            world=world,
            device=device,
            local_size=int(os.environ.get("PADDLE_LOCAL_SIZE", "1")),
            shared_memory=SharedMemory.now(),
        )

    def split(self, wanted: str) -> str:
        """Return `eval` or `test`, or the other where the wanted one has no sample."""
        other = {"eval": "test", "test": "eval"}[wanted]
        return wanted if self.prepared.counts[wanted] else other

    @property
    def data(self) -> Data:
        """What a checkpoint says of the dataset."""
        prepared = self.prepared
        return Data(
            digest=prepared.digest,
            dataset_digest=prepared.dataset_digest,
            dictionary=prepared.dictionary_digest,
            counts=dict(prepared.counts),
            split=prepared.split,
        )

    @property
    def epochs(self) -> int:
        """How many epochs to train."""
        return int(self.config["Global"]["epoch_num"])

    def listen(self) -> None:
        """Take SIGTERM as a wish to stop after the step under way."""

        def note(number: int, _: FrameType | None) -> None:
            self._signals.append(number)

        signal.signal(signal.SIGTERM, note)
        # Paddle's store fails on a system call that a signal interrupts, so the kernel has to resume the call.
        signal.siginterrupt(signal.SIGTERM, False)

    def stopping(self) -> bool:
        """Whether this worker has been told to stop."""
        return bool(self._signals)
