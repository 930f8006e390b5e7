"""Reads `.pdparams` files without running what is in them: a restricted unpickler for arrays and containers.

Such a file is a pickle, and a pickle names functions to call. Here every name that a file may use is in `_ALLOWED`, and
stands for a function of this module: numpy's and Python's own are never called with what a file says. What is made of a
file takes memory in proportion to its size.
"""

import os
import pickle
import pickletools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from trainer.errors import SpecError

Array = npt.NDArray[Any]

_KINDS: Final = frozenset("biufc")
"""Kinds of numpy's types that are plain numbers."""

_COPIES: Final = 4
"""How many times its size the calls in a file may make: bytes are spelt as text, and copied into an array."""

_ITEM: Final = 16
"""Bytes that an item of a dict counts, about as many as it takes in the file."""


def read(path: Path) -> dict[str, Array]:
    """Read the arrays of a file that `paddle.save` has written: a state dict of Paddle 2 or 3.

    bfloat16 is read as uint16, as Paddle stores it. What is neither an array nor a tensor is left out.

    Raises:
        SpecError: it is no such file, or names anything but arrays and containers.
    """
    try:
        with path.open("rb") as stream:
            _check_memo(stream)
            stream.seek(0)
            content = _Unpickler(stream).load()
    except OSError:
        raise
    except _ForbiddenError as error:
        raise SpecError(
            f"{path.name} is refused: it wants to use {str(error)!r} when it is read, and a file of weights has only "
            "arrays and containers. Use weights that paddle.save has written from a state dict."
        ) from error
    # A damaged or hostile pickle can raise anything.
    except Exception as error:
        raise SpecError(
            f"{path.name} is no file of weights that paddle.save has written: {type(error).__name__}. Use a .pdparams "
            "file of a state dict."
        ) from error
    if not isinstance(content, dict):
        raise SpecError(f"{path.name} has a {type(content).__name__} instead of a state dict: use a .pdparams file.")
    found = ((name, _array(value)) for name, value in content.items() if isinstance(name, str))
    return {name: array for name, array in found if array is not None}


class _ForbiddenError(pickle.UnpicklingError):
    """A file names a function or class that is not allowed."""


def _check_memo(stream: BinaryIO) -> None:
    """Refuse a pickle that leaves gaps in its memo, which is a list: one high number takes gigabytes.

    Raises:
        pickle.UnpicklingError: it does; no pickler makes such a file.
    """
    stored = 0
    for operation, number, _ in pickletools.genops(stream):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            # Python 2 counts from 1.
            if number is not None and number > stored + 1:
                raise pickle.UnpicklingError("a gap in the memo")
            stored += 1


class _Room:
    """Limits the bytes that calls make: a file may name the same content over and over."""

    def __init__(self, size: int) -> None:
        self._left = size

    def take(self, size: int) -> None:
        """Count bytes that are about to be made.

        Raises:
            pickle.UnpicklingError: there is no room for them.
        """
        self._left -= size
        if self._left < 0:
            raise pickle.UnpicklingError("more content than the file holds")


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: BinaryIO) -> None:
        # As Paddle does for files of Python 2.
        super().__init__(stream, encoding="latin1")
        self._room = _Room(_COPIES * os.fstat(stream.fileno()).st_size)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _ForbiddenError(f"{module}.{name}")
        return _Allowed(_ALLOWED[module, name], self._room)


class _Allowed:
    """Stands for a function or class that a file names; can be called, and nothing else."""

    __slots__ = ("_call", "_room")

    def __init__(self, call: Callable[..., Any], room: _Room) -> None:
        self._call, self._room = call, room

    def __call__(self, *words: Any) -> Any:
        return self._call(self._room, *words)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


class _Type:
    """A numpy type on its way: its name comes first, the order of its bytes after that."""

    __slots__ = ("_name", "_order")

    def __init__(self, name: str) -> None:
        self._name: str = name
        self._order: Any = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._order = state[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        if not isinstance(self._name, str) or self._order not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError("not a type of numbers")
        dtype = np.dtype(self._name).newbyteorder(self._order)
        if dtype.kind not in _KINDS or dtype.names or dtype.subdtype:
            raise pickle.UnpicklingError("not a type of numbers")
        return dtype


class _Values:
    """An array on its way: made empty first, its content comes after that."""

    __slots__ = ("_room", "array")

    array: Array

    def __init__(self, room: _Room) -> None:
        self._room = room

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        self.array = _numbers(self._room, raw, kind).reshape(shape, order="F" if fortran else "C")


def _numbers(room: _Room, raw: Any, kind: Any) -> Array:
    if not isinstance(kind, _Type):
        raise pickle.UnpicklingError("not a type of numbers")
    room.take(len(raw))
    data = raw.encode("latin1") if isinstance(raw, str) else raw
    # A copy: what is read from bytes cannot be written to.
    return np.frombuffer(data, kind.dtype).astype(kind.dtype.newbyteorder("="))


def _reconstruct(room: _Room, _kind: Any, _shape: Any, _type: Any) -> _Values:
    return _Values(room)


def _scalar(room: _Room, kind: Any, raw: Any) -> _Values:
    values = _Values(room)
    values.array = _numbers(room, raw, kind).reshape(())
    return values


def _type(_: _Room, name: Any, _align: Any = False, _copy: Any = True) -> _Type:
    return _Type(name)


def _dict(room: _Room, items: Any = ()) -> dict[Any, Any]:
    room.take(_ITEM * len(items))
    return dict(items)


def _tuple(_: _Room, items: Any) -> tuple[Any, ...]:
    """Return a tuple as it is: of anything else it would be a copy, eight times as large as a text."""
    if not isinstance(items, tuple):
        raise pickle.UnpicklingError("not a tuple")
    return items


def _encode(room: _Room, text: str, encoding: str) -> bytes:
    """Return bytes, which protocol 2 spells as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("not bytes")
    room.take(len(text))
    return text.encode("latin1")


def _no_bytes(_: _Room) -> bytes:
    """Return empty bytes, which protocol 2 spells as a call."""
    return b""


def _never(*_: Any) -> Any:
    raise pickle.UnpicklingError("an array without content")


_ALLOWED: Final[Mapping[tuple[str, str], Callable[..., Any]]] = {
    ("numpy", "dtype"): _type,
    ("numpy", "ndarray"): _never,  # named as what _reconstruct makes, never called
    **{
        (f"numpy.{core}.multiarray", name): call
        for core in ("core", "_core")
        for name, call in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    ("collections", "OrderedDict"): _dict,
    ("_codecs", "encode"): _encode,
    # Of protocol 2 in a name of Python 2, too.
    **{
        (module, name): call
        for module in ("builtins", "__builtin__")
        # A tensor of Paddle 2.1 and later that is not in a state dict by itself is its name and its values.
        for name, call in (("tuple", _tuple), ("bytes", _no_bytes))
    },
}


def _array(value: Any) -> Array | None:
    """Return the array of an entry; None where it is something else."""
    match value:
        case (str(), _Values() as tensor):
            return getattr(tensor, "array", None)
        case _Values():
            return getattr(value, "array", None)
    return None
