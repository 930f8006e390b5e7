"""Format, size, orientation and transparency of an image file, from its header alone: no pixel is decoded.

OpenCV and Pillow choose a decoder by content from some forty formats. The files of a dataset are foreign, so that only
the formats named here may reach a decoder, whatever their suffix. Uses the standard library only.
"""

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


class ImageError(Exception):
    """An image, or a region of one, cannot be used; the message is a phrase that follows `Label.txt:12:`."""

    def __init__(self, reason: str, *, detail: str = "") -> None:
        """Keep the reason apart from its details, so that images can be counted by reason.

        Args:
            reason: the words.
            detail: what stands in this one image.
        """
        super().__init__(reason + detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the header of an image file says."""

    format: str
    """JPEG, PNG, BMP, TIFF or WebP."""

    width: int
    """Pixels, before the image is turned."""

    height: int
    """Pixels, before the image is turned."""

    orientation: int = 1
    """The EXIF orientation, 1 to 8."""

    transparent: bool = False
    """Whether pixels may be transparent."""

    premultiplied: bool = False
    """TIFF: whether OpenCV returns colours that are multiplied by their opacity."""

    grey_key: int | None = None
    """PNG: the one shade of a grey image that is transparent, as OpenCV returns it."""

    buffer: int = 0
    """TIFF: pixels of one tile, which may be larger than the image."""

    scan: int = 0
    """JPEG: where the pixels of the first scan begin; 0 if it has no scan."""

    @property
    def pixels(self) -> int:
        """Pixels that a decoder makes room for."""
        return max(self.width * self.height, self.buffer)


FORMATS: Final = "JPEG, PNG, BMP, TIFF or WebP"

_OTHERS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 image"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (4, b"ftypavi", "an AVIF image"),
    (4, b"ftyphe", "a HEIC image"),
    (4, b"ftypmif1", "a HEIC image"),
    (4, b"ftypmsf1", "a HEIC image"),
    (4, b"ftyp", "a video"),
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "a PostScript file"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (0, b"GIF8", "a GIF image"),
    (0, b"v/1\x01", "an OpenEXR image"),
    (0, b"#?RADIANCE", "a Radiance HDR image"),
    (0, b"#?RGBE", "a Radiance HDR image"),
    (0, b"Y\xa6j\x95", "a Sun raster image"),
    (0, b"8BPS", "a Photoshop image"),
    (0, b"\x8aMNG\r\n\x1a\n", "an MNG animation"),
    (0, b"\0\0\1\0", "an icon (ICO)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"DDS ", "a DDS texture"),
    (0, b"BLP", "a BLP texture"),
    (0, b"FTEX", "an FTEX texture"),
    (0, b"qoif", "a QOI image"),
    (0, b"\x01\xda", "an SGI image"),
    (0, b"\x0a\x05\x01", "a PCX image"),
    (0, b"\xb1\x68\xde\x3a", "a DCX image"),
    (0, b"SIMPLE  =", "a FITS image"),
    (0, b"\xd7\xcd\xc6\x9a", "a WMF drawing"),
    (0, b"AT&TFORM", "a DjVu document"),
    (0, b"/* XPM */", "an XPM image"),
    (0, b"#define", "an XBM image"),
    (0, b"P7 332", "an XV thumbnail"),
    (0, b"PF\n", "a PFM image"),
    (0, b"Pf\n", "a PFM image"),
    *((0, b"P%d" % kind, "a Netpbm image (PBM, PGM, PPM or PAM)") for kind in range(1, 8)),
    (128, b"DICM", "a DICOM image"),
    (0, b"PK\3\4", "a ZIP archive"),
    (0, b"version https://git-lfs", "a Git LFS pointer and not the file itself (run `git lfs pull`)"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"<?xml", "an XML file"),
)
"""Where and how other files begin, and what they are called. Only for the message: unknown ones are refused as well."""


TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins, and a BigTIFF."""

_BROKEN: Final = (struct.error, IndexError, OverflowError)
"""What Python raises when a number in a file points beyond the file."""


def read(raw: bytes) -> Header:
    """Read the header of an image file.

    Raises:
        ImageError: the file is empty, has another format, or its header is truncated or broken.
    """
    if not raw:
        raise ImageError("the image file is empty")
    parse = next((parse for start, parse in _PARSERS.items() if raw.startswith(start)), None)
    if parse is None:
        raise ImageError(_other(raw))
    try:
        header = parse(raw)
    except _BROKEN as error:
        raise ImageError("the image is truncated, or its header is broken") from error
    if not (header.width > 0 and header.height > 0):
        raise ImageError("the header of the image gives it no pixels")
    return header


def other(raw: bytes) -> str | None:
    """Return why a file is no image, judged by its first bytes, or None if it begins like one."""
    if any(raw.startswith(start) for start in _PARSERS):
        return None
    return _other(raw) if raw else "the image file is empty"


def _other(raw: bytes) -> str:
    for at, magic, name in _OTHERS:
        if raw.startswith(magic, at):
            return f"the file is {name}; an image must be {FORMATS}"
    return f"the file is not an image; an image must be {FORMATS}"


_SCAN: Final = 0xDA
_END: Final = 0xD9
_NO_FRAMES: Final = frozenset({0xC4, 0xC8, 0xCC})
"""Markers among those of frames, 0xC0 to 0xCF, that begin none: tables and a reserved one."""

_SEGMENTS: Final = frozenset({*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE})
"""Markers that a length follows, of those that libjpeg knows."""

_MARKER: Final = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
"""Ends the pixels of a scan; 0xFF before a zero or a restart marker does not."""

MOST_SCANS: Final = 100
"""Of a JPEG, since each one costs time for every pixel. libjpeg writes 10 by default; libtiff's limit is 100, too."""


def _segments(raw: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin of the content and end of each segment of a JPEG, up to the first scan.

    libjpeg skips bytes between segments, and markers without a length. What it would read there must be read here, so
    there may be nothing but fill bytes.
    """
    at, last = 2, len(raw) - 4
    while at <= last:
        marker = raw[at + 1]
        if raw[at] == marker == 0xFF:  # fill bytes stand alone
            at += 1
            continue
        length = raw[at + 2] << 8 | raw[at + 3]
        if raw[at] != 0xFF or marker not in _SEGMENTS or length < 2:
            raise ImageError("the header of the JPEG is broken")
        end = at + 2 + length
        yield marker, at + 4, end
        if marker == _SCAN:
            return
        at = end


def _has_too_many_scans(raw: bytes, scan: int) -> bool:
    if raw.count(b"\xff\xda") <= MOST_SCANS:
        return False
    # Some of these may stand in a preview, or behind the image.
    at, scans = scan, 1
    while at and scans <= MOST_SCANS and (found := _MARKER.search(raw, at)):
        marker, at = found[1][0], found.end()
        if marker == _END:
            break
        scans += marker == _SCAN
        if marker in _SEGMENTS:
            at += max(2, int.from_bytes(raw[at : at + 2], "big"))
    return scans > MOST_SCANS


def _jpeg(raw: bytes) -> Header:
    size: tuple[int, int] | None = None
    orientation, scan = 1, 0
    for marker, at, end in _segments(raw):
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES and size is None:
            size = struct.unpack_from(">xHH", raw, at)
        elif marker == 0xE1 and raw.startswith(b"Exif\0\0", at) and orientation == 1:
            orientation = _orientation(raw[at + 6 : end])
        elif marker == _SCAN:
            scan = end
    if size is None:
        raise ImageError("the image is truncated")
    if _has_too_many_scans(raw, scan):
        raise ImageError(f"the image is a progressive JPEG with more than {MOST_SCANS} scans; save it again")
    return Header(format="JPEG", width=size[1], height=size[0], orientation=orientation, scan=scan)


def _png(raw: bytes) -> Header:
    if raw[12:16] != b"IHDR":
        raise ImageError("the header of the PNG is broken")
    width, height, depth, colour = struct.unpack_from(">IIBB", raw, 16)
    chunks = _chunks(raw, 8, ">I4s", trailer=4)
    key = chunks.get(b"tRNS")
    grey_key = None
    if colour == 0 and key is not None and 1 <= depth <= 16:
        shade = int.from_bytes(key[:2], "big")
        grey_key = shade if depth == 16 else shade * 255 // ((1 << depth) - 1)
    return Header(
        format="PNG",
        width=width,
        height=height,
        orientation=_orientation(chunks.get(b"eXIf", b"")),
        transparent=colour in (4, 6) or key is not None,
        grey_key=grey_key,
    )


def _chunks(raw: bytes, at: int, form: str, *, trailer: int = 0) -> dict[bytes, bytes]:
    """Return the small chunks of a PNG or WebP by name, the first of each; trailer: bytes of a checksum."""
    found: dict[bytes, bytes] = {}
    while at + 8 <= len(raw):
        one, other = struct.unpack_from(form, raw, at)
        name, size = (other, one) if isinstance(one, int) else (one, other)
        if name in (b"tRNS", b"eXIf", b"EXIF"):
            found.setdefault(name, raw[at + 8 : at + 8 + size])
        at += 8 + size + (trailer or size % 2)
    return found


def png_pixels(raw: bytes) -> bytes:
    """Return a PNG with only the chunks that its pixels depend on: the critical ones, and `tRNS`.

    libpng unpacks texts and profiles, of which a small file may have gigabytes. OpenCV uses neither.
    """
    parts, at = [raw[:8]], 8
    while at < len(raw):
        name = raw[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(raw[at : at + 4], "big")
        if name[:1].isupper() or name == b"tRNS":
            parts.append(raw[at:end])
        if name == b"IEND":
            break
        at = end
    return b"".join(parts)


def _webp(raw: bytes) -> Header:
    if raw[8:12] != b"WEBP":
        raise ImageError(f"the file is a RIFF file such as audio or video; an image must be {FORMATS}")
    kind = raw[12:16]
    if kind == b"VP8X":
        flags = raw[20]
        if flags & 2:
            raise ImageError("the file is an animated WebP; save one picture of it")
        exif = _chunks(raw, 12, "<4sI").get(b"EXIF", b"")
        return Header(
            format="WebP",
            width=int.from_bytes(raw[24:27], "little") + 1,
            height=int.from_bytes(raw[27:30], "little") + 1,
            orientation=_orientation(exif.removeprefix(b"Exif\0\0")),
            transparent=bool(flags & 0x10),
        )
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", raw, 21)
        return Header(
            format="WebP",
            width=(bits & 0x3FFF) + 1,
            height=(bits >> 14 & 0x3FFF) + 1,
            transparent=bool(bits >> 28 & 1),
        )
    if kind != b"VP8 ":
        raise ImageError("the header of the WebP is broken")
    width, height = struct.unpack_from("<HH", raw, 26)
    return Header(format="WebP", width=width & 0x3FFF, height=height & 0x3FFF)


def _bmp(raw: bytes) -> Header:
    (size,) = struct.unpack_from("<I", raw, 14)
    if size == 12:
        width, height = struct.unpack_from("<HH", raw, 18)
        return Header(format="BMP", width=width, height=height)
    if not 40 <= size <= 124:
        raise ImageError("the image is truncated, or its header is broken")
    width, height, _, depth, compression = struct.unpack_from("<iiHHI", raw, 18)
    if compression in (4, 5):
        raise ImageError(f"the image is a BMP with a {'JPEG' if compression == 4 else 'PNG'} inside; save it as that")
    alpha = struct.unpack_from("<I", raw, 66)[0] if size >= 56 and compression == 3 else 0
    # Negative: the rows stand from top to bottom.
    return Header(format="BMP", width=width, height=abs(height), transparent=depth == 32 and alpha == 0xFF000000)


_COMPRESSIONS: Final = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})
"""None, CCITT (fax), LZW, JPEG, Deflate and PackBits. JPEG goes to the decoder that reads JPEG files."""

_OTHER_COMPRESSIONS: Final[Mapping[int, str]] = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    32908: "PixarFilm",
    32909: "PixarLog",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGILog",
    34677: "SGILog24",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG (DNG)",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


def _tiff(raw: bytes) -> Header:
    tags = _directory(raw)

    def one(tag: int, default: int) -> int:
        return tags[tag][0] if tag in tags else default

    depth, extra = max(tags.get(258, (1,))), tags.get(338, ())
    # OpenCV makes noise of these, and says nothing.
    if set(tags.get(339, ())) - {1, 4} or depth > 16:
        raise ImageError(
            "the image is a TIFF with floating-point, signed or 32-bit pixels; save it with 8 bits per channel"
        )
    compression = one(259, 1)
    if compression not in _COMPRESSIONS:
        name = _OTHER_COMPRESSIONS.get(compression, f"method {compression}")
        raise ImageError(f"the image is a TIFF compressed with {name}; save it with LZW, Deflate or JPEG")
    samples = one(277, 1)
    if samples == 2 and {1, 2} & set(extra):
        raise ImageError("the image is a grey TIFF with transparency, which OpenCV ignores; save it as PNG")
    orientation = one(274, 1)
    return Header(
        format="TIFF",
        width=one(256, 0),
        height=one(257, 0),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        transparent=samples == 4 and one(262, 0) == 2,
        # libtiff multiplies as it makes 8 bits of them; deeper pixels are returned as they are stored.
        premultiplied=1 in extra or (2 in extra and depth <= 8),
        buffer=one(322, 0) * one(323, 0),
    )


_NUMBERS: Final[Mapping[int, str]] = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 16: "Q", 17: "q"}
"""Types of whole numbers, by their number in TIFF; libtiff takes any of them for any tag."""

_WANTED: Final = frozenset({254, 256, 257, 258, 259, 262, 274, 277, 322, 323, 338, 339})


MOST_PAGES: Final = 10_000
"""Of a TIFF or a PDF. A TIFF whose pages go round in a circle has no more either."""


def tiff_pages(raw: bytes) -> list[int]:
    """Return where the directory of each page of a TIFF lies, without previews and masks.

    Raises:
        ImageError: the file is truncated or broken, or has too many pages.
    """
    order, big = _order(raw)
    offset, entry = (f"{order}Q", 20) if big else (f"{order}I", 12)
    pages, seen, listed = [], set[int](), 0
    try:
        (at,) = struct.unpack_from(offset, raw, 8 if big else 4)
        while at and at not in seen:
            seen.add(at)
            if len(seen) > MOST_PAGES:
                raise ImageError(f"the image is a TIFF with more than {MOST_PAGES:,} pages; split it")
            (entries,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", raw, at)
            listed += entries
            if listed * entry > len(raw):  # they overlap: a small file would take hours
                raise ImageError("the header of the TIFF is broken")
            # Bits of NewSubfileType: 1 a preview, 4 a mask.
            if not _directory(raw, at).get(254, (0,))[0] & 5:
                pages.append(at)
            (at,) = struct.unpack_from(offset, raw, at + (8 if big else 2) + entries * entry)
    except _BROKEN as error:
        raise ImageError("the image is truncated, or its header is broken") from error
    return pages


def tiff_from(raw: bytes, page: int) -> bytes:
    """Return the same TIFF with the directory of another page as its first."""
    order, big = _order(raw)
    start = 8 if big else 4
    place = struct.pack(f"{order}{'Q' if big else 'I'}", page)
    return raw[:start] + place + raw[start + len(place) :]


def _order(raw: bytes) -> tuple[str, bool]:
    """Return the order of a TIFF's bytes, as in `struct`, and whether it is a BigTIFF."""
    return "<" if raw[:2] == b"II" else ">", raw[2:4] in (b"+\0", b"\0+")


def _directory(raw: bytes, at: int | None = None) -> dict[int, tuple[int, ...]]:
    """Return the numbers of a TIFF's directory, by default the first, by tag; tags that are not wanted are left out."""
    order, big = _order(raw)
    if at is None:
        at = int(struct.unpack_from(f"{order}{'Q' if big else 'I'}", raw, 8 if big else 4)[0])
    (entries,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", raw, at)
    at += 8 if big else 2
    head, inline, step = (f"{order}HHQ", 8, 20) if big else (f"{order}HHI", 4, 12)
    tags: dict[int, tuple[int, ...]] = {}
    for place in range(at, at + entries * step, step):
        tag, kind, count = struct.unpack_from(head, raw, place)
        if tag not in _WANTED:
            continue
        # Where decoders may differ in what they take, nothing is taken.
        if tag in tags or kind not in _NUMBERS or not count:
            raise ImageError("the header of the TIFF is broken", detail=f" (tag {tag} is repeated, or is no number)")
        form = f"{order}{min(count, 16)}{_NUMBERS[kind]}"
        value = place + step - inline
        if count * struct.calcsize(_NUMBERS[kind]) > inline:
            (value,) = struct.unpack_from(f"{order}{'Q' if big else 'I'}", raw, value)
        tags[tag] = struct.unpack_from(form, raw, value)
    return tags


def _orientation(exif: bytes) -> int:
    """Return the orientation that EXIF data gives, 1 where they are broken: what shows a picture ignores them then."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    try:
        found = _directory(exif).get(274)
    except (ImageError, *_BROKEN):
        return 1
    return found[0] if found and 1 <= found[0] <= 8 else 1


_PARSERS: Final[Mapping[bytes, Callable[[bytes], Header]]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"BM": _bmp,
    **dict.fromkeys(TIFF, _tiff),
    b"RIFF": _webp,
}
