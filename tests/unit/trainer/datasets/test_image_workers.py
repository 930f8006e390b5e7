"""Images are read in other processes: in order, without credentials, and past a file that kills its decoder."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest
from PIL import Image

from trainer.datasets import image_workers
from trainer.datasets.headers import ImageError
from trainer.datasets.image_workers import Reading
from trainer.datasets.labels import Entry, Region
from trainer.datasets.samples import Crops, Look, by_content
from trainer.errors import OcrfleetError

pytestmark = pytest.mark.timeout(60)

LINES: Final = Reading(task="rec", of_lines=True)

DOCTORED: Final = """
import os, signal
from trainer.datasets import image_workers, images

load = images.load

def doctored(raw, **how):
    {}
    return load(raw, **how)

images.load = doctored
image_workers._SECONDS = {}
image_workers.main()
"""


def png(width: int = 30) -> bytes:
    return cv2.imencode(".png", np.full((10, width, 3), 7, np.uint8))[1].tobytes()


def folder(root: Path, contents: dict[str, bytes]) -> list[tuple[Entry, Path]]:
    for name, content in contents.items():
        (root / name).write_bytes(content)
    return [
        (Entry(image=name, source=f"rec_gt.txt:{n}", group=name, split=None, text="a"), root / name)
        for n, name in enumerate(contents, start=1)
    ]


def worker_that(does: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the workers do something when they have an image in hand."""
    monkeypatch.setattr(image_workers, "PROGRAM", (sys.executable, "-c", DOCTORED.format(does, image_workers._SECONDS)))


def widths(found: list[Look | ImageError]) -> list[int | str]:
    return [str(look) if isinstance(look, ImageError) else look.candidates[0].width for look in found]


def test_all_images_are_read_in_order_and_errors_stand_in_their_places(tmp_path: Path) -> None:
    requests = folder(tmp_path, {f"{n}.png": b"no image" if n == 7 else png(n) for n in range(1, 41)})
    requests[9][1].unlink()
    told: list[tuple[int, int]] = []
    found = widths(image_workers.read(requests, LINES, progress=lambda *done: told.append(done)))
    assert [n for n, result in enumerate(found, start=1) if result != n] == [7, 10]
    assert "not an image" in str(found[6])
    assert found[9] == "the image cannot be read (No such file or directory)"
    assert told[-1] == (40, 40)


def test_no_image_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_workers, "PROGRAM", ("/no/such/program",))
    assert image_workers.read([], LINES) == []


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_an_image_that_kills_its_decoder_is_refused_and_the_others_are_read(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that(f"if raw.endswith(b'KILL'): os.kill(os.getpid(), {int(number)})", monkeypatch)
    contents = {f"{n}.png": png(n) for n in range(1, 41)} | {"5.png": png() + b"KILL", "30.png": png() + b"KILL"}
    found = widths(image_workers.read(folder(tmp_path, contents), LINES))
    killed = [n for n, result in enumerate(found, start=1) if result != n]
    assert killed == [5, 30]
    assert all(str(found[n - 1]).startswith("the image kills the process that decodes it") for n in killed)
    assert all(number.name in str(found[n - 1]) for n in killed)


def test_an_image_on_which_its_decoder_does_not_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_workers, "_SECONDS", 1)
    worker_that("if raw.endswith(b'HANG'): signal.pause()", monkeypatch)
    contents = {"1.png": png(1), "2.png": png() + b"HANG", "3.png": png(3)}
    found = widths(image_workers.read(folder(tmp_path, contents), LINES))
    assert found == [1, "the image cannot be decoded in time (1 s)", 3]


def test_an_image_on_which_a_worker_died_by_chance_is_read_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may be short because of another process."""
    mark = tmp_path / "mark"
    once = f"if len(raw) == {len(png(3))} and not os.path.exists({str(mark)!r}): "
    worker_that(f"{once}open({str(mark)!r}, 'w').close() or os.kill(os.getpid(), 9)", monkeypatch)
    data = tmp_path / "data"
    data.mkdir()
    assert widths(image_workers.read(folder(data, {f"{n}.png": png(n) for n in (1, 2, 3)}), LINES)) == [1, 2, 3]
    assert mark.exists()


def test_a_fault_of_the_program_is_not_taken_for_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker_that("raise ZeroDivisionError", monkeypatch)
    with pytest.raises(OcrfleetError, match="exited with code 1"):
        image_workers.read(folder(tmp_path, {"1.png": png()}), LINES)


def test_too_little_memory_for_an_image_refuses_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker_that("raise MemoryError", monkeypatch)
    found = image_workers.read(folder(tmp_path, {"1.png": png()}), LINES)
    assert widths(found) == ["there is not enough memory to decode the image"]


def test_a_crop_that_cannot_be_written_is_no_fault_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "crops").write_bytes(b"a file where the folder should be")
    region = Region(text="a", points=((2, 2), (20, 2), (20, 8), (2, 8)))
    entry = Entry(image="1.png", source="Label.txt:1", group="1.png", split=None, regions=(region,))
    (tmp_path / "1.png").write_bytes(png())
    reading = Reading(task="rec", of_lines=False, crops=Crops(tmp_path / "crops", by_content))
    with pytest.raises(OSError, match=r"(File exists|Not a directory)"):
        image_workers.read([(entry, tmp_path / "1.png")], reading)


def test_workers_get_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    out = tmp_path / "environment"
    worker_that(f"open({str(out)!r}, 'w').write(repr(dict(os.environ)))", monkeypatch)
    data = tmp_path / "data"
    data.mkdir()
    image_workers.read(folder(data, {"1.png": png()}), LINES)
    assert "canary" not in out.read_text()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "canary"


def test_what_a_library_prints_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker_that("os.write(1, b'a warning\\n')", monkeypatch)
    assert widths(image_workers.read(folder(tmp_path, {"1.png": png(5)}), LINES)) == [5]


def test_of_two_large_images_one_is_decoded_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes a folder and removes it: a second one would meet it."""
    busy = str(tmp_path / "busy")
    worker_that(f"os.mkdir({busy!r}); import time; time.sleep(0.05); os.rmdir({busy!r})", monkeypatch)
    monkeypatch.setattr(image_workers, "cores", lambda: 2)
    monkeypatch.setattr(image_workers, "_CHUNK", 1)
    data = tmp_path / "data"
    data.mkdir()
    # 49 kB each: a black page of 8,000 × 6,400 pixels.
    large = cv2.imencode(".png", np.zeros((6400, 8000), np.uint8))[1].tobytes()
    assert widths(image_workers.read(folder(data, {f"{n}.png": large for n in range(2)}), LINES)) == [8000] * 2


def test_a_large_image_without_the_memory_for_it_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel would end the whole container."""
    little = "image_workers.memory.available = lambda: 665_599_999\nimage_workers.main()"
    monkeypatch.setattr(
        image_workers,
        "PROGRAM",
        (sys.executable, "-c", DOCTORED.format("pass", 300).replace("image_workers.main()", little)),
    )
    large = cv2.imencode(".png", np.zeros((6400, 8000), np.uint8))[1].tobytes()
    requests = folder(tmp_path, {"large.png": large, "small.png": png(7)})
    assert widths(image_workers.read(requests, LINES)) == [
        "there is not enough memory to decode the image "
        "(8000 × 6400 pixels need 665,600,000 bytes, 665,599,999 are available)",
        7,
    ]


def test_paths_that_are_not_unicode_are_passed_on(tmp_path: Path) -> None:
    data = tmp_path / os.fsdecode(b"caf\xe9")
    data.mkdir()
    (look,) = image_workers.read(folder(data, {"1.png": png()}), LINES)
    assert isinstance(look, Look)
    assert look.candidates[0].image == data / "1.png"


def test_a_decoder_gives_the_pixels_or_says_why_an_image_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_that("if raw.endswith(b'KILL'): os.kill(os.getpid(), signal.SIGSEGV)", monkeypatch)
    images = {"good": png(), "bad": png() + b"KILL", "no": b"hello", "large": png(31), "better": png(2)}
    folder(tmp_path, {f"{name}.png": content for name, content in images.items()})
    os.mkfifo(tmp_path / "fifo.png")
    with image_workers.decoder(max_pixels=300) as decode:
        found: dict[str, str | tuple[int, ...]] = {}
        for name in (*images, "missing", "fifo"):
            try:
                pixels = decode(tmp_path / f"{name}.png").pixels
                found[name] = pixels.shape if (pixels == 7).all() else "other pixels"
            except ImageError as error:
                found[name] = str(error)[:34]
    assert found == {
        "good": (10, 30, 3),
        "bad": "the image kills the process that d",
        "no": "the file is not an image; an image",
        "large": "the image has more than 300 pixels",
        "better": (10, 2, 3),
        "missing": "the image cannot be read (No such ",
        "fifo": "the image cannot be read (it is a ",
    }


def test_a_refused_page_says_how_many_pages_its_file_has(tmp_path: Path) -> None:
    """Otherwise nobody would ask for the others."""
    pages = [Image.new("L", (side, 10), 7) for side in (50, 5, 5)]
    pages[0].save(tmp_path / "scan.tif", append_images=pages[1:], save_all=True)
    with image_workers.decoder(max_pixels=300, documents=True) as decode:
        with pytest.raises(image_workers.PageError, match="more than 300 pixels") as refused:
            decode(tmp_path / "scan.tif")
        assert refused.value.pages == 3
        assert decode(tmp_path / "scan.tif", 2).pixels.shape == (10, 5, 3)


SPENT: Final = """
import sys
from trainer.datasets import headers, image_workers, images
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
small, large = (open(path, "rb").read() for path in sys.argv[1:])
images.decode(small)  # so that libraries are loaded
before, header = peak(), headers.read(large)
images.decode(large)
print((peak() - before) * 1024, header.pixels * image_workers._BYTES[header.transparent])
"""


@pytest.mark.parametrize(
    ("form", "channels", "kind", "options"),
    [
        ("JPEG", 3, np.uint8, {"progressive": True, "subsampling": 0}),
        ("PNG", 4, np.uint16, {}),
    ],
)
def test_an_image_takes_no_more_memory_than_was_asked_for(
    form: str, channels: int, kind: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    """The two that take most of the common formats."""
    for name, side in (("small", 8), ("large", 3000)):
        pixels = np.full((side, side, channels), 100, kind)
        stream = io.BytesIO()
        if form == "JPEG":
            exif = Image.Exif()
            exif[274] = 6
            Image.fromarray(pixels).save(stream, form, exif=exif, **options)
        (tmp_path / name).write_bytes(stream.getvalue() or cv2.imencode(".png", pixels)[1].tobytes())
    words = [sys.executable, "-c", SPENT, str(tmp_path / "small"), str(tmp_path / "large")]
    spent, asked = map(int, subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    assert asked / 3 < spent <= asked
