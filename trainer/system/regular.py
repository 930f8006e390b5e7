"""The files of a folder that others have filled: regular files, and links to them within the folder.

Anything else would hang a reader (a FIFO), never end (a device), or read what is not part of the folder (a link that
leads outside), so it is refused by name.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from trainer.errors import AccessError, DatasetError, OcrfleetError

_KINDS: Final = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def hidden(path: str) -> bool:
    """Return whether a part of a path begins with a dot, as of files that editors, notebooks and tools leave."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.split("/"))


def files(root: Path) -> frozenset[str]:
    """List the files below a folder, relative to it. Hidden files and folders are not listed.

    A link to another folder within `root` stands for the files that lie there.

    Raises:
        DatasetError: something is neither a regular file nor a folder, or a link leads outside or nowhere.
        AccessError: a folder cannot be read.
    """
    # Resolved, so that a link's target can be compared with it.
    root = root.resolve()
    found: set[str] = set()
    folders: dict[str, str] = {}
    for path, entry in _walk(root):
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(root):
                raise _refused(root, path, "is a symbolic link that leads outside. Copy its target into the folder")
            if target.is_dir():
                folders[path] = target.relative_to(root).as_posix()
                continue
            if not target.exists():
                raise _refused(root, path, "is a symbolic link to nothing. Remove it")
        mode = entry.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
            raise _refused(root, path, f"is {kind}. A dataset has regular files only: remove it")
        found.add(path)
    return frozenset(found | set(_below_links(found, folders)))


class NotRegularError(OSError):
    """A file is a FIFO, a device or a folder."""


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading, if it is a regular one.

    Raises:
        NotRegularError: it could keep a reader waiting, or never end.
        OSError: it cannot be opened.
    """
    # Else opening a FIFO waits for its writer.
    stream = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    mode = os.fstat(stream.fileno()).st_mode
    if not stat.S_ISREG(mode):
        stream.close()
        kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
        raise NotRegularError(errno.EINVAL, f"it is {kind}", str(path))
    return stream


def require(root: Path, paths: Iterable[Path]) -> None:
    """Check files of a folder that others write to, before they are uploaded.

    Raises:
        OcrfleetError: one is no regular file, or a part of its path below `root` is a link: it would upload what the
            others may not read.
        FileNotFoundError: one is missing.
    """
    real = root.resolve()
    for path in paths:
        name = path.relative_to(root)
        if _target(path) != real / name:
            raise OcrfleetError(f"{path} is a symbolic link, or is reached through one. Nothing was uploaded.")
        if not stat.S_ISREG(path.stat().st_mode):
            raise OcrfleetError(f"{path} is not a regular file. Nothing was uploaded.")


def _target(path: Path) -> Path | None:
    """Return what a path leads to; None for links that lead to each other."""
    try:
        return Path(os.path.realpath(path, strict=True))
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None


def _walk(root: Path) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
    waiting = [""]
    while waiting:
        base = waiting.pop()
        try:
            entries = list(os.scandir(root / base))
        except PermissionError as error:
            raise AccessError(
                f"Access to {error.filename} was refused: {error.strerror}. Check its owner and mode."
            ) from error
        for entry in entries:
            path = posixpath.join(base, entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
            else:
                yield path, entry


def _below_links(found: set[str], folders: dict[str, str]) -> Iterator[str]:
    """Return files under the names that links to their folders give them; a link to a folder around it has none."""
    for link, target in folders.items():
        inside = "" if target == "." else f"{target}/"
        if not link.startswith(inside):
            yield from (f"{link}/{path.removeprefix(inside)}" for path in found if path.startswith(inside))


def _refused(root: Path, path: str, why: str) -> DatasetError:
    return DatasetError(f"{path!r} in {str(root)!r} {why}.")
