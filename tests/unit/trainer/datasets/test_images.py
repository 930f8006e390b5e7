"""Images are read whole, and lines are cut out of them as readers do."""

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from trainer.datasets import images


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


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_image_is_turned_as_its_exif_says(form: str, orientation: int) -> None:
    """Labels are made on the turned image: PPOCRLabel shows it so, and training reads it so."""
    exif = Image.Exif()
    exif[0x112] = orientation
    raw = saved(stripes(), form, exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(raw))).convert("RGB")
    read = images.decode(raw)[:, :, ::-1].astype(int)
    assert read.shape == np.asarray(upright).shape
    assert np.abs(read - np.asarray(upright))[5::10, 5::10].max() <= 4


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_page_of_30_megapixels_is_read_whole(suffix: str) -> None:
    page = np.full((5000, 6000, 3), 255, np.uint8)
    page[4900:4950, 5800:5900] = 0
    read = images.decode(cv2.imencode(suffix, page)[1].tobytes())
    assert read.shape == page.shape
    assert images.crop(read, [[5800, 4900], [5900, 4900], [5900, 4950], [5800, 4950]]).max() <= 4


def test_all_images_are_read_in_order_and_errors_stand_in_their_places(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(40)]
    for width, path in enumerate(paths, start=1):
        path.write_bytes(cv2.imencode(".png", picture(width))[1].tobytes())
    paths[7].write_bytes(b"no image")
    paths[9].unlink()
    told: list[tuple[int, int]] = []
    found = images.read_all(paths, lambda place, image, _: (place, image.shape[1]), progress=lambda *t: told.append(t))
    assert [n for n, result in enumerate(found) if isinstance(result, images.ImageError)] == [7, 9]
    assert all(found[n] == (n, n + 1) for n in range(40) if n not in (7, 9))
    assert told[-1] == (40, 40)


def test_an_error_of_the_visitor_is_not_taken_for_the_images(tmp_path: Path) -> None:
    """A full disk while a crop is written is no fault of the dataset."""
    (tmp_path / "a.png").write_bytes(encoded(".png"))

    def visit(place: int, image: "images.Image", digest: str) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "crop.png"))

    with pytest.raises(OSError, match="No space"):
        images.read_all([tmp_path / "a.png"], visit)


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
