"""Keys that can be files: below their folder, and not in each other's way."""

import re
from collections.abc import Iterable
from pathlib import Path

from trainer.errors import SpecError

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

_LONGEST = 255
"""Bytes of one name, as the usual file systems have it."""


def check_key(key: str) -> str:
    """Return the key if it names a file below a folder.

    Raises:
        SpecError: it is empty or absolute, has a `..`, or has a name that no file can have.
    """
    for name in key.split("/"):
        if name in ("", ".", ".."):
            raise SpecError(f"The key {key!r} cannot be a file name: it has an empty part, '.' or '..'. Rename it.")
        if _UNPRINTABLE.search(name):
            raise SpecError(
                f"The key {key!r} cannot be a file name: it has a control character or half of a character. Rename it."
            )
        if len(name.encode()) > _LONGEST:
            raise SpecError(
                f"The key {key[:80]!r}… cannot be a file name: a part of it is longer than {_LONGEST} bytes. Rename it."
            )
    return key


def check_tree(keys: Iterable[str], *, where: str) -> None:
    """Refuse keys that cannot lie in one folder: bad ones, and a file where another needs a folder.

    Raises:
        SpecError: names the key, or both.
    """
    known = {check_key(key) for key in keys}
    for key in known:
        parent = key.rpartition("/")[0]
        while parent:
            if parent in known:
                raise SpecError(
                    f"{where} has both {parent!r} and {key!r}, so {parent!r} would be a file and a folder. "
                    "Rename one of them."
                )
            parent = parent.rpartition("/")[0]


def below(folder: Path, key: str) -> Path:
    """Return the path of a key in a folder; never one outside of it.

    Raises:
        SpecError: as `check_key`.
    """
    return folder.joinpath(*check_key(key).split("/"))
