"""JSON documents from outside, checked against a type before anything uses them."""

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_PREPARED: set[Any] = set()
_PREPARING = threading.Lock()


def decode(data: str | bytes, kind: type[T]) -> T:
    """Decode a document and convert it to a type; unknown fields are ignored.

    Not with msgspec's own decoder: a metric may be NaN, which Python writes and reads.

    Args:
        data: the document.
        kind: a dataclass, a struct of msgspec, or another type that it knows.

    Raises:
        ValueError: it is no JSON, or has another shape; says where.
    """
    return convert(parse(data), kind)


def convert(value: Any, kind: type[T], *, dec_hook: Callable[[type, Any], Any] | None = None) -> T:
    """Convert a parsed document to a type, from any thread.

    Args:
        value: the document.
        kind: a dataclass, a struct of msgspec, or another type that it knows.
        dec_hook: makes a value of a class that msgspec does not know.

    Raises:
        ValueError: it has another shape; says where.
    """
    # msgspec 0.22 reads the fields of a class at its first use, and stores them before they are complete: a second
    # thread that uses the class meanwhile crashes the process.
    with _PREPARING:
        if kind not in _PREPARED:
            msgspec.json.Decoder(kind)
            _PREPARED.add(kind)
    return msgspec.convert(value, kind, dec_hook=dec_hook)


def parse(data: str | bytes) -> Any:
    """Parse a document.

    Raises:
        ValueError: it is no JSON in UTF-8, or has a lone surrogate, which could not be written or printed.
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value
