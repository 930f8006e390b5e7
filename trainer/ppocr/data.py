"""Training samples: checked, read, and transformed by PaddleOCR's operators.

PaddleOCR's own dataset silently replaces an unreadable sample by a random one, and recurses for ever when all are bad.
Here the replacement is the next sample, each refused sample is counted and named, and a full round without a good one
is an error.
"""

import contextlib
import copy
import itertools
import json
import logging
import math
import mmap
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import paddle

from trainer.contract import MAX_PIXELS
from trainer.datasets import decoding, images
from trainer.datasets.packed import Packed
from trainer.datasets.prepared import Sample
from trainer.errors import DatasetError, SpecError, TransientError
from trainer.ppocr import tree
from trainer.ppocr.operators import native, replacements
from trainer.ppocr.order import Item
from trainer.system import process

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
Refused = dict[str, str]
"""Samples that are not used, by their place: why."""
Made = tuple[Refused, list[Array] | None]
"""What was refused on the way, and the sample; None when there was none."""

MOST_IN_A_ROW = 100
"""Replacements in a row that end the run: far above any rate of bad samples worth training on."""

TURNS = 3
"""Draws of the augmentation before a sample is refused: joined lines, say, may be too long for the label's encoder."""


class TrainingSet(paddle.io.Dataset):  # type: ignore[misc]
    """The train split; an item (epoch, index, width) is the same in whatever process it is made."""

    def __init__(
        self, samples: Sequence[Sample], config: dict[str, Any], *, seed: int, max_pixels: int | None = None
    ) -> None:
        tree.on_path()
        from ppocr.data.imaug import create_operators

        super().__init__()
        dataset = copy.deepcopy(config["Train"]["dataset"])
        self.samples = Packed(samples)
        self._seed = seed
        self._max_pixels = max_pixels or MAX_PIXELS
        # create_operators writes every Global key into each operator's arguments: hence the copies.
        self.operators = create_operators(dataset["transforms"], copy.deepcopy(config["Global"]))
        for operator, given in zip(self.operators, config["Train"]["dataset"]["transforms"], strict=True):
            # Global's length is the encoder's, with its two marks: what is joined to that length the encoder drops.
            if "RecConAug" in given:
                own = given["RecConAug"] or {}
                operator.max_text_length = own.get("max_text_length", operator.max_text_length)
        self.operators = [
            _Decoded.instead_of(operator) if "DecodeImage" in given else operator
            for operator, given in zip(self.operators, config["Train"]["dataset"]["transforms"], strict=True)
        ]
        library, self._why_not_compiled = native.load()
        self.operators = replacements.replace(self.operators, library)
        self._seeds = library.seeds if library is not None else _numpys_seeds
        self._loading = self.operators[: dataset.get("ext_op_transform_idx", 2)]
        self._extra = next((op.ext_data_num for op in self.operators if hasattr(op, "ext_data_num")), 0)
        self._encode = next((op for op in self.operators if type(op).__name__.endswith("LabelEncode")), None)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def reading(self) -> str:
        """Which operators make the samples, for the log."""
        if self._why_not_compiled:
            return f"PaddleOCR's own operators, which are slower: no compiled ones ({self._why_not_compiled})"
        compiled = replacements.names(self.operators)
        return f"compiled operators ({', '.join(compiled)})" if compiled else "PaddleOCR's own operators"

    def takes_label(self, text: str) -> bool:
        """Whether the recipe's label encoder takes a text: it drops, without a word, what is too long for it."""
        return self._encode is None or self._encode({"label": text, "image": None}) is not None

    def __getitem__(self, item: Item) -> Made:
        """Make one sample, or the next that can be made; return it with what was refused on the way.

        Nothing is raised: a reader process could not tell its worker why.
        """
        epoch, index, width = item
        if width:
            self._widen(width)
        refused: Refused = {}
        for place in range(min(MOST_IN_A_ROW, len(self.samples))):
            sample = self.samples[(index + place) % len(self.samples)]
            for turn in range(TURNS):
                # PaddleOCR's operators draw from both global generators.
                pythons, numpys = self._seeds(self._seed, epoch, index, place, turn)
                random.seed(pythons)
                np.random.seed(numpys)
                try:
                    made = self._make(sample)
                    reason = f"the augmentation dropped it {TURNS} times in a row"
                # An operator may raise anything on odd input; whatever it was is counted and named.
                except Exception as error:  # noqa: BLE001
                    made, reason = None, f"{type(error).__name__}: {error}"
                if made is not None:
                    return refused, made
            refused[sample.source] = reason
        return refused, None

    def _widen(self, width: int) -> None:
        """Make lines of a width; RecConAug fills that width and no more."""
        for operator in self.operators:
            match type(operator).__name__:
                case "RecResizeImg":
                    operator.image_shape = [*operator.image_shape[:2], width]
                case "RecConAug":
                    operator.max_wh_ratio = width / operator.image_shape[0]

    def _read(self, sample: Sample) -> dict[str, Any]:
        # Operators get pixels and never the file, which OpenCV would decode whatever format it has.
        with decoding.of(sample.image):
            # Without a buffer, which costs as much as reading a small file.
            with sample.image.open("rb", buffering=0) as file:
                raw = file.readall()
            pixels = images.decode(raw, max_pixels=self._max_pixels)
        return {"img_path": str(sample.image), "image": pixels, "label": sample.label}

    def _make(self, sample: Sample) -> list[Array] | None:
        data: Any = self._read(sample)
        data["ext_data"] = self._extra_samples()
        for operator in self.operators:
            data = operator(data)
            if data is None:
                return None
        return [np.asarray(part) for part in data]

    def _extra_samples(self) -> list[dict[str, Any]]:
        """Load the other samples that RecConAug and CopyPaste mix in."""
        if [type(operator) for operator in self._loading] == [_Decoded]:
            return [_Line(self._draw_other(), self._load_others) for _ in range(self._extra)]
        return self._load_others(self._extra)

    def _draw_other(self) -> Sample:
        drawn: Sample = self.samples[np.random.randint(len(self.samples))]
        return drawn

    def _load_others(self, count: int, first: Sample | None = None) -> list[dict[str, Any]]:
        """Load other samples.

        Args:
            count: how many.
            first: one that is drawn already.
        """
        found: list[dict[str, Any]] = []
        for _ in range(MOST_IN_A_ROW):
            if len(found) == count:
                break
            other, first = first or self._draw_other(), None
            try:
                data: Any = self._read(other)
                for operator in self._loading:
                    data = operator(data) if data is not None else None
            # It is refused when its own turn comes, not in the name of this sample.
            except Exception:  # noqa: BLE001
                continue
            # CopyPaste mixes quadrilaterals only.
            if data is not None and ("polys" not in data or data["polys"].shape[1] == 4):
                found.append(data)
        return found


class _Line(dict[str, Any]):
    """Another line for RecConAug, which is read when its pixels are asked for.

    Most are not joined: the draw is against it, or the text would be too long.
    """

    def __init__(self, sample: Sample, load: Callable[[int, Sample], list[dict[str, Any]]]) -> None:
        super().__init__(img_path=str(sample.image), label=sample.label)
        self._sample = sample
        self._load = load

    def __missing__(self, key: str) -> Any:
        if key == "image":
            # Another one, with its own text, if this one cannot be read.
            for data in self._load(1, self._sample):
                self.update(data)
                return data[key]
        raise KeyError(key)

    def __deepcopy__(self, _: dict[int, Any]) -> "_Line":
        # PaddleOCR's MultiLabelEncode copies all of a sample, and uses none of this.
        return self


def _numpys_seeds(*entropy: int) -> tuple[int, int]:
    pythons, numpys = np.random.SeedSequence(entropy).generate_state(2).tolist()
    return pythons, numpys


@dataclass(frozen=True)
class _Decoded:
    """Takes the place of PaddleOCR's DecodeImage for an image that is decoded already."""

    rgb: bool
    """Whether the network wants red first."""

    channel_first: bool

    @classmethod
    def instead_of(cls, operator: Any) -> "_Decoded":
        """Do what an operator does after decoding.

        Raises:
            SpecError: it would show training other pixels than prepare, evaluation and users see.
        """
        place = "Train.dataset.transforms.DecodeImage"
        if operator.img_mode not in ("BGR", "RGB"):
            raise SpecError(
                f"{place}.img_mode is {operator.img_mode!r}, which ocrfleet does not support. Use BGR or RGB."
            )
        if getattr(operator, "ignore_orientation", False):
            raise SpecError(
                f"{place}.ignore_orientation is true, but labels are of images that are turned by their EXIF "
                "orientation. Remove it."
            )
        return cls(rgb=operator.img_mode == "RGB", channel_first=operator.channel_first)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        image = data["image"]
        if self.rgb:
            image = image[:, :, ::-1]
        data["image"] = image.transpose((2, 0, 1)) if self.channel_first else image
        return data


def screen(
    samples: Iterable[Sample], *, takes: Callable[[str], bool], places: Callable[[Sample], int]
) -> tuple[list[Sample], Refused]:
    """Separate the lines that CTC can learn from those that it cannot, before any image is read.

    A label with more characters than the network has places has an infinite loss, which paddle turns into 0: PaddleOCR
    keeps training and never learns it. Two equal neighbours need a blank between them, so they need one place more.

    Args:
        samples: lines of text.
        takes: whether the label encoder takes a text.
        places: how many places the network has for a line.

    Returns:
        What can be learned, and the others.
    """
    lengths: dict[int, bool] = {}
    good: list[Sample] = []
    refused: Refused = {}
    for sample in samples:
        length = len(sample.label)
        if length not in lengths:
            lengths[length] = takes(sample.label)
        needed = length + sum(a == b for a, b in pairwise(sample.label))
        if not lengths[length]:
            refused[sample.source] = f"the label has {length} characters, more than Global.max_text_length allows"
        elif needed > (room := places(sample)):
            refused[sample.source] = (
                f"the label needs {needed} places, but a line of {sample.width} × {sample.height} pixels has {room}"
            )
        else:
            good.append(sample)
    return good, refused


@dataclass
class _Batches:
    """Whole batches of a training set, by their items: a loader takes each for one sample."""

    dataset: TrainingSet

    clock: Callable[[], float]
    """Processor time of the process or the thread that makes the batches, from 0."""

    _before: float = 0.0

    def __getitem__(self, items: list[Item]) -> tuple[str, list[Array]]:
        """Stack samples into a batch.

        A loader passes strings whole, and waits for ever for a batch without an array.

        Returns:
            As JSON, what was refused, whether all samples were made, and the seconds of processor time since the batch
            before; and the arrays.
        """
        items_made = [self.dataset[item] for item in items]
        refused = {source: reason for some, _ in items_made for source, reason in some.items()}
        made = [arrays for _, arrays in items_made if arrays is not None]
        whole = len(made) == len(items)
        arrays = [np.stack(parts) for parts in zip(*made, strict=True)] if whole else [np.zeros(1)]
        now = self.clock()
        seconds, self._before = now - self._before, now
        return json.dumps([refused, whole, seconds]), arrays


class BatchReader:
    """Batches as arrays, in order, made ahead from the start: by other processes, or by a thread of this one."""

    def __init__(
        self,
        dataset: TrainingSet,
        batches: Iterable[list[Item]],
        *,
        readers: int,
        busy: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Start to read.

        Args:
            dataset: makes the samples.
            batches: the items of each batch. They are asked for as batches are taken, not all at once.
            readers: how many processes; 0: a thread of this one.
            busy: takes the seconds of processor time that it took to make the batches that are returned.
        """
        self._busy, self._closed = busy, False
        to_come = itertools.takewhile(lambda _: not self._closed, batches)
        self._made: Any = _by_processes(dataset, to_come, readers) if readers else _Ahead(dataset, to_come)

    def __iter__(self) -> "BatchReader":
        return self

    def __next__(self) -> tuple[Refused, list[Any]]:
        """Return the next batch: the samples refused on the way, and the arrays, which may be tensors.

        Raises:
            DatasetError: `MOST_IN_A_ROW` samples in a row could not be used.
            SystemError: one of the processes was killed; see `reader_died`.
        """
        told, arrays = next(self._made)
        refused, whole, seconds = json.loads(told)
        self._busy(seconds)
        if not whole:
            first, reason = next(iter(refused.items()))
            raise DatasetError(
                f"{len(refused)} training samples in a row could not be used. The first is {first}: {reason}. "
                "Run `ocrfleet data check` on the dataset, and check the recipe's augmentation."
            )
        return refused, list(arrays)

    def close(self) -> None:
        """End the processes or the thread, after the batches that they were asked for already."""
        self._closed = True
        if isinstance(self._made, _Ahead):
            self._made.close()
        else:
            # To the end of the batches: then paddle ends its processes itself, and frees their shared memory. If one of
            # them was killed, that is raised where a batch is missed, and must not hide another error here.
            with contextlib.suppress(SystemError, RuntimeError):
                for _ in self._made:
                    pass


def _by_processes(dataset: TrainingSet, batches: Iterable[list[Item]], readers: int) -> Iterator[Any]:
    """Start processes that make batches.

    Paddle's default, a buffer of two batches, stays on: on a GPU a thread copies the next ones into pinned memory while
    a step is under way, and the copy from there to the GPU does not hold up the host.
    """
    loader = paddle.io.DataLoader(
        _Batches(dataset, time.process_time),
        batch_sampler=([items] for items in batches),
        collate_fn=itemgetter(0),
        num_workers=readers,
        worker_init_fn=_begin,
        return_list=True,
    )
    made: Iterator[Any] = iter(loader)
    return made


def _begin(_: int) -> None:
    """Begin in a reader process."""
    # Paddle's own watch over the parent sleeps while there is nothing to read.
    process.die_with_parent()
    # There is a process for each core. Not 1, at which OpenCV waits for threads that a fork does not have.
    cv2.setNumThreads(0)


class _Ahead:
    """Makes batches in a thread, the next one while a step is under way: a step leaves cores idle at times.

    The thread alone draws from the generators of `random` and numpy meanwhile, so samples stay what they are.
    """

    def __init__(self, dataset: TrainingSet, batches: Iterable[list[Item]]) -> None:
        self._batches = map(_Batches(dataset, time.thread_time).__getitem__, batches)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._coming = self._thread.submit(next, self._batches, None)

    def __next__(self) -> tuple[str, list[Array]]:
        batch = self._coming.result()
        if batch is None:
            raise StopIteration
        self._coming = self._thread.submit(next, self._batches, None)
        return batch

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)


def batch_bytes(dataset: TrainingSet, *, samples: int, width: int) -> int:
    """Return the bytes that a batch of lines of a width takes in /dev/shm; 0 if no sample can be made."""
    _, arrays = dataset[(1, 0, width)]
    # Paddle writes each array into a file of its own, behind a count of its users (`mmap_alignment`).
    return sum(math.ceil((samples * array.nbytes + 64) / mmap.PAGESIZE) * mmap.PAGESIZE for array in arrays or ())


def reader_died(error: SystemError) -> TransientError | None:
    """Return the error to raise when paddle says that a process that reads samples has died, else None.

    Paddle says so from a signal handler, so anything that the worker does at that moment is interrupted.
    """
    said = str(error)
    if "DataLoader process" not in said and "Blocking queue is killed" not in said:
        return None
    number = next((each for each in signal.Signals if f"signal: {signal.strsignal(each)}." in said), None)
    how = f" by {number.name}" if number else ""
    why = "Memory probably ran out: lower run.train.readers. " if number == signal.SIGKILL else ""
    return TransientError(
        f"A process that reads samples was killed{how}. {why}Run it again to resume from the last checkpoint."
    )
