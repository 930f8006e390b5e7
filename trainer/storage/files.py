"""A folder as a store: written by temporary file and rename, conditions kept by link and lock."""

import fcntl
import filecmp
import os
import re
import shutil
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from trainer.errors import AccessError, ConflictError, NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.storage.base import HIDDEN, Listing, Meter, ObjectInfo, Store, Transfer
from trainer.storage.keys import below
from trainer.storage.landing import Landing, copy_hashed
from trainer.system import atomic, regular
from trainer.system.disk import no_space
from trainer.telemetry.callbacks import OnProgress

LOCK: Final = 60.0
"""Seconds to wait for other writers."""


class FileStore(Store):
    """Objects as files under a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # A '%' of the path itself is encoded where it would be decoded when the location is opened again.
        self.uri = re.sub("%(?=[0-9A-Fa-f]{2})", "%25", f"file://{root}".rstrip("/")) + "/"

    def below(self, folder: str) -> "FileStore":
        """Open a folder of this location; see `Store.below`."""
        return FileStore(below(self.root, folder.strip("/")))

    def list(self, prefix: str = "") -> Listing:
        """List the files under a folder; see `Store.list`."""
        top = below(self.root, prefix.strip("/")) if prefix.strip("/") else self.root
        with _faults(top):
            found = [self._info(path) for path in _files(top)]
        return sorted(found, key=lambda info: info.key)

    def _all(self) -> Listing:
        """List the files of the folder itself; no link may bring in others. See `Store.pull`."""
        with _faults(self.root):
            found = regular.files(self.root) if self.root.is_dir() else ()
            return [self._info(self.root / name) for name in sorted(found)]

    def first(self) -> ObjectInfo | None:
        """Return any file that is neither empty nor hidden; see `Store.first`."""
        with _faults(self.root):
            found = map(self._info, _files(self.root))
            return next((info for info in found if info.size and not regular.hidden(info.key)), None)

    def read(self, key: str) -> tuple[bytes, str]:
        """Return a file's content and etag; see `Store.read`."""
        path = below(self.root, key)
        with _faults(path), regular.open_binary(path) as stream:
            return stream.read(), _etag(os.fstat(stream.fileno()))

    def stat(self, keys: Iterable[str]) -> Listing:
        """Return size and etag of files; see `Store.stat`."""
        infos = []
        for path in [below(self.root, key) for key in keys]:
            with _faults(path):
                if not path.is_file():
                    regular.open_binary(path).close()  # raises why
                infos.append(self._info(path))
        return infos

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write a file whole; see `Store.put`."""
        target = below(self.root, key)
        with _faults(target), _new(target) as new:
            new.write_bytes(data)
            # Two writes within one tick of the kernel's clock must differ in their etags.
            now = time.time_ns()
            os.utime(new, ns=(now, now))
            etag = _etag(new.stat())
            if if_absent:
                if not atomic.create(new, target):
                    raise _exists(target)
                return _etag(target.stat())
            with self._lock():
                if if_match is not None and self._etag_now(target) != if_match:
                    raise ConflictError(f"Another writer has changed {target} since it was read.")
                atomic.replace(new, target)
            return etag

    def create_secret(self, key: str, data: bytes) -> None:
        """Write a new file that only its owner may read; see `Store.create_secret`."""
        target = below(self.root, key)
        with _faults(target), _new(target) as new:
            new.touch(0o600)
            new.write_bytes(data)
            if not atomic.create(new, target):
                raise _exists(target)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files, and the folders that this leaves empty; see `Store.delete`."""
        for path in [below(self.root, key) for key in keys]:
            with _faults(path):
                path.unlink(missing_ok=True)
            for parent in path.parents:
                if parent == self.root or not _remove_empty(parent):
                    break

    def push(
        self, files: Mapping[str, Path], progress: OnProgress | None = None, *, if_absent: bool = False
    ) -> Transfer:
        """Copy files in; see `Store.push`."""
        started = time.monotonic()
        targets = {below(self.root, key): source for key, source in files.items()}
        sizes = {target: source.stat().st_size for target, source in targets.items()}
        meter = Meter(progress, total=sum(sizes.values()))
        for target, source in targets.items():
            with source.open("rb") as stream, _faults(target), _new(target) as new:
                with new.open("wb") as output:
                    shutil.copyfileobj(stream, output, 1 << 20)
                if not if_absent:
                    atomic.replace(new, target)
                elif not atomic.create(new, target) and not filecmp.cmp(new, target, shallow=False):
                    raise _exists(target)
            meter.add(sizes[target])
        return Transfer(
            digests={},
            files=len(files),
            bytes=meter.total,
            moved_files=len(files),
            moved_bytes=meter.moved,
            seconds=time.monotonic() - started,
        )

    def _fetch(self, infos: Listing, *, landing: Landing, meter: Meter) -> None:
        for info in infos:
            source = below(self.root, info.key)
            temporary = landing.partial(info.key, etag=info.etag)
            with _faults(source, into=landing.dest):
                temporary.unlink(missing_ok=True)
                # Never a link: an edit of the source in place would reach into a run.
                with regular.open_binary(source) as stream, temporary.open("wb") as target:
                    digest = copy_hashed(stream, target)
            landing.land(info.key, temporary, etag=info.etag, sha256=digest)
            meter.add(info.size)

    def _info(self, path: Path) -> ObjectInfo:
        found = path.stat()
        return ObjectInfo(key=path.relative_to(self.root).as_posix(), size=found.st_size, etag=_etag(found))

    @staticmethod
    def _etag_now(path: Path) -> str | None:
        return _etag(path.stat()) if path.exists() else None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other writers of single files in this location out; a killed holder lets go.

        Raises:
            TransientError: another process holds the lock for longer than one comparison and one write take.
        """
        path = self.root / f"{HIDDEN}lock"
        with path.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                # flock has no time limit of its own. A thread that gives up ends when the holder lets go.
                waiting = threading.Thread(target=_wait_for, args=(lock.fileno(),), daemon=True)
                waiting.start()
                waiting.join(LOCK)
                try:
                    # Does nothing if the thread has the lock.
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise TransientError(
                        f"Another process has held {path} for {LOCK:.0f} s. End it, and run this again."
                    ) from None
            yield


def _wait_for(lock: int) -> None:
    with suppress(OSError):  # the next attempt says why
        fcntl.flock(lock, fcntl.LOCK_EX)


def _exists(path: Path) -> ConflictError:
    return ConflictError(f"{path} already exists and was not overwritten.")


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"


def _files(top: Path) -> Iterator[Path]:
    seen = set()
    # Links to folders are followed, as users lay out large datasets so; each folder once, in case of a loop.
    for folder, folders, names in os.walk(top, followlinks=True, onerror=_stumble):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(HIDDEN) and stat.S_ISREG(path.stat().st_mode):
                yield path


def _stumble(error: OSError) -> None:
    """Pass over a folder that is not there, as an empty prefix; not over one that may not be read."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _new(target: Path) -> AbstractContextManager[Path]:
    """Name the next content of a file: never listed, and of no other writer."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return atomic.temporary(target, prefix=HIDDEN)


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


@contextmanager
def _faults(path: Path, *, into: Path | None = None) -> Iterator[None]:
    """Turn errors of the file system into ours: errors of a file, or of the folder that it is copied into."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise NotFoundError(f"The file {error.filename or path} does not exist. Check the location.") from error
    except regular.NotRegularError as error:
        raise SpecError(f"{error.filename} cannot be read: {error.strerror}. Name a regular file.") from error
    except PermissionError as error:
        raise AccessError(
            f"Access to {error.filename or path} was refused: {error.strerror}. Check its owner and mode."
        ) from error
    except OSError as error:
        raise no_space(error, into or path.parent) or OcrfleetError(
            f"{error.filename or path}: {error.strerror}."
        ) from error
