"""Locates PaddleOCR's training library; the only module that does (house rule 9).

Paddle-free, so that a stage may look up a dictionary without loading paddle.
"""

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

from trainer import contract
from trainer.errors import SpecError
from trainer.run.spec import nearest

_ROOMS: Final = {"Backbone": "backbones", "Neck": "necks", "Head": "heads"}
"""Parts of an architecture, and the folders below `ppocr/modeling` where they are defined."""


def root() -> Path:
    """Return the folder that contains `ppocr/` and `tools/`.

    Raises:
        SpecError: there is neither a checkout in PADDLEOCR_HOME nor the packaged tree.
    """
    home = os.environ.get(contract.ENV_PADDLEOCR_HOME)
    if home:
        if not (Path(home) / "ppocr").is_dir():
            raise SpecError(
                f"{contract.ENV_PADDLEOCR_HOME} is {home!r}, which has no folder `ppocr`. "
                "Point it at a checkout of PaddleOCR, or unset it to use the packaged PaddleOCR."
            )
        return Path(home)
    # find_spec runs nothing of the package, whose own import needs more than training does.
    found = importlib.util.find_spec("unstructured_paddleocr")
    if found is None or found.origin is None:
        raise SpecError(
            "PaddleOCR's training library is not installed. Run `make setup`, or "
            "`pip install --no-deps unstructured-paddleocr==2.10.0`, or set PADDLEOCR_HOME to a checkout of PaddleOCR."
        )
    return Path(found.origin).parent


def on_path() -> Path:
    """Put the tree first on `sys.path`, since it imports itself as `ppocr` and `tools`; return its folder."""
    folder = root()
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


def built_in_dictionary(name: str) -> Path:
    """Find a dictionary of PaddleOCR.

    Args:
        name: its name, such as `en_dict`, or its path as PaddleOCR's configurations have it, such as
            `ppocr/utils/dict/en_dict.txt`. The path tells two files of one name apart: of `en_dict` there are two.

    Raises:
        SpecError: it does not exist; suggests the one with the nearest file name.
    """
    folder = root() / "ppocr" / "utils"
    files = sorted([*folder.glob("*.txt"), *folder.glob("dict/*.txt")])
    named = {file.stem: file for file in files}
    named |= {file.relative_to(folder).as_posix(): file for file in files}
    path = name.replace("\\", "/")
    tail = path.rpartition("ppocr/utils/")[2]
    # A path that is not PaddleOCR's is a file of the user's, even if its name is a built-in one's.
    stem = PurePosixPath(tail).stem if tail != path else path.removesuffix(".txt")
    if tail in named or stem in named:
        return named.get(tail) or named[stem]
    hint = nearest(PurePosixPath(tail).stem.lower(), sorted({file.stem for file in files}))
    raise SpecError(
        f"run.data.dictionary {name!r} is not a built-in dictionary.{hint} For a file of your own, write its location: "
        "file:///FOLDER/FILE or s3://BUCKET/KEY."
    )


def require(architecture: Mapping[str, Any], *, source: str, requires: str | None = None) -> None:
    """Check that PaddleOCR has the parts of a network, before anything is fetched or built.

    Args:
        architecture: `Architecture` of a configuration.
        source: what the configuration is, for messages: `recipe det-pp-ocrv5-server` or `run.config`.
        requires: the first version of PaddleOCR that has them, if it is known.

    Raises:
        SpecError: a part is missing; says which checkout is needed.
    """
    networks = (architecture.get("Models") or {"": architecture}).values()
    found = [part for network in networks for kind in _ROOMS if (part := _lacks(kind, network.get(kind) or {}))]
    missing = list(dict.fromkeys(found))
    if not missing:
        return
    home = os.environ.get(contract.ENV_PADDLEOCR_HOME)
    where = f"{contract.ENV_PADDLEOCR_HOME} ({home})" if home else "the packaged PaddleOCR 2.10"
    wanted = f"at tag v{requires} or later" if requires else "that has it"
    raise SpecError(
        f"{source} needs {' and '.join(missing)}, which {where} does not have. Point {contract.ENV_PADDLEOCR_HOME} at "
        f"a checkout of PaddleOCR {wanted}."
    )


def _lacks(kind: str, part: Mapping[str, Any]) -> str | None:
    """Return the part that is missing, or that has other arguments: `PPHGNetV2_B4(det=…)`; None if it is there."""
    name = part.get("name")
    if not isinstance(name, str):
        return None
    given = set(part) - {"name"}
    best: set[str] | None = None
    for takes in _definitions(root() / "ppocr" / "modeling" / _ROOMS[kind], name):
        unknown = set() if takes is None else given - takes
        best = unknown if best is None or len(unknown) < len(best) else best
    if best is None:
        return name
    return f"{name}({', '.join(f'{argument}=…' for argument in sorted(best))})" if best else None


def _definitions(folder: Path, name: str) -> Iterator[set[str] | None]:
    """Return the arguments of each class or function of a name, without importing it; None: any argument."""
    pattern = re.compile(rf"^(class|def) {re.escape(name)}\b", re.MULTILINE)
    for path in sorted(folder.glob("*.py")):
        text = path.read_text("utf-8")
        if not pattern.search(text):
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                yield _takes(node)


def _takes(node: ast.ClassDef | ast.FunctionDef) -> set[str] | None:
    body = node.body if isinstance(node, ast.ClassDef) else [node]
    made = [part for part in body if isinstance(part, ast.FunctionDef) and part.name in ("__init__", node.name)]
    if not made or made[0].args.kwarg:
        return None  # what a base class takes is not looked up
    arguments = made[0].args
    return {argument.arg for argument in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
