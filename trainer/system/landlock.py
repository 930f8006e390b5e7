"""Lets a process read no longer what it has no business with, by the kernel's Landlock (landlock(7)).

Landlock knows only what is allowed. So everything is allowed but the folders on the way to a forbidden path, of which
only what is in them now can be read: not what is made there later.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
"""Numbers of the system calls, the same on all architectures (asm-generic/unistd.h)."""

_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
"""From linux/landlock.h; all of them are in the first version."""

_NO_NEW_PRIVS: Final = 38
"""PR_SET_NO_NEW_PRIVS of linux/prctl.h, without which Landlock refuses an ordinary user."""

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class _Ruleset(ctypes.Structure):
    _fields_ = (("handled_access_fs", ctypes.c_uint64),)


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


def available() -> bool:
    """Check whether this kernel has Landlock, and it is switched on."""
    return int(_LIBC.syscall(_CREATE_RULESET, None, 0, _VERSION)) > 0


def forbid_reading(paths: Iterable[Path]) -> bool:
    """Forbid this thread, and all threads and processes that it starts, to read files and folders for good.

    A process that was started by one that is confined keeps that one's limits, and gets no further ones: it can no
    longer look up what is allowed.

    Args:
        paths: what is forbidden, with all below; those that do not exist do not matter. Even if there are none, the
            process can no longer look into others, such as its parent.

    Returns:
        Whether it holds: False where the kernel has no Landlock.

    Raises:
        OSError: the kernel has Landlock, and refused.
    """
    if not available():
        return False
    if _is_confined():
        return True
    # Not Path.exists, which raises an error below a folder that this user may not search: nothing there can be opened.
    forbidden = {path.resolve() for path in paths if os.path.exists(path)} - {Path("/")}
    rules = _call(_CREATE_RULESET, ctypes.byref(_Ruleset(_READ_FILE | _READ_DIR)), ctypes.sizeof(_Ruleset), 0)
    try:
        for path in _allowed(Path("/"), forbidden):
            _allow(rules, path)
        if _LIBC.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise _error("prctl")
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return True


def _is_confined() -> bool:
    """Check whether this thread is confined: all users can list the root, which is on the way to anything forbidden."""
    try:
        os.scandir("/").close()
    except PermissionError:
        return True
    return False


def _allowed(folder: Path, forbidden: set[Path]) -> Iterator[Path]:
    """Yield what is allowed in a folder on the way to a forbidden path."""
    try:
        entries = list(os.scandir(folder))
    except PermissionError:
        return  # what cannot be listed cannot be told from what is forbidden
    for entry in entries:
        path = Path(entry.path)
        # The target of a link is allowed by its own place, or not at all.
        if entry.is_symlink() or path in forbidden:
            continue
        if any(path in each.parents for each in forbidden):
            yield from _allowed(path, forbidden)
        else:
            yield path


def _allow(rules: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # it has gone, or is none of this user's
    try:
        access = _READ_FILE | (_READ_DIR if path.is_dir() else 0)
        _call(_ADD_RULE, rules, _PATH_BENEATH, ctypes.byref(_PathBeneath(access, opened)), 0)
    finally:
        os.close(opened)


def _call(number: int, *arguments: object) -> int:
    result = int(_LIBC.syscall(number, *arguments))
    if result < 0:
        raise _error(f"system call {number}")
    return result


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"Landlock: {what}: {os.strerror(number)}")
