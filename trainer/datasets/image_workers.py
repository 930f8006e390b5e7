"""Reads the images of a dataset in other processes, so that a file that crashes its decoder does not end the run.

A decoder of foreign bytes may crash, or need more memory than there is. A worker process has one image at a time, so
that a death names its image. That one is read once more by a new worker, and refused if that dies, too. Workers get no
credentials. They receive pickles and answer in JSON and pixels: nothing that comes from a decoder is unpickled here.
"""

import fcntl
import hashlib
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeAlias, cast

import msgspec

from trainer.contract import MAX_PIXELS
from trainer.datasets import headers, images, samples
from trainer.datasets.documents import Document
from trainer.datasets.headers import Header, ImageError
from trainer.datasets.labels import Entry
from trainer.datasets.samples import Crops, Look
from trainer.errors import OcrfleetError
from trainer.formats import typed_json
from trainer.run import worker_env
from trainer.system import memory, process, regular
from trainer.system.cpu import cores
from trainer.telemetry.callbacks import OnProgress

if TYPE_CHECKING:
    from trainer.datasets.images import Image

PROGRAM: Final = (sys.executable, "-P", "-m", "trainer.system.confined", "trainer.datasets.image_workers")
"""With -P: the working folder may be a dataset, and no file of it may be imported."""

_CHUNK: Final = 16
"""Images that a worker gets at once: a crop of a line decodes in about 0.1 ms, less than it costs to hand it over."""

_LARGE: Final = 50_000_000
"""Pixels of an image that no two workers decode at the same time; an A3 sheet at 400 dpi has 31 million."""

_SECONDS: Final = 300
"""In which an image must be decoded: far more than 600 million pixels take on a slow machine."""

_BYTES: Final = {False: 13, True: 27}
"""Measured for each pixel while an image is decoded and turned, opaque or transparent, the file included.

Of the format that takes most: 11.5 for a progressive CMYK JPEG, 12.4 for a PNG and 13.0 for a TIFF; 16.1 for a BMP with
opacity and 26.6 for an RGBA PNG of 16 bits.
"""


class DeadlyError(ImageError):
    """The image killed two processes that decoded it, one after the other, or kept them busy for too long."""


class PageError(ImageError):
    """A page cannot be used. Others of its file may be."""

    def __init__(self, reason: str, *, detail: str, pages: int) -> None:
        super().__init__(reason, detail=detail)
        self.pages = pages


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

    documents: bool = False
    """Whether images may be PDFs."""


Request: TypeAlias = tuple[Entry | int, Path]
"""A labelled image, or the number of a page, from 1; and its file."""


@dataclass(frozen=True)
class Page:
    """A decoded page."""

    pixels: "Image"

    pages: int
    """How many pages the file has."""


Result: TypeAlias = Look | ImageError | Page


class Decode(Protocol):
    """Decodes a page of a file, from 1."""

    def __call__(self, path: Path, number: int = 1) -> Page:
        """Return the page.

        Raises:
            PageError: it cannot be used.
            DeadlyError: it kills the process that decodes it.
        """


@dataclass(frozen=True)
class _Answer:
    """The result of one request; one of the four."""

    look: Look | None = None

    shape: tuple[int, int, int] | None = None
    """Of the decoded image, whose bytes follow."""

    pages: int = 1
    """Of the file."""

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
    results: list[Any] = []
    chunks = [requests[start : start + _CHUNK] for start in range(0, len(requests), _CHUNK)]
    with _pool(reading) as pool, ThreadPoolExecutor(max(1, min(cores(), len(chunks)))) as threads:
        for part in threads.map(pool.read, chunks):
            results += part
            if progress:
                progress(len(results), len(requests))
    return results


@contextmanager
def decoder(*, max_pixels: int = MAX_PIXELS, documents: bool = False) -> Iterator[Decode]:
    """Return a function that decodes a page of a file in another process, and raises ImageError if it cannot be used.

    For a process that needs foreign images one by one, and must survive them.

    Args:
        max_pixels: the most pixels that a page may have.
        documents: whether a file may be a PDF.
    """
    reading = Reading(task="det", of_lines=False, max_pixels=max_pixels, documents=documents)
    with _pool(reading) as pool:

        def decode(path: Path, number: int = 1) -> Page:
            (result,) = pool.read([(number, path)])
            if isinstance(result, ImageError):
                raise result
            return cast(Page, result)

        yield decode


@contextmanager
def _pool(reading: Reading) -> Iterator["_Pool"]:
    # This process has the keys of buckets, and the workers are of the same user.
    process.hide()
    with tempfile.TemporaryFile() as lock, ExitStack() as workers:
        yield _Pool(reading, lock.fileno(), workers)


class _Pool:
    """A worker for each thread."""

    def __init__(self, reading: Reading, lock: int, workers: ExitStack) -> None:
        self._reading = reading
        self._lock = lock
        self._workers = workers
        self._of_thread = threading.local()

    def read(self, requests: Sequence[Request]) -> list[Result]:
        """Read images in the worker of this thread."""
        results: list[Result] = []
        while len(results) < len(requests):
            worker = getattr(self._of_thread, "worker", None) or self._new()
            results += worker.read(requests[len(results) :])
            if len(results) < len(requests):
                # The worker died on the next image. Once more with a new one: what killed it may be something else.
                worker = self._new()
                again: list[Result] = list(worker.read([requests[len(results)]]))
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

    def read(self, requests: Sequence[Request]) -> Iterator[Result]:
        """Read images; there is no result for the one on which the process dies, and for those after it.

        Raises:
            OSError: a crop cannot be written.
            OcrfleetError: the process ended by itself, which is a bug.
        """
        self._send(list(requests))
        for _ in requests:
            if (result := self._next()) is None:
                break
            yield result
        else:
            return
        if (code := self._process.wait()) >= 0:
            raise OcrfleetError(f"A process that reads images exited with code {code}. The reason is in the log above.")

    def _next(self) -> Result | None:
        """Return the next result; None: it died on the way."""
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return None
        answer = typed_json.convert(json.loads(line), _Answer, dec_hook=lambda kind, value: kind(value))
        if answer.shape is None:
            return _result(answer)
        size = math.prod(answer.shape)
        content = self._process.stdout.read(size)
        return Page(_pixels(content, answer.shape), pages=answer.pages) if len(content) == size else None

    def blame(self) -> DeadlyError:
        """Return why the image is refused on which the process died."""
        number = signal.Signals(-self._process.wait())
        if number == signal.SIGALRM:
            return DeadlyError("the image cannot be decoded in time", detail=f" ({_SECONDS} s)")
        name = number.name
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


def _pixels(content: bytes, shape: tuple[int, int, int]) -> "Image":
    import numpy as np

    return np.frombuffer(bytearray(content), np.uint8).reshape(shape)


def _result(answer: _Answer) -> Look | ImageError:
    if answer.failed:
        raise OSError(*answer.failed)
    if answer.refused:
        reason, detail = answer.refused
        return PageError(reason, detail=detail, pages=answer.pages)
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
                for what, path in pickle.load(sys.stdin.buffer):
                    _alarm(_SECONDS)
                    answer, pixels = _answer(what, path, reading, lock)
                    _alarm(0)
                    answers.write(json.dumps(msgspec.to_builtins(answer, enc_hook=str)).encode() + b"\n")
                    if pixels is not None:
                        answers.write(pixels.tobytes())
                    answers.flush()


def _alarm(seconds: float) -> None:
    """Have the kernel end this process after some seconds, even in a library that does not return; 0: never."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _answer(what: Entry | int, path: Path, reading: Reading, lock: int) -> "tuple[_Answer, Image | None]":
    try:
        if isinstance(what, Entry):
            return _Answer(look=_look(what, path, reading, lock)), None
        page = _page(what, path, reading, lock)
        return _Answer(shape=(len(page.pixels), page.pixels.shape[1], 3), pages=page.pages), page.pixels
    except PageError as error:
        return _Answer(refused=(error.reason, error.detail), pages=error.pages), None
    except ImageError as error:
        refused = error.reason, error.detail
    except MemoryError:
        refused = "there is not enough memory to decode the image", ""
    except OSError as error:
        # What is written is not the image's fault.
        if error.filename != str(path):
            return _Answer(failed=(error.errno or 0, error.strerror or str(error), error.filename)), None
        refused = f"the image cannot be read ({error.strerror})", ""
    return _Answer(refused=refused), None


def _page(number: int, path: Path, reading: Reading, lock: int) -> Page:
    raw = _content(path)
    if not reading.documents:
        with _alone(lock, headers.read(raw)):
            return Page(images.decode(raw, max_pixels=reading.max_pixels), pages=1)
    document = Document(raw)
    try:
        with _alone(lock, document.header(number)):
            return Page(document.load(number, max_pixels=reading.max_pixels), pages=document.pages)
    except ImageError as error:
        raise PageError(error.reason, detail=error.detail, pages=document.pages) from error


def _content(path: Path) -> bytes:
    with regular.open_binary(path) as file:
        return file.read()


def _look(entry: Entry, path: Path, reading: Reading, lock: int) -> Look:
    raw = _content(path)
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
    _alarm(0)
    fcntl.lockf(lock, fcntl.LOCK_EX)
    _alarm(_SECONDS)
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
