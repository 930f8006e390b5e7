"""Weights from outside are read as data: what a pickle would run is refused by its name, and does not run."""

import io
import os
import pickle
import struct
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainer.errors import SpecError
from trainer.weights import pdparams

Read = Callable[[bytes], dict[str, Any]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: bytes) -> dict[str, Any]:
        (tmp_path / "x.pdparams").write_bytes(content)
        return pdparams.read(tmp_path / "x.pdparams")

    return read


KINDS = ["float16", "float32", "float64", "uint16", "int8", "int64", "bool", ">f4", "complex64"]


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_read_as_they_were_written(read: Read, kind: str, protocol: int) -> None:
    numbers = np.random.default_rng(1).normal(0, 9, (2, 3)).astype(kind)
    written = {
        "matrix": numbers,
        "columns first": np.asfortranarray(numbers),
        "single": np.array(numbers[0, 0]),
        "scalar": numbers[0, 0],
        "none": np.zeros((0, 2), kind),
    }
    found = read(pickle.dumps(written, protocol))
    assert found.keys() == written.keys()
    for name, value in written.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype.newbyteorder("="), value.shape), name
        assert np.array_equal(found[name], value), name
        assert found[name].flags.writeable


def test_tensors_that_are_saved_with_their_names_are_read(read: Read) -> None:
    """As Paddle 2.1 and later writes those that are not of a state dict."""
    found = read(pickle.dumps({"a": ("linear_0.w_0", np.ones(2)), "b": np.zeros(1)}))
    assert {name: value.tolist() for name, value in found.items()} == {"a": [1, 1], "b": [0]}


def test_an_ordered_dict_is_read_and_what_is_no_array_is_left_out(read: Read) -> None:
    content = OrderedDict(w=np.ones(1), epoch=3, names={"w": "linear_0.w_0"}, nested=[np.ones(1)])
    assert list(read(pickle.dumps(content))) == ["w"]


def test_names_of_numpy_2_are_known_too(read: Read) -> None:
    content = pickle.dumps({"w": np.ones(2, np.float32)}, 2)
    assert b"numpy.core.multiarray" in content
    assert read(content.replace(b"numpy.core.", b"numpy._core."))["w"].tolist() == [1, 1]


MARK = "the trap has sprung"


class Calling:
    """Calls a function when it is read."""

    def __init__(self, call: Callable[..., Any], *words: Any) -> None:
        self.call, self.words = call, words

    def __reduce__(self) -> Any:
        return self.call, self.words


def by_name(name: str, *words: Any) -> bytes:
    """Write a pickle that calls a function by its name."""
    module, _, function = name.rpartition(".")
    stream = io.BytesIO()
    stream.write(b"\x80\x02c" + f"{module}\n{function}\n".encode())
    pickler = pickle.Pickler(stream, 2)
    pickler.fast = True
    body = pickle.dumps(tuple(words), 2)[2:-1]
    return stream.getvalue() + body + b"R."


NUMPYS = ["numpy.load", "numpy.core.multiarray.fromfile", "numpy.testing.run_module_suite", "numpy.lib.npyio.load"]
"""Functions of numpy itself that read files or run code."""


@pytest.mark.parametrize(
    ("trap", "named"),
    [
        (pickle.dumps(Calling(os.system, f"touch '{MARK}'")), f"{os.system.__module__}.system"),
        (pickle.dumps(Calling(eval, f"open('{MARK}', 'w')")), "builtins.eval"),
        (pickle.dumps(Calling(exec, f"open('{MARK}', 'w')"), 0), "__builtin__.exec"),
        (pickle.dumps({"w": np.ones(1), "x": Calling(getattr, {}, "clear")}), "builtins.getattr"),
        (pickle.dumps(Calling(__import__, "os")), "builtins.__import__"),
        (pickle.dumps(io.BytesIO), "_io.BytesIO"),
        *((by_name(name, "x"), name) for name in NUMPYS),
        (by_name("numpy.ndarray.tofile", "x"), "numpy.ndarray.tofile"),
        (by_name("collections.namedtuple", "x", "y"), "collections.namedtuple"),
        (by_name("_codecs.lookup", "x"), "_codecs.lookup"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.", "numpy.ndarray.dumps"),
        (b"(inumpy.f2py\ncompile\n.", "numpy.f2py.compile"),
        (pickle.dumps(Path("x"), 4), f"{Path('x').__class__.__module__}.{Path('x').__class__.__name__}"),
    ],
)
def test_whatever_else_a_file_wants_to_use_is_refused_by_its_name(
    read: Read, trap: bytes, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError, match=rf"^x\.pdparams is refused: it wants to use '{named}' when it is read"):
        read(trap)
    assert not (tmp_path / MARK).exists()


def test_the_trap_would_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Calling(os.system, f"touch '{MARK}'")))
    assert (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(pickle.dumps({"w": np.ones(9)})[:-20], id="cut"),
        pytest.param(b"PK\x03\x04", id="zip"),
        pytest.param(pickle.dumps({"w": np.array(["x", {}], object)}), id="objects"),
        pytest.param(pickle.dumps({"w": np.array(["x"])}), id="texts"),
        pytest.param(pickle.dumps({"w": np.zeros(1, [("a", "f4")])}), id="fields"),
        pytest.param(pickle.dumps({"w": np.array(["2026-01-01"], "datetime64[D]")}), id="dates"),
        pytest.param(pickle.dumps({"w": np.ones(4)}).replace(b"K\x04\x85", b"K\x7f\x85"), id="shape"),
        pytest.param(by_name("numpy.ndarray", (9,)), id="array by itself"),
        pytest.param(by_name("_codecs.encode", "x", "utf-16"), id="encoding"),
        pytest.param(b"\x80\x02cnumpy\ndtype\n}X\x01\0\0\0aK\x01sb.", id="state of a function"),
        pytest.param(b"\x80\x02cnumpy\ndtype\nN}X\x05\0\0\0_callK\x01s\x86b.", id="attribute of a function"),
        pytest.param(b"\x80\x02cnumpy\ndtype\n)\x81.", id="instance of a function"),
        pytest.param(b"\x80\x02X\x01\0\0\0xQ.", id="persistent id"),
        pytest.param(b"\x80\x02\x82\x01.", id="extension"),
        pytest.param(pickle.dumps([np.ones(1)]), id="list"),
    ],
)
def test_what_is_no_state_dict_is_refused_by_name(read: Read, content: bytes) -> None:
    with pytest.raises(SpecError, match=r"^x\.pdparams (is no file of weights|has a list instead of a state dict)"):
        read(content)


def test_a_container_that_holds_itself_does_no_harm(read: Read) -> None:
    content: dict[str, Any] = {"w": np.ones(1)}
    content["self"] = content
    assert list(read(pickle.dumps(content))) == ["w"]


def text(content: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content


def repeated(call: bytes, words: bytes) -> bytes:
    """Write a pickle that calls a function 300 times with the same words."""
    return b"\x80\x02c" + call + b"\nq\x00" + words + b"q\x010(" + b"h\x00h\x01\x85R" * 300 + b"l."


PEAK = """
import sys
from pathlib import Path
from trainer.errors import SpecError
from trainer.weights import pdparams
peak = lambda: int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = peak()
try:
    pdparams.read(Path(sys.argv[1]))
except SpecError as error:
    print(error, peak() - before, sep="\\n")
"""

GREEDY = {
    "memo": b"\x80\x02}r" + struct.pack("<I", 1 << 25) + b".",
    "text as tuple": repeated(b"builtins\ntuple", text(b"a" * 100_000)),
    "list as tuple": repeated(b"builtins\ntuple", b"(" + b"N" * 100_000 + b"l"),
    "list as dict": repeated(b"collections\nOrderedDict", b"(" + b"(NNt" * 100_000 + b"l"),
    "text as bytes": b"\x80\x02c_codecs\nencode\nq\x00("
    + text(b"a" * 500_000)
    + text(b"latin1")
    + b"tq\x010("
    + b"h\x00h\x01R" * 300
    + b"l.",
    "array": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x00NNN\x87q\x01(K\x01J"
    + struct.pack("<I", 500_000)
    + b"\x85cnumpy\ndtype\nX\x02\0\0\0u1\x85R\x89"
    + text(b"a" * 500_000)
    + b"tq\x02("
    + b"h\x00h\x01Rh\x02b" * 300
    + b"l.",
}


@pytest.mark.parametrize("content", GREEDY.values(), ids=GREEDY)
def test_memory_is_in_proportion_to_the_file(content: bytes, tmp_path: Path) -> None:
    """No file here has more than a megabyte. Each case is a process of its own, since it is the peak that counts."""
    (tmp_path / "x.pdparams").write_bytes(content)
    words = [sys.executable, "-c", PEAK, str(tmp_path / "x.pdparams")]
    done = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    assert done[0].startswith("x.pdparams is no file of weights that paddle.save has written: UnpicklingError.")
    assert int(done[1]) < 24_000


def test_a_memo_that_counts_from_one_is_read(read: Read) -> None:
    """As Python 2 writes it."""
    assert read(b"\x80\x02}q\x01X\x01\0\0\0aq\x02h\x02s.") == {}
