"""The pages of TIFFs and PDFs, as `ocrfleet predict` reads them."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from trainer.datasets import headers
from trainer.datasets.documents import Document
from trainer.datasets.headers import ImageError


def tiff(*shades: int, big: bool = False, **options: Any) -> bytes:
    """A TIFF with a grey page for each shade, each wider than the one before."""
    made = io.BytesIO()
    pages = [Image.new("L", (10 + place, 8), shade) for place, shade in enumerate(shades)]
    pages[0].save(made, "TIFF", append_images=pages[1:], save_all=True, big_tiff=big, **options)
    return made.getvalue()


def seen(raw: bytes, *, most: int = 10_000) -> list[tuple[int, float]]:
    """Width and mean of each page."""
    document = Document(raw)
    pages = [document.load(number, max_pixels=most) for number in range(1, document.pages + 1)]
    return [(pixels.shape[1], float(pixels.mean())) for pixels in pages]


@pytest.mark.parametrize("big", [False, True])
def test_each_page_of_a_tiff_is_read_for_itself(big: bool) -> None:
    assert seen(tiff(10, 20, 30, big=big)) == [(10, 10.0), (11, 20.0), (12, 30.0)]


def test_an_image_of_another_format_is_one_page() -> None:
    made = io.BytesIO()
    Image.new("RGB", (6, 5), (9, 9, 9)).save(made, "PNG")
    assert seen(made.getvalue()) == [(6, 9.0)]


def test_previews_and_masks_are_no_pages() -> None:
    made = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(made, new=True) as writer:
        for shade, kind in ((10, 0), (20, 1), (30, 4), (40, 2)):
            Image.new("L", (10, 8), shade).save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    assert [mean for _, mean in seen(made.getvalue())] == [10.0, 40.0]


def test_pages_that_go_round_in_a_circle_are_read_once() -> None:
    raw = bytearray(tiff(10, 20))
    first, second = headers.tiff_pages(bytes(raw))
    entries = int.from_bytes(raw[second : second + 2], "little")
    at = second + 2 + 12 * entries
    raw[at : at + 4] = first.to_bytes(4, "little")
    assert len(seen(bytes(raw))) == 2


def test_directories_that_overlap_are_refused() -> None:
    """Each entry would be read once for each of them."""
    one, two = 8, 12
    raw = bytearray(b"II*\0") + one.to_bytes(4, "little") + bytes(12 * 100)
    for at, following in ((one, two), (two, 0)):
        raw[at : at + 2] = (60).to_bytes(2, "little")
        end = at + 2 + 60 * 12
        raw[end : end + 4] = following.to_bytes(4, "little")
    with pytest.raises(ImageError, match="the header of the TIFF is broken"):
        headers.tiff_pages(bytes(raw))


def test_every_page_is_checked_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document(tiff(10, 20))
    document.load(1, max_pixels=80)
    with pytest.raises(ImageError, match="more than 80 pixels"):
        document.load(2, max_pixels=80)
    monkeypatch.setattr(headers, "MOST_PAGES", 1)
    with pytest.raises(ImageError, match="more than 1 pages"):
        Document(tiff(10, 20))


def test_a_first_page_that_cannot_be_read_leaves_the_others_readable() -> None:
    made = io.BytesIO()
    pages = [Image.new("F", (9, 8)), Image.new("L", (10, 8), 20)]
    pages[0].save(made, "TIFF", append_images=pages[1:], save_all=True)
    document = Document(made.getvalue())
    assert document.pages == 2
    with pytest.raises(ImageError, match="floating-point"):
        document.load(1, max_pixels=1000)
    assert document.load(2, max_pixels=1000).mean() == 20


@pytest.mark.parametrize("cut", [30, 100])
def test_a_cut_tiff_is_refused(cut: int) -> None:
    with pytest.raises(ImageError):
        seen(tiff(10, 20)[:-cut])


def pdf(*sizes: tuple[int, int]) -> bytes:
    """A PDF with a grey page of each size in points."""
    made = io.BytesIO()
    pages = [Image.new("RGB", size, (90, 90, 90)) for size in sizes]
    pages[0].save(made, "PDF", append_images=pages[1:], save_all=True, resolution=72)
    return made.getvalue()


def test_a_pdf_is_drawn_at_200_dpi() -> None:
    document = Document(pdf((72, 36), (144, 36)))
    assert document.pages == 2
    assert [document.load(n, max_pixels=1 << 20).shape for n in (1, 2)] == [(100, 200, 3), (100, 400, 3)]
    assert abs(float(np.mean(document.load(1, max_pixels=1 << 20))) - 90) < 2


def test_a_page_of_a_pdf_has_its_limit_before_it_is_drawn() -> None:
    document = Document(pdf((72, 72)))
    with pytest.raises(ImageError, match=r"more than 39,999 pixels at 200 dpi \(200 × 200\)"):
        document.load(1, max_pixels=39_999)


def test_a_pdf_with_a_password_is_refused_as_such() -> None:
    objects = (
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [] /Count 0 >>",
        b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"00" * 32 + b"> /U <" + b"11" * 32 + b"> >>",
    )
    raw, starts = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        starts.append(b"%010d 00000 n \n" % len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"xref\n0 4\n0000000000 65535 f \n" + b"".join(starts)
    trailer = b"trailer << /Size 4 /Root 1 0 R /Encrypt 3 0 R /ID [<00> <00>] >>\n"
    with pytest.raises(ImageError, match=r"^the PDF has a password$"):
        Document(raw + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(raw))


@pytest.mark.parametrize("raw", [b"%PDF-1.7", b"%PDF-1.7\n" + bytes(range(256)) * 10, pdf((9, 9))[:200]])
def test_a_broken_pdf_is_refused(raw: bytes) -> None:
    with pytest.raises(ImageError, match="the PDF is broken"):
        Document(raw)


def test_a_tiff_begins_like_an_image_and_a_pdf_does_not() -> None:
    assert headers.other(pdf((9, 9))) is not None
    assert headers.other(tiff(1)) is None
    assert headers.other(b"") == "the image file is empty"


def counting(pages: int) -> bytes:
    """A PDF of one page that says how many it has."""
    return pdf((9, 9)).replace(b"/Count 1", b"/Count %d" % pages)


def test_a_page_that_a_pdf_only_says_it_has_is_refused_and_the_others_are_read() -> None:
    document = Document(counting(3))
    assert document.pages == 3
    assert document.load(1, max_pixels=10_000).any()
    with pytest.raises(ImageError, match="the page of the PDF is broken"):
        document.header(2)
    with pytest.raises(ImageError, match="the page of the PDF is broken"):
        document.load(3, max_pixels=10_000)


def test_a_pdf_that_says_it_has_a_million_pages_is_refused() -> None:
    assert Document(counting(headers.MOST_PAGES)).pages == headers.MOST_PAGES
    with pytest.raises(ImageError, match="the PDF has more than 10,000 pages"):
        Document(counting(headers.MOST_PAGES + 1))
