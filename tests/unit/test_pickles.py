"""Pickles run code when they are read: of those from outside, one module does, and makes nothing but arrays of them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
READERS: Final = {
    "trainer/weights/pdparams.py": ["import pickle"],
    # Its worker processes read what their parent writes; what they answer is JSON.
    "trainer/datasets/image_workers.py": ["import pickle"],
}
PICKLING: Final = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "torch"}


def reads_pickles(source: str) -> list[str]:
    """Name what in a module can read a pickle."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(source)) if _reads(node)]


def _reads(node: ast.AST) -> bool:
    match node:
        case ast.Import(names=names):
            return any(alias.name.partition(".")[0] in PICKLING for alias in names)
        case ast.ImportFrom(module=str(module), names=names):
            loads = any(alias.name == "load" for alias in names)
            return module.partition(".")[0] in PICKLING or (module.partition(".")[0] == "paddle" and loads)
        case ast.Attribute(value=ast.Name("paddle"), attr="load"):
            return True
        case ast.keyword(arg="allow_pickle"):
            return True
    return False


def modules() -> Iterator[str]:
    for top in ("jobs", "trainer"):
        yield from (path.relative_to(ROOT).as_posix() for path in (ROOT / top).rglob("*.py"))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import pickle as data",
        "def f():\n    from pickle import loads",
        "paddle.load(path)",
        "read = paddle.load",
        "from paddle import load",
        "from paddle.framework import load",
        "np.load(path, allow_pickle=True)",
    ],
)
def test_what_reads_pickles_is_found(source: str) -> None:
    assert len(reads_pickles(source)) == 1


def test_no_other_module_reads_pickles() -> None:
    found = {name: read for name in modules() if (read := reads_pickles((ROOT / name).read_text("utf-8")))}
    assert found == READERS
