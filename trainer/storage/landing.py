"""Where pulled files come down: whole or not at all, and known again by the next pull.

Beside the folder `x` lie `.x.pulled.jsonl`, one line for each file that arrived, appended at once so that
a kill loses nothing; and, while a pull is under way, `.x.partial/`. Neither is in the folder itself,
which holds exactly what the location holds.
"""

import hashlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final

from trainer.errors import SpecError
from trainer.storage.keys import below
from trainer.system import atomic

_BLOCK: Final = 1 << 20
"""Bytes read at once from a file that is hashed while it is copied."""


class Landing:
    """A folder that files are pulled into."""

    def __init__(self, dest: Path, *, uri: str) -> None:
        # `resolve` before naming what lies beside: `dest` may be "." or a link.
        self.dest = dest.resolve()
        self._uri = uri
        self._notes = self.dest.parent / f".{self.dest.name}.pulled.jsonl"
        self._partial = self.dest.parent / f".{self.dest.name}.partial"
        self._known: dict[str, dict[str, Any]] = {}
        self._folders: set[Path] = set()

    def __enter__(self) -> "Landing":
        self.dest.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)
        self._known = _read_notes(self._notes)
        self._journal = self._notes.open("ab", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._journal.close()
        if kind is None:
            self._rewrite()
            shutil.rmtree(self._partial, ignore_errors=True)

    def holds(self, key: str, *, size: int, etag: str) -> bool:
        """Return whether a file is here in this version and unchanged since it was pulled."""
        note = self._known.get(key)
        if not note or note["uri"] != self._uri or (note["size"], note["etag"]) != (size, etag):
            return False
        try:
            found = below(self.dest, key).stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (size, note["mtime_ns"])

    def partial(self, key: str, *, etag: str) -> Path:
        """Return the path where a version of a file is gathered; what an earlier attempt left may be there."""
        return self._partial / hashlib.sha256(f"{self._uri}\n{key}\n{etag}".encode()).hexdigest()

    def land_bytes(self, key: str, data: bytes, *, etag: str) -> None:
        """Take a whole file from memory."""
        temporary = self.partial(key, etag=etag)
        temporary.write_bytes(data)
        self.land(key, temporary, etag=etag, sha256=hashlib.sha256(data).hexdigest())

    def land(self, key: str, temporary: Path, *, etag: str, sha256: str) -> None:
        """Move a gathered file to its place and note it."""
        target = below(self.dest, key)
        if target.parent not in self._folders:
            if not target.parent.resolve().is_relative_to(self.dest):
                raise SpecError(f"{target.parent} is a link that leads out of {self.dest}. Remove it, then pull again.")
            target.parent.mkdir(parents=True, exist_ok=True)
            self._folders.add(target.parent)
        found = temporary.stat()
        # Thousands of files, which can be pulled again: `holds` finds one that a power cut has left short.
        atomic.replace(temporary, target, durable=False)
        note = {
            "key": key,
            "uri": self._uri,
            "size": found.st_size,
            "etag": etag,
            "mtime_ns": found.st_mtime_ns,
            "sha256": sha256,
        }
        self._known[key] = note
        self._journal.write(_line(note))

    def digest(self, key: str) -> str:
        """Return the sha256 of a file that is here."""
        return str(self._known[key]["sha256"])

    def remove_all_but(self, keys: Collection[str]) -> None:
        """Remove what a pull brought earlier and the location has no more; others' files stay."""
        for key in [key for key in self._known if key not in keys]:
            below(self.dest, key).unlink(missing_ok=True)
            del self._known[key]

    def _rewrite(self) -> None:
        atomic.write(self._notes, b"".join(_line(note) for note in self._known.values()))


def _line(note: dict[str, Any]) -> bytes:
    return json.dumps(note).encode() + b"\n"


def _read_notes(path: Path) -> dict[str, dict[str, Any]]:
    known: dict[str, dict[str, Any]] = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        try:
            note = json.loads(line)
        except ValueError:
            continue  # the last line of a pull that was killed
        known[note["key"]] = note
    return known


def copy_hashed(source: BinaryIO, target: BinaryIO) -> str:
    """Copy a stream and return its sha256."""
    total = hashlib.sha256()
    while block := source.read(_BLOCK):
        total.update(block)
        target.write(block)
    return total.hexdigest()
