"""The one writer of files: after a kill or a power cut a path has its whole old or its whole new content.

New content is written under a temporary name in the same folder, flushed to the disk, renamed into place; then the
folder is flushed, which makes the rename last. `trainer/system/disk.py` turns a full disk into a sentence.
"""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trainer.system.exchange import exchange
from trainer.system.links import link

_CANNOT_FLUSH: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EACCES})
"""How file systems answer that cannot flush a folder, or whose folder may be written but not read. The file is in
place by then, so that an error would be wrong."""


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file; text becomes UTF-8."""
    with temporary(path) as new:
        new.write_bytes(content.encode() if isinstance(content, str) else content)
        replace(new, path)


@contextlib.contextmanager
def temporary(path: Path, *, prefix: str | None = None) -> Iterator[Path]:
    """Yield the name under which the next content of `path` is made, for `replace` or `create`.

    At the end the file is removed, unless it was renamed. A killed writer leaves it behind: the next write of
    `path` overwrites `.NAME.tmp`; nothing reads or removes a file under a random name.

    Args:
        path: the file to be written.
        prefix: where several may write `path` at once: the beginning of a random name. Unset: `.NAME.tmp`.
    """
    new = _hidden(path) if prefix is None else path.with_name(f"{prefix}{secrets.token_hex(8)}")
    try:
        yield new
    finally:
        new.unlink(missing_ok=True)


def replace(source: Path, target: Path, *, durable: bool = True) -> None:
    """Rename a file, or a folder where none or an empty one is, over `target`.

    Args:
        source: what is written to its end, on the same file system.
        target: the name that readers know.
        durable: whether it must survive a power cut. It takes two flushes a file, about 10 ms on a cloud disk, so
            thousands of files that can be made again are renamed without, if their readers check size or content.
    """
    if durable:
        _flush(source)
    os.replace(source, target)
    if durable:
        _flush_folder(target.parent)


def create(source: Path, target: Path) -> bool:
    """Let `target` appear whole with the content of the file `source`; False when there is a file already."""
    _flush(source)
    try:
        if not link(source, target):
            _copy_new(source, target)
    except FileExistsError:
        return False
    _flush_folder(target.parent)
    return True


@contextlib.contextmanager
def folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder `.NAME.tmp` to fill; it replaces `path` at the end, or is removed on an error.

    What a killed writer has left there is removed first.
    """
    new = _hidden(path)
    _remove(new)
    new.mkdir(parents=True)
    try:
        yield new
        replace_folder(new, path)
    finally:
        _remove(new)


def replace_folder(source: Path, target: Path) -> None:
    """Rename a folder over another one that may have content, which is removed.

    Where the system cannot exchange two folders it takes two renames. A kill between them leaves no folder at
    `target`, the whole old one as `.NAME.old.tmp`, and the whole new one as `source`.
    """
    aside = target.with_name(f".{target.name}.old.tmp")
    _remove(aside)
    _flush(source)
    if not (target.exists() and exchange(source, target)):
        if target.exists():
            os.replace(target, aside)
        os.replace(source, target)
    _flush_folder(target.parent)
    for old in (source, aside):
        _remove(old)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp")


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


def _copy_new(source: Path, target: Path) -> None:
    """Copy a file where none is; without links a reader may see a part of it, if only for a moment."""
    mode = source.stat().st_mode & 0o777
    with open(target, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as stream:  # O_EXCL
        try:
            stream.write(source.read_bytes())
            stream.flush()
            os.fsync(stream.fileno())
        except BaseException:
            target.unlink()
            raise


def _flush(path: Path) -> None:
    """Flush a file to the disk, or a folder with all that is in it."""
    if not path.is_dir():
        _fsync(path)
        return
    for inner, _, names in os.walk(path):
        for name in names:
            _fsync(Path(inner, name))
        _flush_folder(Path(inner))


def _flush_folder(path: Path) -> None:
    """Flush the names in a folder, where the file system can."""
    try:
        _fsync(path)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise


def _fsync(path: Path) -> None:
    # Also of what others have written through descriptors of their own.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
