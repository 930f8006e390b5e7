"""Canonical JSON: the one spelling that digests are made of, byte for byte what Go writes and so what Helm hashes.

It is RFC 8785 but for two points, where Go's encoding/json goes its own way and Helm's `toRawJson` with it: keys
are sorted by code point instead of UTF-16 unit, and U+2028 and U+2029 are escaped.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

from trainer.errors import SpecError

LARGEST: Final = 2**53
"""The largest number that JSON keeps to the unit everywhere: Helm has all numbers as 64-bit floats."""

# What Go escapes though it need not: both end a line in JavaScript.
_LINE_ENDS: Final = str.maketrans({"\u2028": "\\u2028", "\u2029": "\\u2029"})


def canonical(value: object) -> str:
    """Spell JSON data in its canonical form.

    Raises:
        SpecError: the data has an integer beyond ±2^53, which Helm would round.
    """
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return json.dumps(value, ensure_ascii=False).translate(_LINE_ENDS)
        case int() | float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(canonical, value))}]"
        case Mapping():
            pairs = sorted(((str(key), item) for key, item in value.items()), key=itemgetter(0))
            return f"{{{','.join(f'{canonical(key)}:{canonical(item)}' for key, item in pairs)}}}"
    raise TypeError(f"{value!r} is not JSON data")


def _number(value: float) -> str:
    # An integer of more than 308 digits is no float, so isfinite must not see it.
    if not (abs(value) <= LARGEST if isinstance(value, int) else math.isfinite(value)):
        raise SpecError(f"{value} is beyond ±2^53, so JSON would round it. Write it as a string, in quotes.")
    if isinstance(value, int):
        return str(value)
    # JavaScript writes exponents below 1e-6 and from 1e21 on, Python below 1e-4 and from 1e16 on.
    if value and not 1e-6 <= abs(value) < 1e21:
        digits, exponent = repr(value).split("e")
        return f"{digits}e{int(exponent):+d}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def bare(value: Any) -> Any:
    """Leave out keys without a value, as Helm 3.19 does and others don't. None looks into lists, so nor does this."""
    if not isinstance(value, Mapping):
        return value
    return {key: bare(item) for key, item in value.items() if item is not None}


def digest(value: object) -> str:
    """Return the sha256 of JSON data in canonical form, as 64 hex digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()
