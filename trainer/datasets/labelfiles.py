"""Finds the label files of a folder, with their kind and split, and the images that they name."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Final, Literal

from trainer.errors import DatasetError

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})
"""What OpenCV decodes, and PaddleOCR's tools list."""

_NOT_LABELS: Final = frozenset({"fileState.txt"})
"""PPOCRLabel's own bookkeeping; it looks like a rec label file. (Cache.cap is no .txt.)"""

_SPLIT_NAMES: Final = {
    "train": "train",
    "training": "train",
    "val": "eval",
    "valid": "eval",
    "validation": "eval",
    "eval": "eval",
    "dev": "eval",
    "test": "test",
    "testing": "test",
}
"""Words in the name of a label file, or of its folder, and the split that they mean."""

_SNIFFED_BYTES: Final = 65536
_SNIFFED_LINES: Final = 20
_DEEPEST_PREFIX: Final = 8

_IMAGE: Final = re.compile(rb"\.(jpe?g|png|bmp|tiff?|webp)(?![a-z0-9])", re.IGNORECASE)

_OUTSIDE: Final = "image path is absolute or outside the dataset folder"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a sample, or a whole label file, is refused."""

    source: str
    """Its place, such as `Label.txt:12`."""

    reason: str
    """What is wrong, in the same words for all cases of a kind."""

    about: Literal["file", "image", "label"]
    """`file`: the label file is broken, which ends a run. The others refuse one sample; too many of them end it."""

    detail: str = ""
    """What is wrong in this one place."""

    group: str | None = None
    """The page that the sample comes from."""

    split: str | None = None
    """The sample's split, when the label files come divided."""

    @property
    def sentence(self) -> str:
        """Place, reason and detail, without a full stop."""
        return f"{self.source}: {self.reason}{self.detail}"


class LineError(Exception):
    """A line of a label file cannot be used as an entry."""

    def __init__(self, reason: str, *, about: Literal["file", "image", "label"] = "file", detail: str = "") -> None:
        super().__init__(reason + detail)
        self.reason, self.about, self.detail = reason, about, detail

    def at(self, source: str) -> Problem:
        """Name the place."""
        return Problem(source=source, reason=self.reason, about=self.about, detail=self.detail)


@dataclass(frozen=True)
class Tree:
    """All files under a folder, listed once: a dataset has many, and on a network volume each look costs."""

    root: Path
    files: frozenset[str]
    links: frozenset[str]

    def has(self, path: str) -> bool:
        """Return whether a path relative to the root is a file.

        Raises:
            LineError: the path leaves the root through a symbolic link.
        """
        if path in self.files and path not in self.links:
            return True
        real = os.path.realpath(self.root / path)
        if not Path(real).is_relative_to(self.root):
            raise LineError(
                _OUTSIDE, detail=f": {path!r} is a symbolic link that leads outside; copy the image into the folder"
            )
        return os.path.isfile(real)


def scan(root: Path) -> Tree:
    """List the files under a folder.

    Raises:
        DatasetError: it is not a folder.
    """
    if not root.is_dir():
        raise DatasetError(f"{str(root)!r} is not a folder. Name a folder with label files and images.")
    root = root.resolve()
    files: set[str] = set()
    links: set[str] = set()
    for folder, _, names in os.walk(root):
        base = Path(folder).relative_to(root).as_posix()
        for name in names:
            path = posixpath.normpath(posixpath.join(base, name))
            files.add(path)
            if os.path.islink(os.path.join(folder, name)):
                links.add(path)
    return Tree(root, frozenset(files), frozenset(links))


@dataclass(frozen=True)
class LabelFile:
    """A label file of a dataset."""

    path: str
    """Relative to the dataset's folder."""

    kind: Literal["det", "rec"]
    split: str | None

    @property
    def exported(self) -> bool:
        """Whether PPOCRLabel wrote it for pages."""
        return self.kind == "det" and posixpath.basename(self.path) == "Label.txt"


def find(tree: Tree, task: Literal["det", "rec"]) -> list[LabelFile]:
    """Find the label files for a task; `labels.read` explains which kind is preferred.

    Raises:
        DatasetError: there is none.
    """
    candidates = [file for path in sorted(tree.files) if (file := _recognise(tree, path))]
    pages = [file for file in candidates if file.kind == "det"]
    lines = [file for file in candidates if file.kind == "rec"]
    chosen = pages if task == "det" else [f for f in pages if f.exported] or lines or pages
    if not chosen and lines:
        raise DatasetError(
            f"{lines[0].path}:1 has the text of a line, but no regions. A det run needs a Label.txt of PPOCRLabel, "
            "or lines of the form `image<TAB>[{transcription, points}, …]`."
        )
    if not chosen:
        raise DatasetError(
            f"{str(tree.root)!r} has {len(tree.files)} files, but no label file with a label in it. Add a Label.txt of "
            "PPOCRLabel, or a .txt file with lines of the form `image<TAB>label`."
        )
    return _divided(chosen)


def _divided(files: list[LabelFile]) -> list[LabelFile]:
    # `train.txt` alone, or `test.txt` alone, does not mean that the dataset is divided.
    names = {file.split for file in files}
    if "train" in names and names & {"eval", "test"}:
        return [LabelFile(file.path, file.kind, file.split or "train") for file in files]
    return [LabelFile(file.path, file.kind, None) for file in files]


def describe(files: Sequence[LabelFile]) -> str:
    """Return the format of a dataset in words."""
    if any(file.exported for file in files):
        return "PPOCRLabel export"
    return f"PaddleOCR {files[0].kind} label files"


def _recognise(tree: Tree, path: str) -> LabelFile | None:
    name = posixpath.basename(path)
    if not name.endswith(".txt") or name.startswith(".") or name in _NOT_LABELS:
        return None
    with (tree.root / path).open("rb") as file:
        head = file.read(_SNIFFED_BYTES)
    split = _split_of(path)
    telling = split is not None or "label" in name.lower() or name.startswith("rec_gt")
    kind = _sniff(head, telling=telling)
    if kind is None and name == "Label.txt" and head.strip():
        kind = "det"
    # A link out of the folder would read files that are not part of the dataset.
    if kind and path in tree.links and not Path(os.path.realpath(tree.root / path)).is_relative_to(tree.root):
        raise DatasetError(
            f"{path}:1 is a symbolic link that leads outside the dataset folder. Copy the label file into the folder."
        )
    return LabelFile(path, kind, split) if kind else None


def _sniff(head: bytes, *, telling: bool) -> Literal["det", "rec"] | None:
    """Judge by the first lines; `telling`: the name says labels, so that even lines without a tab are looked at."""
    head = head.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"") if telling else head
    votes: Counter[Literal["det", "rec"]] = Counter()
    for line in [line for line in head.split(b"\n") if line.strip()][:_SNIFFED_LINES]:
        image, tab, label = line.partition(b"\t")
        if not tab and telling:
            label = line.partition(b" ")[2]
        if (tab or telling) and _IMAGE.search(image):
            votes["det" if label.lstrip().startswith(b"[{") or label.strip() == b"[]" else "rec"] += 1
    return votes.most_common(1)[0][0] if votes else None


def _split_of(path: str) -> str | None:
    for part in reversed(path.removesuffix(".txt").split("/")):
        named = {_SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part.lower()) if word in _SPLIT_NAMES}
        if named:
            return named.pop() if len(named) == 1 else None
    return None


@dataclass(frozen=True)
class Places:
    """How to resolve the image paths of one label file.

    Paths may be relative to the label file's folder or to the dataset's, and may begin with folders that the dataset
    no longer has: PPOCRLabel writes `receipts/000.jpg` into the folder `receipts`, whose contents are then uploaded
    under another prefix. One way is chosen per label file, the one that finds most images, so that no single line
    is resolved in a way that happens to fit another image.
    """

    tree: Tree
    base: str
    prefix: str

    @classmethod
    def choose(cls, tree: Tree, file: LabelFile, images: Sequence[str]) -> "Places":
        """Choose the reading that finds most of the images; the plainest one of equals."""
        paths = [path for image in images if (path := _slashes(image))]
        folder = posixpath.dirname(file.path)
        best, most = cls(tree, folder, ""), -1
        for prefix in _prefixes(paths):
            for base in dict.fromkeys((folder, "")):
                place = cls(tree, base, prefix)
                count = sum(place._path(path) in tree.files for path in paths)
                if count > most:
                    best, most = place, count
            if most == len(paths):
                break
        return best

    def _path(self, path: str) -> str:
        return posixpath.join(self.base, path.removeprefix(self.prefix)) if path.startswith(self.prefix) else ""

    def find(self, image: str) -> tuple[str, bool]:
        """Return the path of an image relative to the dataset's folder, and whether it exists.

        Raises:
            LineError: the path leads outside the dataset.
        """
        path = _slashes(image)
        if path is None:
            raise LineError(_OUTSIDE, detail=f": {image!r}; use a path relative to the label file")
        resolved = self._path(path)
        return resolved or path, bool(resolved) and self.tree.has(resolved)


def _prefixes(paths: Sequence[str]) -> list[str]:
    prefixes = [""]
    for depth in range(1, _DEEPEST_PREFIX):
        heads = Counter("/".join(path.split("/", depth)[:depth]) + "/" for path in paths if path.count("/") >= depth)
        if not heads:
            break
        # The order of `most_common` for equals is that of the lines, so all nodes choose alike.
        prefixes.append(heads.most_common(1)[0][0])
    return prefixes


def _slashes(image: str) -> str | None:
    """Normalise a path, with Windows' backslashes turned; None when it is absolute or leads outside."""
    if PureWindowsPath(image).drive or "\x00" in image:
        return None
    path = posixpath.normpath(image.replace("\\", "/") if "/" not in image else image)
    return None if path.startswith("/") or path == ".." or path.startswith("../") else path
