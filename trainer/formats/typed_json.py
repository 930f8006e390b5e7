"""JSON documents from outside, checked against a type before anything uses them."""

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def decode(data: str | bytes, kind: type[T]) -> T:
    """Decode a document and convert it to a type; unknown fields are ignored.

    Not with msgspec's own decoder: a metric may be NaN, which Python writes and reads.

    Args:
        data: the document.
        kind: a dataclass, a struct of msgspec, or another type that it knows.

    Raises:
        ValueError: it is no JSON, or has another shape; says where.
    """
    return msgspec.convert(parse(data), kind)


def parse(data: str | bytes) -> Any:
    """Parse a document.

    Raises:
        ValueError: it is no JSON in UTF-8, or has half of a character, which could not be written or printed.
    """
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value
