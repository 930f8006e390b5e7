"""The road that the demo and the receipts go: a bucket, two trainings through the command line, a reading.

Everything is done as a user would: `ocrfleet` is started as a program, with the environment of an S3 server that
lives as long as the walk. A fault of a step is a `StepError`, and Ctrl-C or SIGTERM a `KeyboardInterrupt`, which
leaves no process behind.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from examples.local_s3 import local_s3
from jobs.jobfile import model as jobfile
from trainer.errors import OcrfleetError
from trainer.run.workdir import LocalRunDir, WorkDir
from trainer.storage import open_store

BUCKETS = ("ocr-data", "ocr-models")
"""Buckets that the job files of the examples name."""

PATIENCE = 330.0
"""Seconds for `ocrfleet` to end after it was told to; it gives its own nodes 300 to save a checkpoint."""


class StepError(Exception):
    """A step failed; the message says which and where to look."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run that is published."""

    model: str
    """Its name for `ocrfleet predict`."""

    work: WorkDir
    """The leader's work folder, with report and facts."""


class Walk:
    """Steps that are announced with their number, in a folder of their own."""

    def __init__(self, folder: Path, *, steps: int) -> None:
        self.folder = folder
        self._steps, self._step, self._began = steps, 0, time.monotonic()

    def announce(self, what: str) -> None:
        """Say which step begins."""
        self._step += 1
        say(f"\n[{self._step}/{self._steps}, {self.elapsed}] {what}")

    @property
    def elapsed(self) -> str:
        """Time since the first step."""
        minutes, seconds = divmod(round(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02d}"

    def upload(self, folder: Path, uri: str) -> None:
        """Put a folder's files into a bucket."""
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        open_store(uri).push(files)
        say(f"{len(files)} files in {uri}")

    def train(self, job: Path) -> Trained:
        """Run a job file to its published model."""
        runs = self.folder / "runs"
        run_id = ocrfleet("run", str(job), "--workdir", str(runs)).strip()
        output = jobfile.load(job).run.output.rstrip("/")
        return Trained(model=f"{output}#{run_id}", work=LocalRunDir(runs / run_id).node(0))

    def read(self, images: Path, *, detector: Trained, recogniser: Trained) -> Path:
        """Read images with a pair of published models; give the folder of the results."""
        out = self.folder / "read"
        ocrfleet("predict", "--det", detector.model, "--rec", recogniser.model, str(images), "--out", str(out))
        return out


def cpu_seconds() -> float:
    """Return the CPU time of this process and of all that it has started and that have ended, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def say(text: str) -> None:
    """Tell the user."""
    print(text, file=sys.stderr, flush=True)


def ocrfleet(*words: str) -> str:
    """Run a command of ocrfleet and give what it writes to standard output.

    Raises:
        StepError: it ends with anything but 0.
    """
    say(f"$ ocrfleet {' '.join(words)}")
    program = shutil.which("ocrfleet", path=sysconfig.get_path("scripts")) or shutil.which("ocrfleet")
    if program is None:
        raise StepError("The command ocrfleet is not installed beside this Python: run `make setup`.")
    process = subprocess.Popen([program, *words], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        _stop(process)
        raise
    if process.returncode:
        raise StepError(f"`ocrfleet {words[0]}` ended with {process.returncode}.", process.returncode)
    return output


def walk(main: Callable[[Walk], None], *, folder: Path, steps: int) -> int:
    """Walk a road from an empty folder, with an S3 server beside; give the exit code.

    Args:
        main: the steps.
        folder: emptied first, so that every walk is a whole one.
        steps: how many are announced.
    """
    folder = folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with (
            _sigterm_as_interrupt(),
            local_s3(folder / "s3", buckets=BUCKETS) as server,
            _environment(server.environment),
        ):
            main(Walk(folder, steps=steps))
    except StepError as error:
        say(f"\n{error}")
        return error.code
    # What storage and the S3 server have to say is a sentence, too.
    except (OcrfleetError, RuntimeError) as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    return 0


def _stop(process: subprocess.Popen[str]) -> None:
    """End a command in order; a second Ctrl-C reaches it from the terminal, and here it is waited for."""
    process.terminate()
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            process.wait(until - time.monotonic())
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            continue
    process.kill()
    process.wait()


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _environment(added: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(added)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
