"""Reads the images of a dataset in other processes, so that a file that crashes its decoder does not end the run.

A decoder of foreign bytes may crash, or need more memory than there is. A worker process has one image at a time, so
that a death names its image. That one is read once more by a new worker, and refused if that dies, too. Workers get no
credentials. They receive pickles and answer in JSON: nothing that comes from a decoder is unpickled here.
"""

import fcntl
import hashlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from trainer.contract import MAX_PIXELS
from trainer.datasets import headers, images, samples
from trainer.datasets.headers import Header, ImageError
from trainer.datasets.labels import Entry
from trainer.datasets.samples import Crops, Look
from trainer.errors import OcrfleetError
from trainer.run import worker_env
from trainer.system import memory
from trainer.system.cpu import cores
from trainer.telemetry.callbacks import OnProgress

PROGRAM: Final = (sys.executable, "-m", "trainer.system.confined", "trainer.datasets.image_workers")

_CHUNK: Final = 16
"""Images that a worker gets at once: a crop of a line decodes in about 0.1 ms, less than it costs to hand it over."""

_LARGE: Final = 50_000_000
"""Pixels of an image that no two workers decode at the same time; an A3 sheet at 400 dpi has 31 million."""

_BYTES: Final = {False: 6, True: 8}
"""Measured for each pixel while an image is decoded, opaque or transparent."""


class DeadlyError(ImageError):
    """The image killed two processes that decoded it, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is made of each image."""

    task: Literal["det", "rec"]
    """det: a sample is a page. rec: a sample is a line."""

    of_lines: bool
    """Whether each image is one line. If not, the lines of a rec task are cut out of pages."""

    crops: Crops | None = None
    """Where cut-out lines are written; None: nowhere."""

    max_pixels: int = MAX_PIXELS
    """The most pixels that an image may have."""


Request: TypeAlias = tuple[Entry, Path]
"""A labelled image, and its file."""


@dataclass(frozen=True)
class _Answer:
    """The result of one request; one of the three."""

    look: Look | None = None

    refused: tuple[str, str] | None = None
    """Reason and detail of an ImageError."""

    failed: tuple[int, str, str | None] | None = None
    """Number, words and file of an OSError that is not the image's fault, such as a full disk."""


def read(
    requests: Sequence[Request], reading: Reading, *, progress: OnProgress | None = None
) -> list[Look | ImageError]:
    """Read and decode every image once, on all cores.

    Args:
        requests: the images.
        reading: what is made of each.
        progress: told after every few images.

    Returns:
        The look at each image in their order, or why it cannot be used.
    """
    results: list[Look | ImageError] = []
    chunks = [requests[start : start + _CHUNK] for start in range(0, len(requests), _CHUNK)]
    with _pool(reading) as pool, ThreadPoolExecutor(max(1, min(cores(), len(chunks)))) as threads:
        for part in threads.map(pool.read, chunks):
            results += part
            if progress:
                progress(len(results), len(requests))
    return results


@contextmanager
def trial(*, max_pixels: int = MAX_PIXELS) -> Iterator[Callable[[Path], ImageError | None]]:
    """Return a function that decodes an image in another process, and says why it cannot be used, if so.

    For a process that decodes foreign images itself, one by one, and must survive them.
    """
    with _pool(Reading(task="rec", of_lines=True, max_pixels=max_pixels)) as pool:

        def why_not(path: Path) -> ImageError | None:
            entry = Entry(image=path.name, source=path.name, group=path.name, split=None)
            (result,) = pool.read([(entry, path)])
            return result if isinstance(result, ImageError) else None

        yield why_not


@contextmanager
def _pool(reading: Reading) -> Iterator["_Pool"]:
    with tempfile.TemporaryFile() as lock, ExitStack() as workers:
        yield _Pool(reading, lock.fileno(), workers)


class _Pool:
    """A worker for each thread."""

    def __init__(self, reading: Reading, lock: int, workers: ExitStack) -> None:
        self._reading = reading
        self._lock = lock
        self._workers = workers
        self._of_thread = threading.local()

    def read(self, requests: Sequence[Request]) -> list[Look | ImageError]:
        """Read images in the worker of this thread."""
        results: list[Look | ImageError] = []
        while len(results) < len(requests):
            worker = getattr(self._of_thread, "worker", None) or self._new()
            results += worker.read(requests[len(results) :])
            if len(results) < len(requests):
                # The worker died on the next image. Once more with a new one: what killed it may be something else.
                worker = self._new()
                again = list(worker.read([requests[len(results)]]))
                if not again:
                    again = [worker.blame()]
                    del self._of_thread.worker
                results += again
        return results

    def _new(self) -> "_Worker":
        self._of_thread.worker = worker = _Worker(self._reading, self._lock)
        self._workers.callback(worker.end)
        return worker


class _Worker:
    """A process that reads images, seen from outside."""

    def __init__(self, reading: Reading, lock: int) -> None:
        self._process = subprocess.Popen(
            [*PROGRAM, str(lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=worker_env.confined(os.environ),
            pass_fds=(lock,),
        )
        self._send(reading)

    def read(self, requests: Sequence[Request]) -> Iterator[Look | ImageError]:
        """Read images; there is no result for the one on which the process dies, and for those after it.

        Raises:
            OSError: a crop cannot be written.
            OcrfleetError: the process ended by itself, which is a bug.
        """
        self._send(list(requests))
        for _ in requests:
            line = self._process.stdout.readline() if self._process.stdout else b""
            if not line.endswith(b"\n"):
                break
            yield _result(line)
        else:
            return
        if (code := self._process.wait()) >= 0:
            raise OcrfleetError(f"A process that reads images exited with code {code}. The reason is in the log above.")

    def blame(self) -> "DeadlyError":
        """Return why the image is refused on which the process died."""
        name = signal.Signals(-self._process.wait()).name
        why = f"{name}; out of memory, unless it was killed by hand" if name == "SIGKILL" else name
        return DeadlyError("the image kills the process that decodes it", detail=f" ({why})")

    def end(self) -> None:
        """End the process, if it has not ended."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                # What a dead process did not read cannot be flushed.
                with suppress(BrokenPipeError):
                    stream.close()
        self._process.kill()
        self._process.wait()

    def _send(self, value: object) -> None:
        if self._process.stdin:
            # That it died is noticed where its answer is missing.
            with suppress(BrokenPipeError):
                pickle.dump(value, self._process.stdin)
                self._process.stdin.flush()


def _result(line: bytes) -> Look | ImageError:
    answer = msgspec.convert(json.loads(line), _Answer, dec_hook=lambda kind, value: kind(value))
    if answer.failed:
        raise OSError(*answer.failed)
    if answer.refused:
        reason, detail = answer.refused
        return ImageError(reason, detail=detail)
    assert answer.look
    return answer.look


def main() -> None:
    """Answer requests until there are no more. Runs in the worker's process."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # It ends with the process that started it, at the end of its input.
        signal.signal(number, signal.SIG_IGN)
    lock = int(sys.argv[1])
    # Nothing that a library prints may come between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        reading: Reading = pickle.load(sys.stdin.buffer)
        with suppress(EOFError):
            while True:
                for entry, path in pickle.load(sys.stdin.buffer):
                    answer = msgspec.to_builtins(_answer(entry, path, reading, lock), enc_hook=str)
                    answers.write(json.dumps(answer).encode() + b"\n")
                    answers.flush()


def _answer(entry: Entry, path: Path, reading: Reading, lock: int) -> _Answer:
    try:
        return _Answer(look=_look(entry, path, reading, lock))
    except ImageError as error:
        return _Answer(refused=(error.reason, error.detail))
    except MemoryError:
        return _Answer(refused=("there is not enough memory to decode the image", ""))
    except OSError as error:
        # What is written is not the image's fault.
        if error.filename != str(path):
            return _Answer(failed=(error.errno or 0, error.strerror or str(error), error.filename))
        return _Answer(refused=(f"the image cannot be read ({error.strerror})", ""))


def _look(entry: Entry, path: Path, reading: Reading, lock: int) -> Look:
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    header = headers.read(raw)
    with _alone(lock, header):
        loaded = images.load(raw, max_pixels=reading.max_pixels)
        if reading.task == "det":
            look = samples.page(entry, path, loaded.pixels, digest)
        elif reading.of_lines:
            look = samples.line(entry, path, loaded.pixels, digest)
        else:
            look = samples.lines(entry, path, loaded.pixels, digest, crops=reading.crops)
    return replace(look, turned=loaded.turned, laid_on_white=loaded.laid_on_white)


@contextmanager
def _alone(lock: int, header: Header) -> Iterator[None]:
    """Wait until no other worker decodes a large image, if this one is large, and see whether there is memory for it.

    The kernel may kill all processes of a container with the one that takes too much, and nobody could name the image.
    """
    if header.pixels <= _LARGE:
        yield
        return
    fcntl.lockf(lock, fcntl.LOCK_EX)
    try:
        needed, left = header.pixels * _BYTES[header.transparent], memory.available()
        if left is not None and needed > left:
            raise ImageError(
                "there is not enough memory to decode the image",
                detail=f" ({header.width} × {header.height} pixels need {needed:,} bytes, {left:,} are available)",
            )
        yield
    finally:
        fcntl.lockf(lock, fcntl.LOCK_UN)


if __name__ == "__main__":
    main()
