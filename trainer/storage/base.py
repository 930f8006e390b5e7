"""What a store can do, whatever it is made of."""

import contextlib
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trainer.errors import ConflictError, NotFoundError, OcrfleetError
from trainer.storage.keys import check_key, check_tree
from trainer.storage.landing import Landing
from trainer.system.regular import hidden
from trainer.telemetry.callbacks import OnProgress

HIDDEN: Final = ".ocrfleet-"
"""Names that begin so are the store's own (locks, half-written files, probes), and never listed."""


class NoBucketError(NotFoundError):
    """The bucket itself does not exist: never an answer, always a mistake."""


@dataclass(frozen=True, kw_only=True)
class ObjectInfo:
    """One object, as a listing has it."""

    key: str
    """Its name, relative to the location that was opened."""

    size: int
    """Bytes."""

    etag: str
    """The store's word for this very content; changes when the content does."""


Listing = list[ObjectInfo]
"""What a store has; a name of its own, since `list` is a method below."""


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What a pull or a push did."""

    digests: Mapping[str, str]
    """sha256 of every file by key, those that were there already included. Empty after a push."""

    files: int
    """Files in all."""

    bytes: int
    """Bytes in all."""

    moved_files: int
    """Files that were not there yet."""

    moved_bytes: int
    """Bytes that went over the wire (or were copied)."""

    seconds: float
    """How long it took."""


class Meter:
    """Counts a transfer's bytes and tells whoever wants to know."""

    def __init__(self, progress: OnProgress | None, *, total: int, done: int = 0) -> None:
        self.total, self.done, self.moved = total, done, 0
        self._progress = progress
        self.skip(0)

    def add(self, count: int) -> None:
        """Count bytes that were moved."""
        self.moved += count
        self.skip(count)

    def skip(self, count: int) -> None:
        """Count bytes that were there already."""
        self.done += count
        if self._progress:
            self._progress(self.done, self.total)


class Store(ABC):
    """A location in an object store or a file system."""

    uri: str
    """The location, ending in `/`."""

    @abstractmethod
    def below(self, folder: str) -> "Store":
        """Open a folder of this location as a store of its own, with the same credentials."""

    @abstractmethod
    def list(self, prefix: str = "") -> Listing:
        """List all objects under a folder of the location, sorted by key; nothing there gives an empty list.

        Raises:
            NotFoundError: the bucket does not exist.
        """

    @abstractmethod
    def first(self) -> ObjectInfo | None:
        """Return any object that is neither empty nor hidden, at the price of one request; None when there is none.

        Raises:
            NotFoundError: the bucket does not exist.
        """

    @abstractmethod
    def read(self, key: str) -> tuple[bytes, str]:
        """Return an object's content with the etag of that content.

        Raises:
            NotFoundError: there is no such object, or no such bucket.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write an object whole and return its etag.

        Args:
            key: where.
            data: its content.
            if_absent: only when there is none yet.
            if_match: only when the one there has this etag.

        Raises:
            ConflictError: the condition does not hold; nothing was written.
        """

    @abstractmethod
    def stat(self, keys: Iterable[str]) -> Listing:
        """Return size and etag of objects by their keys, in that order.

        Raises:
            NotFoundError: one of them does not exist.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; one that is not there is no error."""

    @abstractmethod
    def push(
        self, files: Mapping[str, Path], progress: OnProgress | None = None, *, if_absent: bool = False
    ) -> Transfer:
        """Write files as objects, many at once; a large one that is there already and right is not sent again.

        Args:
            files: by their keys.
            progress: told now and then.
            if_absent: replace nothing. Each file is sent in one request, which S3 limits to 5 GiB.

        Raises:
            FileNotFoundError: one of the files is not there (any more); others may have been written.
            ConflictError: with `if_absent`: a key has other content already; others may have been written.
        """

    @abstractmethod
    def _fetch(self, infos: Listing, *, landing: Landing, meter: Meter) -> None:
        """Bring objects to a landing, many at once."""

    def get(self, key: str) -> bytes:
        """Return an object's content; see `read`."""
        return self.read(key)[0]

    def create_secret(self, key: str, data: bytes) -> None:
        """Write a new object. In a folder, only its owner may read it; in a bucket, policies decide.

        Raises:
            ConflictError: the object exists; nothing was written.
        """
        self.put(key, data, if_absent=True)

    def find(self, key: str) -> tuple[bytes, str] | None:
        """Return an object's content and etag, or None when there is no such object; a missing bucket is an error."""
        try:
            return self.read(key)
        except NoBucketError:
            raise
        except NotFoundError:
            return None

    def etag(self, key: str) -> str:
        """Return an object's etag; NotFoundError when there is none."""
        return self.stat([key])[0].etag

    def pull(
        self,
        keys: Iterable[str] | None,
        dest: Path,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """Bring objects into a folder, under their keys.

        What is there already and right is not moved; a pull that was broken off, even by a kill, goes on
        where it was. Notes for this lie beside `dest`, never in it. With `keys` None the folder follows the
        location: what an earlier pull brought and the location has no more is removed. Hidden files, and those in
        hidden folders, are not pulled then.

        Args:
            keys: which; None for all.
            dest: the folder.
            progress: told now and then.

        Raises:
            NotFoundError: the bucket or one of the keys does not exist.
            SpecError: a key cannot be a file below `dest`.
            DatasetError: the whole location is pulled, and contains something other than files, or a link that leads
                outside.
        """
        started = time.monotonic()
        infos = self._all() if keys is None else self.stat(dict.fromkeys(check_key(key) for key in keys))
        check_tree([info.key for info in infos], where=self.uri)
        with Landing(dest, uri=self.uri) as landing:
            todo = [info for info in infos if not landing.holds(info.key, size=info.size, etag=info.etag)]
            total = sum(info.size for info in infos)
            meter = Meter(progress, total=total, done=total - sum(info.size for info in todo))
            self._fetch(todo, landing=landing, meter=meter)
            if keys is None:
                landing.remove_all_but({info.key for info in infos})
            digests = {info.key: landing.digest(info.key) for info in infos}
        return Transfer(
            digests=digests,
            files=len(infos),
            bytes=total,
            moved_files=len(todo),
            moved_bytes=meter.moved,
            seconds=time.monotonic() - started,
        )

    def _all(self) -> Listing:
        """List what a pull of the whole location brings."""
        return [info for info in self.list() if not hidden(info.key)]

    def conditional_writes(self) -> bool:
        """Prove on a scratch object, which is removed again, that conditions of a write are honoured.

        Raises:
            AccessError, NotFoundError, TransientError: nothing can be written at all.
        """
        key = f"{HIDDEN}probe-{secrets.token_hex(8)}"
        first = self.put(key, b"probe")
        try:
            absent = self._refuses(key, if_absent=True)
            match = self._refuses(key, if_match=_other(first))
            return absent and match and self._accepts(key, if_match=first)
        finally:
            self.delete([key])

    def _refuses(self, key: str, *, if_absent: bool = False, if_match: str | None = None) -> bool:
        try:
            self.put(key, b"written against the condition", if_absent=if_absent, if_match=if_match)
        except ConflictError:
            return True
        except OcrfleetError:
            return False  # such as 501: the header is not known
        return False

    def _accepts(self, key: str, *, if_match: str) -> bool:
        with contextlib.suppress(OcrfleetError):
            self.put(key, b"probe again", if_match=if_match)
            return True
        return False


def _other(etag: str) -> str:
    """Return a different etag of the same form."""
    return etag.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
