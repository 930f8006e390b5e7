"""Images are read whole, and lines are cut out of them as readers do."""

import ast
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from trainer.datasets import images

ROOT: Final = Path(__file__).parents[4]


def picture(width: int = 60, height: int = 40) -> "images.Image":
    return np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)


def encoded(suffix: str) -> bytes:
    return cv2.imencode(suffix, picture())[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".tiff", ".webp"])
def test_a_whole_image_is_read_and_a_truncated_one_is_not(suffix: str) -> None:
    raw = encoded(suffix)
    assert images.decode(raw).shape == (40, 60, 3)
    for length in (len(raw) // 10, len(raw) // 2, len(raw) - 2):
        with pytest.raises(images.ImageError, match="truncated"):
            images.decode(raw[:length])


def test_a_truncated_photo_is_found_out_though_its_preview_is_whole() -> None:
    """A camera's JPEG has a small JPEG inside, whose end is not the photo's."""
    raw = encoded(".jpg")
    preview = b"Exif\x00\x00" + cv2.imencode(".jpg", picture(8, 8))[1].tobytes()
    photo = raw[:2] + b"\xff\xe1" + (len(preview) + 2).to_bytes(2, "big") + preview + raw[2:]
    assert images.decode(photo).shape == (40, 60, 3)
    with pytest.raises(images.ImageError, match="truncated"):
        images.decode(photo[:-40])


def test_fill_bytes_between_the_segments_of_a_jpeg_are_skipped() -> None:
    raw = encoded(".jpg")
    assert np.array_equal(images.decode(raw[:2] + b"\xff" * 3 + raw[2:]), images.decode(raw))


@pytest.mark.parametrize(
    ("raw", "words"), [(b"", "file is empty"), (b"GIF? no.", "not an image"), (b"\xff\xd8", "truncated")]
)
def test_what_is_no_image_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(images.ImageError, match=words):
        images.decode(raw)


def stripes() -> Image.Image:
    """White, red and green beside each other: what is read wrongly is seen."""
    made = Image.new("RGB", (60, 40), (255, 255, 255))
    made.paste((200, 30, 40), (20, 0, 40, 40))
    made.paste((10, 180, 90), (40, 0, 60, 40))
    return made


def saved(image: Image.Image, form: str, **more: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **more)
    return stream.getvalue()


def without_adobe(raw: bytes) -> bytes:
    """Take the segment out of a JPEG that tells how its four channels are meant."""
    at = raw.index(b"\xff\xee")
    return raw[:at] + raw[at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big") :]


def sixteen_bits(suffix: str) -> bytes:
    deep = cv2.cvtColor(np.asarray(stripes()), cv2.COLOR_RGB2BGR).astype(np.uint16) * 257
    return cv2.imencode(suffix, deep)[1].tobytes()


@pytest.mark.parametrize(
    "raw",
    [
        saved(stripes().convert("CMYK"), "JPEG", quality=95),
        without_adobe(saved(stripes().convert("CMYK"), "JPEG", quality=95)),
        saved(stripes().convert("CMYK"), "TIFF"),
        sixteen_bits(".png"),
        sixteen_bits(".tiff"),
        saved(stripes().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    ],
    ids=["CMYK JPEG", "CMYK JPEG, untold", "CMYK TIFF", "16-bit PNG", "16-bit TIFF", "palette"],
)
def test_uncommon_pixels_are_read_right(raw: bytes) -> None:
    """As Pillow reads them, which stands on other code."""
    read = images.decode(raw)
    assert (read.shape, read.dtype) == ((40, 60, 3), np.uint8)
    assert np.abs(read[:, :, ::-1].astype(int) - np.asarray(stripes()).astype(int))[:, 5::10].max() <= 4


def test_a_grey_image_of_16_bits_keeps_its_shades() -> None:
    ramp = np.tile(np.arange(0, 65536, 1024, dtype=np.uint16), (40, 1))
    read = images.decode(cv2.imencode(".png", ramp)[1].tobytes())
    assert np.array_equal(read[:, :, 0], ramp >> 8)


def test_a_tiff_of_fractions_is_refused_by_name() -> None:
    """OpenCV makes noise of it and says nothing."""
    raw = cv2.imencode(".tiff", np.asarray(stripes()).astype(np.float32) / 255)[1].tobytes()
    with pytest.raises(images.ImageError, match="TIFF with floating-point"):
        images.decode(raw)


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        *((form, mode) for form in ("PNG", "TIFF", "WEBP") for mode in ("RGB", "RGBA", "L")),
    ],
)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_as_its_exif_says(form: str, mode: str, orientation: int) -> None:
    """Labels are made on the turned image: PPOCRLabel shows it so."""
    exif = Image.Exif()
    exif[0x112] = orientation
    raw = saved(stripes().convert(mode), form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")
    loaded = images.load(raw)
    read = loaded.pixels[:, :, ::-1].astype(int)
    assert loaded.turned == (orientation != 1)
    assert read.shape == np.asarray(upright).shape
    assert np.abs(read - np.asarray(upright))[5::10, 5::10].max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_deep_tiff_is_turned_as_its_tag_says(orientation: int) -> None:
    """OpenCV reads TIFFs of 16 bits per channel by other code, which leaves them as they lie in the file."""
    raw = with_tag(sixteen_bits(".tiff"), 274, orientation)
    exif = Image.Exif()
    exif[0x112] = orientation
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(saved(stripes(), "PNG", exif=exif))))
    assert np.abs(images.decode(raw)[:, :, ::-1].astype(int) - np.asarray(upright)).max() <= 1


def with_tag(raw: bytes, tag: int, value: int, kind: int = 3) -> bytes:
    """Add a number to the directory of a little-endian TIFF, or change it there."""
    (at,) = struct.unpack_from("<I", raw, 4)
    (count,) = struct.unpack_from("<H", raw, at)
    entries = [raw[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    kept = [entry for entry in entries if entry[:2] != struct.pack("<H", tag)]
    kept = sorted([*kept, struct.pack("<HHII", tag, kind, 1, value)], key=lambda entry: struct.unpack("<H", entry[:2]))
    head = raw[:4] + struct.pack("<I", len(raw))
    return head + raw[8:] + struct.pack("<H", len(kept)) + b"".join(kept) + bytes(4)


def glass(mode: str) -> Image.Image:
    """Black: clear on the left, half clear in the middle, opaque on the right."""
    opacity = Image.new("L", (60, 40), 255)
    opacity.paste(0, (0, 0, 20, 40))
    opacity.paste(128, (20, 0, 40, 40))
    made = Image.new("RGBA", (60, 40), (0, 0, 0, 255))
    made.putalpha(opacity)
    return made.convert(mode)


@pytest.mark.parametrize(
    ("raw", "shades"),
    [
        (saved(glass("RGBA"), "PNG"), [255, 127, 0]),
        (saved(glass("LA"), "PNG"), [255, 127, 0]),
        (saved(glass("RGBA").quantize(8), "PNG"), [255, 127, 0]),
        (saved(glass("RGBA"), "WEBP", lossless=True), [255, 127, 0]),
        (saved(glass("RGBA"), "WEBP", quality=90), [255, 127, 0]),
        (saved(glass("RGBA"), "TIFF"), [255, 127, 0]),
        (saved(glass("RGBA"), "TIFF", compression="tiff_lzw"), [255, 127, 0]),
        (cv2.imencode(".png", np.asarray(glass("RGBA")).astype(np.uint16) * 257)[1].tobytes(), [255, 127, 0]),
        (cv2.imencode(".tiff", np.asarray(glass("RGBA")).astype(np.uint16) * 257)[1].tobytes(), [255, 127, 0]),
        (saved(Image.new("L", (60, 40), 7), "PNG", transparency=7), [255, 255, 255]),
        (saved(Image.new("1", (60, 40), 0), "PNG", transparency=0), [255, 255, 255]),
        (saved(Image.new("RGB", (60, 40), (1, 2, 3)), "PNG", transparency=(1, 2, 3)), [255, 255, 255]),
        (saved(Image.new("RGB", (60, 40), (9, 9, 9)), "PNG", transparency=(1, 2, 3)), [9, 9, 9]),
    ],
    ids=[
        "PNG",
        "grey PNG",
        "palette PNG",
        "WebP",
        "lossy WebP",
        "TIFF",
        "LZW TIFF",
        "16-bit PNG",
        "16-bit TIFF",
        "shade of PNG",
        "shade of 1-bit PNG",
        "colour of PNG",
        "no such colour in PNG",
    ],
)
def test_what_is_transparent_is_laid_on_white(raw: bytes, shades: list[int]) -> None:
    """Black print on a clear ground would be a black rectangle to a model."""
    loaded = images.load(raw)
    assert loaded.laid_on_white == (shades[0] == 255)
    for part, shade in enumerate(shades):
        assert np.abs(loaded.pixels[:, 20 * part + 4 : 20 * part + 16].astype(int) - shade).max() <= 3


@pytest.mark.parametrize(
    "raw",
    [
        saved(Image.new("RGBA", (60, 40), (200, 100, 0, 128)), "PNG"),
        saved(Image.new("RGBA", (60, 40), (200, 100, 0, 128)), "WEBP", lossless=True),
        saved(Image.new("RGBA", (60, 40), (200, 100, 0, 128)), "TIFF"),
        with_tag(saved(Image.new("RGBA", (60, 40), (100, 50, 0, 128)), "TIFF"), 338, 1),
        cv2.imencode(".tiff", np.full((40, 60, 4), (0, 100, 200, 128), np.uint8))[1].tobytes(),
        cv2.imencode(".tiff", np.full((40, 60, 4), (0, 25700, 51400, 32896), np.uint16))[1].tobytes(),
    ],
    ids=["PNG", "WebP", "TIFF", "multiplied TIFF", "TIFF that does not say how", "16-bit TIFF"],
)
def test_a_half_clear_colour_is_mixed_with_white(raw: bytes) -> None:
    """In some TIFFs, colours are already multiplied by their opacity."""
    assert np.abs(images.decode(raw)[20, 30].astype(int) - [127, 177, 227]).max() <= 1


@pytest.mark.parametrize("height", [40, -40])
def test_a_bitmap_with_opacity_is_laid_on_white(height: int) -> None:
    pixels = np.asarray(glass("RGBA"))
    rows = pixels if height < 0 else pixels[::-1]
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<IiiHHIIiiII", 108, 60, height, 1, 32, 3, 0, 0, 0, 0, 0) + masks
    head += bytes(108 - len(head))
    raw = b"BM" + struct.pack("<IHHI", 122 + pixels.size, 0, 0, 122) + head + rows.tobytes()
    loaded = images.load(raw)
    assert loaded.laid_on_white
    assert loaded.pixels[20, 10::20, 0].tolist() == [255, 127, 0]


def test_an_opaque_image_with_room_for_transparency_counts_as_unchanged() -> None:
    loaded = images.load(saved(stripes().convert("RGBA"), "PNG"))
    assert not loaded.laid_on_white
    assert np.array_equal(loaded.pixels[:, :, ::-1], np.asarray(stripes()))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


UNUSED: Final = {
    "gamma": chunk(b"gAMA", struct.pack(">I", 100_000)),
    "sRGB": chunk(b"sRGB", b"\0"),
    "colours": chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    "profile": chunk(
        b"iCCP", b"k\0\0" + zlib.compress(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    ),
    "bits": chunk(b"sBIT", b"\5\5\5"),
    "background": chunk(b"bKGD", b"\0\xff\0\0\0\0"),
    "animation": chunk(b"acTL", struct.pack(">II", 1, 0)),
    "orientation": chunk(b"tEXt", b"Orientation\x006"),
}


@pytest.mark.parametrize("unused", UNUSED.values(), ids=UNUSED)
@pytest.mark.parametrize("how", [cv2.IMREAD_UNCHANGED, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION])
def test_the_pixels_of_a_png_are_those_that_opencv_makes_of_the_whole_file(unused: bytes, how: int) -> None:
    raw = encoded(".png")
    raw = raw[:33] + unused + raw[33:]
    assert np.array_equal(cv2.imdecode(np.frombuffer(raw, np.uint8), how), picture())
    assert np.array_equal(images.decode(raw), picture())


BOMB: Final = """
import sys
from trainer.datasets import images
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
raw = sys.stdin.buffer.read()
images.decode(raw[:33] + raw[raw.rindex(b"IDAT") - 4 :])  # so that libraries are loaded
before = peak()
shape = images.decode(raw).shape
print(shape, peak() - before)
"""


@pytest.mark.parametrize(("name", "head"), [(b"zTXt", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0")])
def test_compressed_texts_of_a_png_are_not_unpacked(name: bytes, head: bytes) -> None:
    """A file of 250 kB would take 250 MB."""
    raw = encoded(".png")
    bomb = raw[:33] + 32 * chunk(name, head + zlib.compress(b"a" * 7_900_000, 9)) + raw[33:]
    done = subprocess.run([sys.executable, "-c", BOMB], input=bomb, capture_output=True, check=True)
    shape, kilobytes = done.stdout.decode().rsplit(" ", 1)
    assert shape == "(40, 60, 3)"
    assert int(kilobytes) < 50_000


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *given: pytest.fail("decoded"))
    with pytest.raises(
        images.ImageError, match=r"more than 2,399 pixels, the limit \(run\.data\.maxPixels\) \(60 × 40\)"
    ):
        images.decode(encoded(".png"), max_pixels=2399)


def test_an_image_of_as_many_pixels_as_allowed_is_read() -> None:
    assert images.decode(encoded(".png"), max_pixels=2400).shape == (40, 60, 3)
    assert images.decode(encoded(".png"), max_pixels=None).shape == (40, 60, 3)


DECODERS: Final = frozenset({"imread", "imdecode", "imreadmulti", "imdecodemulti", "imreadanimation", "VideoCapture"})
"""Names of OpenCV's functions that choose a decoder by content."""


def decoders_in(source: str) -> list[str]:
    """Name what a module has that decodes images."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            opens = node.attr == "open" and ast.unparse(node.value) in ("Image", "PIL.Image")
            if node.attr in DECODERS or opens:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            if (node.module == "cv2" and names & DECODERS) or (node.module == "PIL.Image" and "open" in names):
                found.append(ast.unparse(node))
            if (node.module or "").split(".")[0] in OTHER_READERS:
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Import) and {alias.name.split(".")[0] for alias in node.names} & OTHER_READERS:
            found.append(ast.unparse(node))
    return found


OTHER_READERS: Final = frozenset({"imageio", "tifffile", "skimage", "pypdfium2", "matplotlib"})


def test_one_module_alone_decodes_images() -> None:
    """Whatever decodes elsewhere would open files of any format, and see other pixels than training does."""
    modules = [path for top in ("jobs", "trainer") for path in (ROOT / top).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): decoders_in(path.read_text("utf-8")) for path in modules}
    assert {name: calls for name, calls in found.items() if calls} == {
        "trainer/datasets/images.py": ["cv2.imdecode"],
        # For `ocrfleet predict` alone, in a process without credentials.
        "trainer/datasets/documents.py": ["import pypdfium2"],
    }


@pytest.mark.parametrize(
    "source",
    ["cv2.imread(path)", "f = cv2.imdecode", "Image.open(path)", "PIL.Image.open(path)", "from cv2 import imread"],
)
def test_every_way_to_decode_an_image_is_noticed(source: str) -> None:
    assert decoders_in(source)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_page_of_30_megapixels_is_read_whole(suffix: str) -> None:
    page = np.full((5000, 6000, 3), 255, np.uint8)
    page[4900:4950, 5800:5900] = 0
    read = images.decode(cv2.imencode(suffix, page)[1].tobytes())
    assert read.shape == page.shape
    assert images.crop(read, [[5800, 4900], [5900, 4900], [5900, 4950], [5800, 4950]]).max() <= 4


def test_an_upright_rectangle_is_cut_out_pixel_by_pixel() -> None:
    page = picture()
    for corners in ([[10, 5], [40, 5], [40, 15], [10, 15]], [[40, 15], [10, 15], [10, 5], [40, 5]]):
        assert np.array_equal(images.crop(page, corners), page[5:15, 10:40])


def test_a_tall_crop_is_laid_on_its_side() -> None:
    page = picture()
    tall = [[10, 5], [20, 5], [20, 35], [10, 35]]
    assert np.array_equal(images.crop(page, tall), np.rot90(page[5:35, 10:20]))
    assert images.crop(page, [[10, 5], [30, 5], [30, 34], [10, 34]]).shape[:2] == (29, 20)
    assert images.crop(page, [[10, 5], [30, 5], [30, 35], [10, 35]]).shape[:2] == (20, 30)


def test_a_polygon_is_cut_along_the_least_rectangle_around_it() -> None:
    page = picture()
    polygon = [[10, 5], [25, 6], [40, 5], [40, 15], [25, 14], [10, 15]]
    assert np.array_equal(images.crop(page, polygon), page[5:15, 10:40])


@pytest.mark.parametrize(
    "points",
    [
        [[10, 5], [40, 5], [40, 15], [10, 15]],
        [[10, 5], [20, 5], [20, 35], [10, 35]],
        [[10, 5], [30, 5], [30, 35], [10, 35]],
        [[3, 9], [31, 2], [33, 11], [5, 18]],
        [[10, 5], [40, 8], [25, 30]],
        [[-3.5, -2], [30.2, -2], [30.2, 9.7], [-3.5, 9.7]],
    ],
)
def test_the_size_of_a_crop_is_known_before_it_is_made(points: list[list[float]]) -> None:
    height, width = images.crop(picture(), points).shape[:2]
    assert images.crop_size(points, width=60, height=40) == (width, height)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ([[5, 5], [30, 5], [50, 5]], "no pixels"),
        ([[5, 5], [5, 5], [5, 5], [5, 5]], "no pixels"),
        ([[100, 5], [130, 5], [130, 15], [100, 15]], "outside"),
        ([[10, 45], [30, 45], [30, 55], [10, 55]], "outside"),
        ([[100, 5], [101, 5], [101, 6], [100, 6]], "outside"),
        ([[10, 45], [11, 45], [11, 46], [10, 46]], "outside"),
        ([[10, 5], [900_000, 5], [900_000, 15], [10, 15]], "outside"),
    ],
)
def test_a_region_without_pixels_of_the_page_is_refused(points: list[list[float]], words: str) -> None:
    with pytest.raises(images.ImageError, match=words):
        images.crop(picture(), points)


@pytest.mark.parametrize(
    ("left", "top", "by"), [(-10, 5, (-1, 0)), (50, 5, (1, 0)), (5, -10, (0, -1)), (5, 30, (0, 1))]
)
def test_at_most_half_of_a_region_may_lie_outside(left: int, top: int, by: tuple[int, int]) -> None:
    region = [(left, top), (left + 20, top), (left + 20, top + 20), (left, top + 20)]
    assert not images.outside(region, width=60, height=40)
    assert images.outside([(x + by[0], y + by[1]) for x, y in region], width=60, height=40)


def test_a_region_may_be_a_pixel_high() -> None:
    page = picture()
    assert np.array_equal(images.crop(page, [[10, 5], [40, 5], [40, 6], [10, 6]]), page[5:6, 10:40])


def test_a_crop_is_written_once_and_again_only_when_it_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "ab" / "x.png"
    made: list[int] = []

    def make() -> "images.Image":
        made.append(1)
        return picture()

    images.save_once(path, make)
    images.save_once(path, make)
    assert len(made) == 1
    assert np.array_equal(cv2.imread(str(path)), picture())
    path.write_bytes(path.read_bytes()[:-5])
    images.save_once(path, make)
    assert len(made) == 2
    assert [p.name for p in path.parent.iterdir()] == ["x.png"]


def test_the_name_of_a_crop_tells_its_page_and_its_corners() -> None:
    corners = [[1, 2], [3, 2], [3, 4]]
    assert images.crop_name("p", corners) == images.crop_name("p", [[1.0, 2.0], (3, 2), [3, 4]])
    assert (
        len({images.crop_name("p", corners), images.crop_name("q", corners), images.crop_name("p", corners[::-1])}) == 3
    )
