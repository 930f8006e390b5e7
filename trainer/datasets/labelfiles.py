"""Finds the label files of a folder, with their kind and split, and the images that they name."""

import json
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from trainer.errors import DatasetError
from trainer.system import regular

_NOT_LABELS: Final = frozenset({"fileState.txt", "Cache.cap"})
"""PPOCRLabel's own bookkeeping, which looks like label files."""

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
_DEEPEST_PREFIX: Final = 64

_IMAGE: Final = re.compile(rb"\.(jpe?g?|jfif|png|bmp|tiff?|webp|gif|jp2|avif|hei[cf])(?![a-z0-9])", re.IGNORECASE)
"""Suffixes by which a name is taken for that of a missing image. A file that exists may have any."""

_LMDB: Final = (b"\xde\xc0\xef\xbe", b"\xbe\xef\xc0\xde")
"""The magic number of LMDB, at byte 16 of its first page."""

_WINDOWS: Final = re.compile(r"[A-Za-z]:(?=[\\/])")

_OUTSIDE: Final = "the image path leads outside the dataset folder"


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

    @cached_property
    def names(self) -> frozenset[str]:
        """Names of the files that may be images."""
        return frozenset(posixpath.basename(path) for path in self.files if not _is_text(path))

    @cached_property
    def has_backslashes(self) -> bool:
        """Whether names of files contain backslashes, which are then not taken for separators."""
        return any("\\" in path for path in self.files)

    @cached_property
    def _alike(self) -> dict[str, list[str]]:
        alike: dict[str, list[str]] = {}
        for path in sorted(self.files):
            if not _is_text(path):
                alike.setdefault(posixpath.basename(_folded(path)), []).append(path)
        return alike

    def near(self, path: str) -> str | None:
        """Return a file whose path differs from this one only by suffix, letter case or Unicode form."""
        wanted = _folded(path)
        for other in self._alike.get(posixpath.basename(wanted), ()):
            if _ends(wanted, _folded(other)) and not _ends(path, other):
                return other
        return None


def _is_text(path: str) -> bool:
    return path.lower().endswith(".txt")


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", posixpath.splitext(path)[0]).casefold())


def _ends(path: str, other: str) -> bool:
    """Return whether one of two paths is the end of the other."""
    return f"/{path}".endswith(f"/{other}") or f"/{other}".endswith(f"/{path}")


def scan(root: Path) -> Tree:
    """List the files under a folder.

    Raises:
        DatasetError: it is not a folder, or has something else than files and folders in it.
        AccessError: a folder cannot be read.
    """
    if not root.is_dir():
        raise DatasetError(f"{str(root)!r} is not a folder. Name a folder with label files and images.")
    root = root.resolve()
    return Tree(root, regular.files(root))


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
        raise _no_labels(tree)
    return _divided(chosen)


def _no_labels(tree: Tree) -> DatasetError:
    """Return a sentence about what the folder contains, for the error that it has no label file."""
    where = repr(str(tree.root))
    hint = ""
    for path in sorted(tree.files):
        if _is_text(path) or posixpath.basename(path) in _NOT_LABELS or _IMAGE.search(path.encode("utf-8", "replace")):
            continue
        head = _head(tree, path)
        if posixpath.basename(path) == "data.mdb" or head[16:20] in _LMDB:
            return DatasetError(
                f"{path!r} in {where} is an LMDB database, which is not read yet. Write its images into a folder, with "
                "a .txt file of lines `image<TAB>label`."
            )
        if not hint and _sniff(tree, head, telling=False):
            hint = f" {path!r} has such lines: rename it to {posixpath.splitext(path)[0] + '.txt'!r}."
    return DatasetError(
        f"{where} has {len(tree.files)} files, but no label file with a label in it. Add a Label.txt of PPOCRLabel, or "
        f"a .txt file with lines of the form `image<TAB>label`.{hint}"
    )


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
    if not _is_text(name) or name in _NOT_LABELS:
        return None
    head = _head(tree, path)
    split = _split_of(path)
    telling = split is not None or "label" in name.lower() or name.startswith("rec_gt")
    kind = _sniff(tree, head, telling=telling)
    if kind is None and name == "Label.txt" and head.strip():
        kind = "det"
    return LabelFile(path, kind, split) if kind else None


def _head(tree: Tree, path: str) -> bytes:
    with (tree.root / path).open("rb") as file:
        return file.read(_SNIFFED_BYTES)


def _sniff(tree: Tree, head: bytes, *, telling: bool) -> Literal["det", "rec"] | None:
    """Judge by the first lines; `telling`: the name says labels, so that even lines without a tab are looked at."""
    head = head.removeprefix(b"\xef\xbb\xbf").replace(b"\x00", b"") if telling else head
    votes: Counter[Literal["det", "rec"]] = Counter()
    for line in [line for line in head.split(b"\n") if line.strip()][:_SNIFFED_LINES]:
        image, tab, label = line.partition(b"\t")
        if not tab and telling:
            label = line.partition(b" ")[2]
        if (tab or telling) and (
            _IMAGE.search(image) or _names_a_file(tree, image if tab else line.partition(b" ")[0])
        ):
            votes["det" if _is_regions(label.strip()) else "rec"] += 1
    return votes.most_common(1)[0][0] if votes else None


def _names_a_file(tree: Tree, field: bytes) -> bool:
    name = field.decode("utf-8", "replace")
    names = listed(name) or (name,)
    return re.split(r"[\\/]", names[0])[-1] in tree.names


def _is_regions(label: bytes) -> bool:
    # The last line may be cut off, and a broken one is to be named as such: JSON is not required here.
    return label == b"[]" or (label.startswith(b"[{") and (b'"transcription"' in label or b'"points"' in label))


def listed(field: str) -> tuple[str, ...] | None:
    """Return the images that a first field lists in JSON, PaddleOCR's form for several variants of one image.

    None for anything else: that is the name of an image, which may begin with a bracket, too.
    """
    if not field.startswith("["):
        return None
    try:
        names = json.loads(field)
    except (ValueError, RecursionError):
        return None
    return tuple(names) if names and all(isinstance(name, str) for name in names) else None


def _split_of(path: str) -> str | None:
    for part in reversed(posixpath.splitext(path)[0].split("/")):
        named = {_SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", part.lower()) if word in _SPLIT_NAMES}
        if named:
            return named.pop() if len(named) == 1 else None
    return None


@dataclass(frozen=True)
class Places:
    """How to resolve the image paths of one label file.

    Paths may be relative to the label file's folder or to the dataset's, and may begin with folders that the dataset
    no longer has: PPOCRLabel writes `receipts/000.jpg` into the folder `receipts`, whose contents are then uploaded
    under another prefix, and its script that divides a dataset writes absolute paths, with backslashes on Windows. One
    way is chosen per label file, the one that finds most images, so that no single line is resolved in a way that
    happens to fit another image.
    """

    tree: Tree
    folder: str
    """The label file's."""

    base: str
    prefix: str

    @classmethod
    def choose(cls, tree: Tree, file: LabelFile, images: Sequence[str]) -> "Places":
        """Choose the reading that finds most of the images; the plainest one of equals."""
        folder = posixpath.dirname(file.path)
        paths = [path for image in images if not _climbs(posixpath.join(folder, path := _relative(tree, image)))]
        best, most = cls(tree, folder, folder, ""), -1
        for prefix in _prefixes(paths):
            for base in dict.fromkeys((folder, "")):
                place = cls(tree, folder, base, prefix)
                count = sum(place._path(path) in tree.files for path in paths)
                if count > most:
                    best, most = place, count
            if most == len(paths):
                break
        return best

    def _path(self, path: str) -> str:
        if not path.startswith(self.prefix):
            return ""
        found = posixpath.join(self.base, path.removeprefix(self.prefix))
        if ".." not in found:
            return found
        found = posixpath.normpath(found)
        return "" if _climbs(found) else found

    def find(self, image: str) -> tuple[str, bool]:
        """Return the path of an image relative to the dataset's folder, and whether it exists.

        Raises:
            LineError: the path leads outside the dataset.
        """
        path = _relative(self.tree, image)
        if _climbs(posixpath.join(self.folder, path)):
            raise LineError(_OUTSIDE, detail=f": {image!r}")
        resolved = self._path(path)
        return resolved or path, resolved in self.tree.files

    def hint(self, path: str) -> str:
        """Return a hint in parentheses: the file whose name is almost that of a missing image."""
        near = self.tree.near(path)
        if near:
            return f" (there is {near!r})"
        return " (hidden files and folders are not part of a dataset)" if regular.hidden(path) else ""


def _climbs(path: str) -> bool:
    return ".." in path and (posixpath.normpath(path) + "/").startswith("../")


def _prefixes(paths: Sequence[str]) -> Iterator[str]:
    yield ""
    for depth in range(1, _DEEPEST_PREFIX):
        heads = Counter("/".join(path.split("/", depth)[:depth]) + "/" for path in paths if path.count("/") >= depth)
        if not heads:
            break
        # The order of `most_common` for equals is that of the lines, so all nodes choose alike.
        yield heads.most_common(1)[0][0]


def _relative(tree: Tree, image: str) -> str:
    """Normalise a path: Windows' backslashes become slashes, and an absolute path begins below its root."""
    drive = _WINDOWS.match(image)
    if drive or image.startswith("\\\\") or not (tree.has_backslashes and "/" in image):
        image = image[drive.end() if drive else 0 :].replace("\\", "/")
    return posixpath.normpath(image).lstrip("/")
