"""The pages of what `ocrfleet predict` reads: of a TIFF or a PDF; any other image is one page.

Datasets have one page an image, so nothing here is used for training.
"""

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from trainer.datasets import headers, images
from trainer.datasets.headers import Header, ImageError

if TYPE_CHECKING:
    from trainer.datasets.images import Image

PDF: Final = b"%PDF"
"""How a PDF begins."""

_DPI: Final = 200
"""Resolution at which a PDF is drawn: lines of 8-point print are then 22 pixels high."""


class Document:
    """A file with pages."""

    def __init__(self, raw: bytes) -> None:
        """Find the pages.

        Raises:
            ImageError: the file is empty, has another format, or is broken.
        """
        self._raw = raw
        self._is_pdf = raw.startswith(PDF)
        if self._is_pdf:
            with closing(_pdf(raw)) as pdf:
                self.pages = len(pdf)
        else:
            # The first page of a TIFF is checked when it is read, since the others may be good without it.
            is_tiff = raw.startswith(headers.TIFF)
            if not is_tiff:
                headers.read(raw)
            self._starts = headers.tiff_pages(raw) if is_tiff else []
            self.pages = max(1, len(self._starts))
        if not self.pages:
            raise ImageError("the PDF has no pages")
        # A PDF of one page may say that it has a million.
        if self.pages > headers.MOST_PAGES:
            raise ImageError(f"the PDF has more than {headers.MOST_PAGES:,} pages; split it")

    def header(self, number: int) -> Header:
        """Return the header of a page, from 1.

        Raises:
            ImageError: it is broken.
        """
        if not self._is_pdf:
            return headers.read(self._image(number))
        with closing(_pdf(self._raw)) as pdf:
            width, height = _page(pdf, number).get_size()
        return Header(format="PDF", width=round(width * _DPI / 72) or 1, height=round(height * _DPI / 72) or 1)

    def load(self, number: int, *, max_pixels: int) -> "Image":
        """Decode a page, from 1.

        Raises:
            ImageError: it cannot be decoded, or has too many pixels.
        """
        if not self._is_pdf:
            return images.decode(self._image(number), max_pixels=max_pixels)
        header = self.header(number)
        if header.pixels > max_pixels:
            raise ImageError(
                f"the page has more than {max_pixels:,} pixels at {_DPI} dpi",
                detail=f" ({header.width} × {header.height})",
            )
        with closing(_pdf(self._raw)) as pdf:
            # On white, in blue, green and red.
            drawn = _page(pdf, number).render(scale=_DPI / 72)
            pixels: Image = drawn.to_numpy()[..., :3].copy()
            return pixels

    def _image(self, number: int) -> bytes:
        """Return a file whose first page is this one."""
        return headers.tiff_from(self._raw, self._starts[number - 1]) if self._starts else self._raw


def _pdf(raw: bytes) -> Any:
    pdfium = _pdfium()
    try:
        return pdfium.PdfDocument(raw)
    except pdfium.PdfiumError as error:
        locked = "assword" in str(error)
        raise ImageError("the PDF has a password" if locked else "the PDF is broken") from error


def _page(pdf: Any, number: int) -> Any:
    try:
        return pdf[number - 1]
    except _pdfium().PdfiumError as error:
        raise ImageError("the page of the PDF is broken") from error


def _pdfium() -> Any:
    # Imported late: only PDFs need it.
    import pypdfium2

    return pypdfium2
