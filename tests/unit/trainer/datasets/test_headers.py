"""What an image is, is read from its first bytes: closed formats, sizes, orientation."""

import io
import struct
from typing import Any, Final

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.unit.trainer.datasets.test_images import saved, stripes, with_tag
from trainer.datasets import headers, images
from trainer.datasets.headers import Header, ImageError


def by_opencv(suffix: str, kind: Any = np.uint8) -> bytes:
    return cv2.imencode(suffix, np.full((40, 60, 3), 7, kind))[1].tobytes()


TAKEN: Final = {
    "JPEG": [saved(stripes(), "JPEG"), saved(stripes(), "JPEG", progressive=True), by_opencv(".jpg")],
    "PNG": [saved(stripes(), "PNG"), by_opencv(".png"), by_opencv(".png", np.uint16)],
    "BMP": [saved(stripes(), "BMP"), by_opencv(".bmp")],
    "TIFF": [saved(stripes(), "TIFF"), saved(stripes(), "TIFF", big_tiff=True), by_opencv(".tiff")],
    "WebP": [saved(stripes(), "WEBP"), saved(stripes(), "WEBP", lossless=True), by_opencv(".webp")],
}


@pytest.mark.parametrize(("form", "raw"), [(form, raw) for form, made in TAKEN.items() for raw in made])
def test_the_header_of_each_format_is_read(form: str, raw: bytes) -> None:
    scan = raw.index(b"\xff\xda") if form == "JPEG" else 0
    length = int.from_bytes(raw[scan + 2 : scan + 4], "big") + 2 if scan else 0
    assert headers.read(raw) == Header(format=form, width=60, height=40, scan=scan + length)
    assert images.decode(raw).shape == (40, 60, 3)


def test_the_size_of_a_bitmap_of_1990_is_read() -> None:
    raw = b"BM" + bytes(8) + struct.pack("<IIHHHH", 26, 12, 60, 40, 1, 24) + bytes(60 * 40 * 3)
    assert headers.read(raw) == Header(format="BMP", width=60, height=40)


def made_by_pillow() -> dict[str, bytes]:
    """Return a file of each format that Pillow writes, but for those that are taken."""
    Image.init()
    made: dict[str, bytes] = {}
    for form in sorted(set(Image.SAVE) - {"JPEG", "PNG", "BMP", "TIFF", "WEBP", "MPO"}):
        for mode in ("RGB", "L", "1", "P"):
            try:
                made[form] = saved(stripes().convert(mode), form)
                break
            # A format takes some modes only; BUFR and its like are written by no one.
            except (OSError, ValueError, KeyError, AttributeError):
                continue
    return made


KNOWN_BY_NAME: Final = {
    "AVIF": "an AVIF image",
    "BLP": "a BLP texture",
    "DDS": "a DDS texture",
    "EPS": "a PostScript file",
    "GIF": "a GIF image",
    "ICNS": "an icon",
    "ICO": "an icon",
    "JPEG2000": "a JPEG 2000 image",
    "PCX": "a PCX image",
    "PDF": "a PDF",
    "PPM": "a Netpbm image",
    "QOI": "a QOI image",
    "SGI": "an SGI image",
    "XBM": "an XBM image",
}


@pytest.mark.parametrize(("form", "raw"), made_by_pillow().items())
def test_every_other_format_of_pillow_is_refused(form: str, raw: bytes) -> None:
    with pytest.raises(ImageError, match=KNOWN_BY_NAME.get(form, "not an image")):
        images.decode(raw)


def test_pillow_writes_the_formats_that_are_known_by_name() -> None:
    assert KNOWN_BY_NAME.keys() <= made_by_pillow().keys()


@pytest.mark.parametrize(
    ("suffix", "kind", "name"),
    [
        (".jp2", np.uint8, "a JPEG 2000 image"),
        (".ppm", np.uint8, "a Netpbm image"),
        (".pnm", np.uint8, "a Netpbm image"),
        (".pam", np.uint8, "a Netpbm image"),
        (".pfm", np.float32, "a PFM image"),
        (".sr", np.uint8, "a Sun raster image"),
        (".ras", np.uint8, "a Sun raster image"),
        (".hdr", np.float32, "a Radiance HDR image"),
    ],
)
def test_every_other_format_of_opencv_is_refused(suffix: str, kind: Any, name: str) -> None:
    """OpenCV reads it, so that it must not come so far."""
    raw = by_opencv(suffix, kind)
    assert cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED) is not None
    with pytest.raises(ImageError, match=name):
        images.decode(raw)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"v/1\x01\x02\0\0\0", "an OpenEXR image"),
        (b"\xff\x4f\xff\x51\0\x2f", "a JPEG 2000 image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
        (b"\xff\x0a\xfa\x1f", "a JPEG XL image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a video"),
        (b"8BPS\0\1", "a Photoshop image"),
        (b"SIMPLE  =                    T", "a FITS image"),
        (b"\xd7\xcd\xc6\x9a\0\0", "a WMF drawing"),
        (b"\0\0\2\0\1\0", "not an image"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"AT&TFORM\0\0\0\0DJVM", "a DjVu document"),
        (b"<svg xmlns=", "an SVG drawing"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio or video"),
        (b"\x89HDF\r\n\x1a\n", "not an image"),
        (b"hello", "not an image"),
        (b"GRIB\0\0", "not an image"),
        (b"\0\0\1\xba\x44", "not an image"),
    ],
)
def test_other_files_are_refused_whatever_they_are(start: bytes, name: str) -> None:
    with pytest.raises(ImageError, match=name):
        images.decode(start + bytes(64))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_a_tiff_of_a_common_compression_is_read(compression: str) -> None:
    read = images.decode(saved(stripes(), "TIFF", compression=compression))
    assert np.abs(read[:, 5::10, ::-1].astype(int) - np.asarray(stripes())[:, 5::10]).max() <= 8


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4"])
def test_a_fax_is_read(compression: str) -> None:
    page = Image.new("1", (64, 40), 1)
    page.paste(0, (16, 8, 48, 32))
    read = images.decode(saved(page, "TIFF", compression=compression))
    assert np.array_equal(read[:, :, 0] > 127, np.asarray(page))


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (6, "old-style JPEG"),
        (32809, "ThunderScan"),
        (32909, "PixarLog"),
        (34676, "SGILog"),
        (34712, "JPEG 2000"),
        (34887, "LERC"),
        (34925, "LZMA"),
        (50000, "Zstandard"),
        (50001, "WebP"),
        (4711, "method 4711"),
    ],
)
@pytest.mark.parametrize("kind", [3, 9], ids=["unsigned", "signed"])
def test_a_tiff_that_would_reach_another_decoder_is_refused(number: int, name: str, kind: int) -> None:
    """libtiff takes a number of any type for the compression."""
    with pytest.raises(ImageError, match=f"TIFF compressed with {name}"):
        images.decode(with_tag(saved(stripes(), "TIFF"), 259, number, kind))


def test_a_tiff_that_names_its_compression_twice_is_refused() -> None:
    raw = saved(stripes(), "TIFF")
    (at,) = struct.unpack_from("<I", raw, 4)
    doubled = bytearray(raw)
    places = [at + 2 + 12 * n for n in range(struct.unpack_from("<H", raw, at)[0])]
    last = next(place for place in places if raw[place : place + 2] == struct.pack("<H", 262))
    doubled[last : last + 12] = struct.pack("<HHII", 259, 3, 1, 34712)
    with pytest.raises(ImageError, match="tag 259 is repeated"):
        images.decode(bytes(doubled))


def test_a_tile_that_is_larger_than_its_image_counts_with_its_size() -> None:
    raw = with_tag(with_tag(saved(stripes(), "TIFF"), 322, 65536, 4), 323, 65536, 4)
    with pytest.raises(ImageError, match=r"run\.data\.maxPixels"):
        images.decode(raw)


@pytest.mark.parametrize("inside", [4, 5])
def test_a_bitmap_with_another_image_inside_is_refused(inside: int) -> None:
    raw = bytearray(saved(stripes(), "BMP"))
    raw[30:34] = struct.pack("<I", inside)
    with pytest.raises(ImageError, match=r"BMP with a (JPEG|PNG) inside"):
        images.decode(bytes(raw))


def test_an_animation_is_refused() -> None:
    stream = io.BytesIO()
    frames = [stripes(), stripes().rotate(180)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="animated WebP"):
        images.decode(stream.getvalue())


@pytest.mark.parametrize(
    ("raw", "pixels"),
    [
        (b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 100_000, 100_000, 8, 2, 0, 0, 0), 10**10),
        (b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 17, 8, 65500, 65500, 3), 65500**2),
        (b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 100_000, -100_000, 1, 24, 0), 10**10),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\x01" * 2, 131072**2),
        (b"RIFF\0\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + b"\xff\xff\xff\x0f", 16384**2),
        (with_tag(with_tag(saved(stripes(), "TIFF"), 256, 100_000, 4), 257, 100_000, 4), 10**10),
    ],
    ids=["PNG", "JPEG", "BMP", "WebP", "lossless WebP", "TIFF"],
)
def test_a_few_bytes_that_claim_many_pixels_are_refused(raw: bytes, pixels: int) -> None:
    assert headers.read(raw).pixels == pixels
    with pytest.raises(ImageError, match=r"more than 250,000,000 pixels"):
        images.decode(raw, max_pixels=250_000_000)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_data_turn_nothing(form: str) -> None:
    for broken in (b"MM\0*\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"rubbish", b"II*\0"):
        raw = saved(stripes(), form, exif=b"Exif\0\0" + broken if form != "PNG" else broken)
        assert headers.read(raw).orientation == 1
        assert images.decode(raw).shape == (40, 60, 3)


def test_no_header_of_random_bytes_ends_in_another_error() -> None:
    random = np.random.default_rng(1)
    for made in TAKEN.values():
        for raw in made:
            for _ in range(200):
                spoilt = bytearray(raw[: random.integers(1, 200)])
                for place in random.integers(0, len(spoilt), 4):
                    spoilt[place] = random.integers(0, 256)
                try:
                    headers.read(bytes(spoilt))
                except ImageError:
                    continue


def segments(raw: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the frame of a JPEG, the other segments before its pixels, and the first scan with all after it."""
    at, frame, others = 2, b"", b""
    while raw[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
        if raw[at + 1] in (0xC0, 0xC2):
            frame = raw[at:end]
        else:
            others += raw[at:end]
        at = end
    return frame, others, raw[at:]


@pytest.mark.parametrize("marker", [0x00, 0x01, 0x02, 0xBF, *range(0xD0, 0xD8), 0xD9])
def test_a_jpeg_cannot_show_its_header_to_us_and_another_to_the_decoder(marker: int) -> None:
    """libjpeg passes over these without a length: what follows was skipped here, and read there."""
    frame, others, scan = segments(by_opencv(".jpg"))
    small = frame.replace(struct.pack(">HH", 40, 60), struct.pack(">HH", 1, 1))
    # Found here behind the true frame, and there inside a comment.
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(small)) + small
    length = struct.pack(">H", 2 + len(frame) + 4)
    raw = b"\xff\xd8" + bytes((0xFF, marker)) + length + frame + comment + others + scan
    with pytest.raises(ImageError, match="the header of the JPEG is broken"):
        images.decode(raw, max_pixels=1)


@pytest.mark.parametrize("between", [b"\0", b"\xff\xfe\0\0", b"\xff\xfe\0\1", b"\xff\xd8"])
def test_nothing_but_segments_may_stand_before_the_pixels_of_a_jpeg(between: bytes) -> None:
    raw = by_opencv(".jpg")
    with pytest.raises(ImageError, match="the header of the JPEG is broken"):
        images.decode(raw[:2] + between + raw[2:])


def progressive(scans: int, *, before: bytes = b"") -> bytes:
    """Return a progressive JPEG whose last scan is repeated."""
    raw = saved(stripes().resize((600, 400)), "JPEG", progressive=True)
    last = raw[raw.rfind(b"\xff\xda") : -2]
    return raw[:-2] + before + last * (scans - raw.count(b"\xff\xda")) + b"\xff\xd9"


def test_a_jpeg_may_have_as_many_scans_as_the_limit_and_no_more() -> None:
    assert images.decode(progressive(100)).shape == (400, 600, 3)
    with pytest.raises(ImageError, match="a progressive JPEG with more than 100 scans"):
        images.decode(progressive(101))


@pytest.mark.parametrize("hidden", [b"\xff\xd9", b"\xff\xd9\xff\xda" * 3], ids=["an end", "ends and scans"])
def test_an_end_of_image_in_a_comment_hides_no_scans(hidden: bytes) -> None:
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(hidden)) + hidden
    assert images.decode(progressive(100, before=comment)[:-2] + b"\xff\xd9").shape == (400, 600, 3)
    with pytest.raises(ImageError, match="more than 100 scans"):
        images.decode(progressive(110, before=comment))


def test_an_end_of_image_in_the_header_of_the_first_scan_hides_no_scans() -> None:
    """A sequential decoder only warns of the numbers that stand there."""
    raw = saved(Image.new("L", (60, 40), 7), "JPEG")
    at = raw.index(b"\xff\xda")
    scan = raw[at:-2]
    spoilt = scan[:7] + b"\xff\xd9" + scan[9:]
    assert images.decode(raw[:at] + spoilt + b"\xff\xd9").shape == (40, 60, 3)
    with pytest.raises(ImageError, match="more than 100 scans"):
        images.decode(raw[:at] + spoilt + scan * 100 + b"\xff\xd9")


def test_bytes_behind_the_end_of_a_jpeg_are_no_scans() -> None:
    """Phones append a video or a second picture."""
    assert images.decode(by_opencv(".jpg") + b"\xff\xda" * 200).shape == (40, 60, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_size_in_a_header_is_the_size_of_the_pixels_before_they_are_turned(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    raw = saved(stripes(), form, exif=exif)
    assert (headers.read(raw).width, headers.read(raw).height) == (60, 40)
    assert images.decode(raw).shape == ((60, 40, 3) if orientation >= 5 else (40, 60, 3))


def test_an_image_of_another_size_than_its_header_says_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "read", lambda _: Header(format="PNG", width=60, height=41))
    with pytest.raises(ImageError, match="gives it another size than it has"):
        images.decode(by_opencv(".png"))
