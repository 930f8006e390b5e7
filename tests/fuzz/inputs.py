"""Random inputs: documents with a few changes, so that they get past the first check, and random bytes."""

import io
import json
from typing import Any, Final

from hypothesis import strategies as st
from PIL import Image

SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["..", "/tmp/x", "../../x", "a/b", "a\0b", "\ud800", "x" * 300, 2**53 + 1, 10**400, -1, ""])
)
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
TOKENS: Final = st.sampled_from(
    [
        *(b"%c" % byte for byte in b'\t\n\r\0{}[]":,.\\/=&*!|>-#%@`'),
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\\ud800",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b"null",
        b"..",
        b"[" * 20_000,
    ]
)


@st.composite
def edited(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """Return a sample of which a few pieces are replaced, doubled or cut off."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 1, 2, 4, 16, 1 << 20])))
        data = data[:begin] + draw(TOKENS | st.binary(max_size=4) | st.just(data[begin:end] * 2)) + data[end:]
    return data


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in places(item, (*path, key)))]


@st.composite
def varied(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """Return a JSON document of which a few values are other ones, or missing."""
    holder = {"": json.loads(draw(st.sampled_from(samples)))}
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from(places(holder)[1:]))
        inner: Any = holder
        for step in path:
            inner = inner[step]
        if isinstance(inner, dict) and path and draw(st.integers(0, 3)) == 0:
            del inner[last]
        else:
            inner[last] = draw(JSON)
    return json.dumps(holder[""], ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def documents(samples: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Return inputs for a function that reads JSON."""
    return varied(samples) | varied(samples) | edited(samples) | st.binary(max_size=64)


def texts(samples: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Return inputs for a function that reads anything else."""
    return edited(samples) | st.binary(max_size=64)


def pictures() -> tuple[bytes, ...]:
    """Return small images in every format that is read."""
    found = []
    for form in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        for mode in ("L", "RGB", "RGBA"):
            if (form, mode) == ("JPEG", "RGBA"):
                continue
            image = Image.new(mode, (5, 3))
            exif = image.getexif()
            exif[0x0112] = 6
            stream = io.BytesIO()
            image.save(stream, form, **({} if form == "BMP" else {"exif": exif}))
            found.append(stream.getvalue())
    return tuple(found)
