"""How samples get to the loop."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.e2e.operators.comparison import configuration, picture
from trainer.datasets import decoding
from trainer.datasets.prepared import Sample
from trainer.errors import SpecError

pytestmark = [pytest.mark.paddle, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(60)]


class Samples:
    """Notes which samples were made; the last cannot be."""

    def __init__(self):
        self.made = [threading.Event() for _ in range(3)]

    def __getitem__(self, item):
        if item == 3:
            raise ValueError("no such sample")
        self.made[item].set()
        return {}, [np.full(2, item, "float32")]


def test_the_next_batch_is_made_while_a_step_is_under_way():
    from trainer.ppocr.data import BatchReader

    samples = Samples()
    batches = BatchReader(samples, [[0], [1], [2]], readers=0)
    seen = [next(batches)[1][0].tolist()]
    # Nobody has asked for the second one yet.
    assert samples.made[1].wait(30)
    seen += [arrays[0].tolist() for _, arrays in batches]
    assert seen == [[[0, 0]], [[1, 1]], [[2, 2]]]


def test_what_is_wrong_with_a_batch_is_raised_where_it_is_wanted():
    from trainer.ppocr.data import BatchReader

    batches = BatchReader(Samples(), [[0], [3]], readers=0)
    next(batches)
    with pytest.raises(ValueError, match="no such sample"):
        next(batches)


READ = """
import contextlib, multiprocessing, os, signal, sys, time
from pathlib import Path
import cv2
import numpy as np
from trainer.ppocr.data import BatchReader, batch_bytes
from trainer.ppocr.readers import shared_bytes

# A test that waits in vain fails.
signal.alarm(50)

def files(pids):
    found = []
    for path in Path("/dev/shm").glob("paddle_*"):
        with contextlib.suppress(FileNotFoundError):
            if int(path.name.split("_")[1]) in pids:
                found.append(path.stat().st_blocks * 512)
    return found

class Samples:
    def __init__(self, *arrays):
        self.arrays = arrays

    def __getitem__(self, item):
        _, index, _ = item
        return {}, [np.array([index, cv2.getNumThreads()], "float32"), *self.arrays]

asked = []

def batches(count):
    for index in range(count):
        asked.append(index)
        yield [(1, index, 0)] * 2
"""
"""What the scripts below begin with: a training set, and what its readers have in shared memory."""


def run(script: str, *words: str) -> None:
    """Run a script in a process of its own, since Paddle's readers change how that takes signals."""
    done = subprocess.run([sys.executable, "-c", READ + script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("taken", [0, 3, 12])
@pytest.mark.parametrize("readers", [0, 2])
def test_no_process_thread_or_shared_memory_is_left_by_a_reader_that_was_closed(readers: int, taken: int) -> None:
    """At the start, on the way, or after the last batch; and it asks for no more batches."""
    script = """
import threading
readers, taken = map(int, sys.argv[1:])
reader = BatchReader(Samples(), batches(12), readers=readers)
pids = {child.pid for child in multiprocessing.active_children()}
assert len(pids) == readers
seen = [next(reader)[1][0].tolist() for _ in range(taken)]
reader.close()
assert [batch[0][0] for batch in seen] == list(range(taken))
assert len(asked) <= taken + max(1, 2 * readers) + 1
assert not multiprocessing.active_children()
assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader")]
assert not files({os.getpid(), *pids})
"""
    run(script, str(readers), str(taken))


def test_readers_fill_no_more_shared_memory_than_was_computed_while_training_pauses() -> None:
    """A batch is taken when they have filled what they may, beside the one that the step before has."""
    script = """
samples = Samples(np.zeros((512, 1024), "float32"))
batch = batch_bytes(samples, samples=2, width=0)
assert batch == 2 * 2**21 + 2 * 4096
reader = BatchReader(samples, batches(16), readers=2)
pids = {child.pid for child in multiprocessing.active_children()}
held = None
for number in range(16):
    while (filled := sum(files(pids))) < (min(4, 16 - number) + (held is not None)) * batch:
        os.sched_yield()
    assert filled <= shared_bytes(2, batch=batch), (filled, batch)
    held = next(reader)[1]
    assert sum(files(pids)) <= shared_bytes(2, batch=batch)
reader.close()
"""
    run(script)


def test_readers_with_nothing_to_do_end_with_a_worker_that_is_killed() -> None:
    """Where nobody kills its process group."""
    script = """
if os.fork() == 0:
    reader = BatchReader(Samples(), batches(1), readers=2)
    next(reader)
    os.kill(os.getpid(), signal.SIGKILL)
# Orphans become children of this process, which can then wait for them.
os.wait()
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""
    run("import ctypes\nassert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0\n" + script)


def test_opencv_has_no_threads_of_its_own_in_a_reader() -> None:
    """In this process it has used them before: what a fork copies of them does not run."""
    script = """
cv2.setNumThreads(4)
cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1000, 1000))
assert {int(arrays[0][0][1]) for _, arrays in BatchReader(Samples(), batches(3), readers=1)} == {1}
"""
    run(script)


@pytest.mark.parametrize("readers", [0, 2])
def test_the_processor_time_of_samples_is_told_with_their_batches(readers: int) -> None:
    script = """
class Costly(Samples):
    def __getitem__(self, item):
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass
        return super().__getitem__(item)

told = []
list(BatchReader(Costly(), batches(6), readers=int(sys.argv[1]), busy=told.append))
assert len(told) == 6
assert all(seconds >= 2 * 0.02 for seconds in told), told
"""
    run(script, str(readers))


DEADLY = """
import contextlib, os, signal, sys
from pathlib import Path
import numpy as np
from trainer.datasets import decoding
from trainer.ppocr.data import BatchReader, reader_died

class Deadly:
    def __len__(self):
        return 4

    def __getitem__(self, item):
        if item == 3:
            decoding.keep_in(Path(sys.argv[2]))
            with decoding.of(Path("page.jpg")):
                os.kill(os.getpid(), int(sys.argv[1]))
        return {}, [np.full(2, item, "float32")]

# Paddle may notice it at once, late, or where nobody hears it.
signal.alarm(20)
try:
    with contextlib.closing(BatchReader(Deadly(), [[0], [1], [2], [3]], readers=2)) as reader:
        list(reader)
except SystemError as error:
    assert reader_died(error)
os._exit(0)
"""
"""The third sample kills the process that makes it."""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_reader_that_is_killed_leaves_the_name_of_its_image(tmp_path, number):
    words = [sys.executable, "-c", DEADLY, str(int(number)), str(tmp_path)]
    with subprocess.Popen(words, start_new_session=True) as process:
        assert process.wait() in (0, -signal.SIGALRM)
        # Its other reader, as a supervisor does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert decoding.under_way(tmp_path) == [Path("page.jpg")]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "(Fatal) DataLoader process (pid 7) exited is killed by signal: Segmentation fault. (at x.cc:185)",
            "A process that reads samples was killed by SIGSEGV. Run it again to resume from the last checkpoint.",
        ),
        (
            "(Fatal) DataLoader process (pid 7) exited is killed by signal: Killed. (at x.cc:185)",
            "A process that reads samples was killed by SIGKILL. Memory probably ran out: lower run.train.readers. Run "
            "it again to resume from the last checkpoint.",
        ),
        (
            "(Fatal) Blocking queue is killed because the data reader raises an exception.",
            "A process that reads samples was killed. Run it again to resume from the last checkpoint.",
        ),
        ("(Fatal) something else", "None"),
    ],
)
def test_what_paddle_says_of_it_is_put_into_a_sentence(said, told):
    from trainer.ppocr.data import reader_died

    assert str(reader_died(SystemError(said))) == told


def sample(label: str, *, width: int) -> Sample:
    return Sample(image=Path("x.png"), label=label, source=f"rec_gt.txt:{label}", width=width, height=10)


def test_labels_with_more_steps_than_places_are_refused_by_name():
    """Equal neighbours need a blank between them, so `aa` takes three places; an infinite CTC loss would count as 0."""
    from trainer.ppocr.data import screen

    fits = [sample("ab", width=2), sample("aa", width=3), sample("aabb", width=6)]
    fails = [sample("abc", width=2), sample("bb", width=2), sample("bbaa", width=5)]
    good, refused = screen([*fits, *fails], takes=lambda text: True, places=lambda one: one.width)
    assert good == fits
    assert refused.keys() == {one.source for one in fails}
    assert refused["rec_gt.txt:bbaa"] == "the label needs 6 places, but a line of 5 × 10 pixels has 5"


def test_labels_that_the_encoder_drops_are_refused_by_name():
    from trainer.ppocr.data import screen

    good, refused = screen(
        [sample("ab", width=9), sample("abc", width=9)], takes=lambda text: len(text) < 3, places=lambda one: one.width
    )
    assert [one.label for one in good] == ["ab"]
    assert refused == {"rec_gt.txt:abc": "the label has 3 characters, more than Global.max_text_length allows"}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("mode", ["BGR", "RGB"])
def test_training_sees_the_pixels_that_prepare_and_every_later_stage_see(tmp_path: Path, form: str, mode: str) -> None:
    """A page that is turned by EXIF and, where the format can be, half transparent."""
    from trainer.ppocr import infer
    from trainer.ppocr.data import TrainingSet

    image = Image.effect_noise((60, 40), 60).convert("RGB" if form == "JPEG" else "RGBA")
    if form != "JPEG":
        image.putalpha(100)
    exif = Image.Exif()
    exif[0x112] = 6
    image.save(tmp_path / "page", form, exif=exif)
    page = Sample(image=tmp_path / "page", label="[]", source="Label.txt:1", width=40, height=60)
    transforms = [{"DecodeImage": {"img_mode": mode, "channel_first": False}}, {"KeepKeys": {"keep_keys": ["image"]}}]
    config = {"Global": {}, "Train": {"dataset": {"transforms": transforms}}}
    refused, made = TrainingSet([page], config, seed=1)[(0, 0, 0)]
    assert not refused
    read = infer.read_image(page.image)
    assert read.shape == (60, 40, 3)
    assert np.array_equal(made[0], read if mode == "BGR" else read[:, :, ::-1])
    # Not by its path: Pillow leaves a TIFF that it maps into memory unturned.
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(page.image.read_bytes()))).convert("RGBA")
    wanted = np.asarray(Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright))[:, :, 2::-1]
    assert np.abs(read.astype(int) - wanted).max() <= 3


@pytest.mark.parametrize(
    ("decode", "says"),
    [
        ({"img_mode": "GRAY"}, "img_mode is 'GRAY'"),
        ({"img_mode": "BGR", "ignore_orientation": True}, "ignore_orientation is true"),
    ],
    ids=["grey", "unturned"],
)
def test_a_decoder_that_shows_training_other_pixels_is_refused(decode: dict[str, Any], says: str) -> None:
    from trainer.ppocr.data import TrainingSet

    config = {"Global": {}, "Train": {"dataset": {"transforms": [{"DecodeImage": decode}]}}}
    with pytest.raises(SpecError, match=says):
        TrainingSet([], config, seed=1)


def lines(folder: Path, labels: list[str]) -> Any:
    """A training set of PP-OCRv5's recogniser, which joins up to two lines to one."""
    from trainer.ppocr.data import TrainingSet

    samples = []
    for number, label in enumerate(labels):
        image = folder / f"{number}.png"
        cv2.imwrite(str(image), picture(number, width=60, height=40, blocks=True))
        samples.append(Sample(image=image, label=label, source=image.name, width=60, height=40))
    return TrainingSet(samples, configuration("rec-pp-ocrv5-mobile", folder), seed=1)


def test_other_lines_are_drawn_and_joined_as_if_they_were_read_at_once(tmp_path: Path) -> None:
    dataset, at_once = (lines(tmp_path, [str(number) for number in range(9)]) for _ in range(2))
    at_once._extra_samples = lambda: at_once._load_others(at_once._extra)
    joined = 0
    for index in range(40):
        (_, expected), (_, found) = at_once[(index, index % 9, 0)], dataset[(index, index % 9, 0)]
        assert all(np.array_equal(a, b) for a, b in zip(expected, found, strict=True))
        joined += int(np.count_nonzero(found[1])) > 1
    assert joined


def test_a_line_that_is_not_joined_is_not_read(tmp_path: Path) -> None:
    dataset = lines(tmp_path, ["1234567890123"] * 3)
    for number in (1, 2):
        (tmp_path / f"{number}.png").unlink()
    dataset._load_others = None
    for epoch in range(8):
        refused, made = dataset[(epoch, 0, 0)]
        assert made is not None
        assert refused == {}


def test_another_line_is_joined_in_the_place_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    dataset = lines(tmp_path, ["1", "2", "3", "4"])
    for number in (1, 2):
        (tmp_path / f"{number}.png").write_text("no image")
    texts = set()
    for epoch in range(40):
        refused, made = dataset[(epoch, 0, 0)]
        assert refused == {}
        # The dictionary's first character has the number 1.
        texts.add("".join(str(number - 1) for number in made[1] if number))
    assert {len(text) for text in texts} == {1, 3}
    assert {*"".join(texts)} == {"1", "4"}


def test_a_sample_that_is_not_an_image_any_more_is_refused_by_name(tmp_path: Path) -> None:
    """Whatever its suffix: PaddleOCR's own operator would hand it to the decoder of its format."""
    from trainer.ppocr.data import TrainingSet

    (tmp_path / "page.png").write_bytes(cv2.imencode(".jp2", np.zeros((40, 60, 3), np.uint8))[1].tobytes())
    page = Sample(image=tmp_path / "page.png", label="[]", source="Label.txt:1", width=60, height=40)
    config = {"Global": {}, "Train": {"dataset": {"transforms": [{"DecodeImage": {"img_mode": "BGR"}}]}}}
    refused, made = TrainingSet([page], config, seed=1)[(0, 0, 0)]
    assert made is None
    assert "the file is a JPEG 2000 image" in refused["Label.txt:1"]


def test_paddleocr_evaluates_the_name_of_an_operator(tmp_path: Path) -> None:
    """Else trainer/recipes/evaluated.py would refuse what does no harm."""
    from trainer.ppocr import tree

    tree.on_path()
    from ppocr.data.imaug import create_operators

    made = tmp_path / "made"
    with pytest.raises(TypeError):
        create_operators([{f"open({str(made)!r}, 'w').close()": None}], {})
    assert made.exists()
