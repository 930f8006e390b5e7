"""Checkpoints as folders and as objects: which are whole, which is newest, which may go.

Paddle-free: `trainer/ppocr/state.py` fills a folder, this module seals, checks, pushes and pulls it. A
folder without `checkpoint.json`, which is written last, does not exist for a reader.

Workers seal folders and compare files with the note. The leader's supervisor, which alone has the key of the run,
signs the notes, and checks signatures before it starts a worker.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from trainer.errors import NotFoundError, SpecError
from trainer.formats import typed_json
from trainer.state.key import RunKey
from trainer.system import atomic, regular

if TYPE_CHECKING:  # a worker seals and checks folders, and needs no bucket
    from trainer.storage import Store

SEAL: Final = "checkpoint.json"

SIGNATURE: Final = "checkpoint.hmac"
"""The signature of the note, next to it in the bucket."""

_PLACE: Final = re.compile(rf"(0|[1-9][0-9]*)/([0-9]{{8}}|[1-9][0-9]{{8,}})/{re.escape(SEAL)}")
"""The key of a note: attempt and step."""

_PURPOSE: Final = "checkpoint"
"""The purpose of these signatures, see `RunKey.sign`."""


class DamagedError(Exception):
    """A checkpoint is not whole; an older one may be. Never shown to a user: see `trainer/state/resuming.py`."""


class File(msgspec.Struct, frozen=True):
    """What a note says of one file."""

    size: int
    sha256: str


class Data(msgspec.Struct, frozen=True, kw_only=True):
    """The prepared dataset that a checkpoint was trained on."""

    digest: str
    """Of all samples of all splits in order: `Prepared.digest`."""

    dataset_digest: str
    """Of `run.data.train` as it lies in the bucket."""

    counts: dict[str, int]
    """Samples of each split."""

    split: str
    """How the dataset was divided, in words."""

    dictionary: str = ""
    """sha256 of the recogniser's dictionary; empty for det."""

    def same(self, other: "Data") -> bool:
        """Return whether training can go on with other data: the samples and the dictionary are the same."""
        return (self.digest, self.dictionary) == (other.digest, other.dictionary)

    def differences(self, other: "Data") -> str:
        """Return in words how other data differ, from these to those."""
        pairs = [
            ("the dataset digest", self.dataset_digest, other.dataset_digest),
            ("the split", self.split, other.split),
            ("the dictionary digest", self.dictionary, other.dictionary),
        ]
        for name in sorted(self.counts.keys() | other.counts.keys()):
            pairs.append((f"{name} samples", str(self.counts.get(name, 0)), str(other.counts.get(name, 0))))
        found = [
            f"{what}: {before or 'unknown'} → {after or 'unknown'}" for what, before, after in pairs if before != after
        ]
        return "; ".join(found) or "the content of samples, or their order"


class Note(msgspec.Struct, frozen=True):
    """`checkpoint.json`."""

    files: dict[str, File]
    """Every file of the folder but this one, by name."""

    data: Data
    """What was trained on."""

    facts: dict[str, Any]
    """How far training is."""

    sha256: str
    """Of the other fields, so that a changed byte of the note shows, too."""


@dataclass(frozen=True, kw_only=True)
class Signatures:
    """Signs notes with the key of the run, and checks that they are signed.

    A signature covers the note's bytes and the step, so that an older checkpoint cannot be passed off as a newer one.
    """

    key: RunKey
    """Of the run."""

    folder: Path
    """Signatures of checkpoints saved on this node, one file a step: in a checkpoint's own folder, a new file would
    meet the worker that removes it."""

    def sign(self, checkpoint: Path) -> bytes:
        """Return the signature of a checkpoint; the name of its folder is its step."""
        return self.key.sign(_PURPOSE, _signed(checkpoint))

    def keep(self, checkpoint: Path) -> None:
        """Sign a checkpoint that this node's worker has saved, and drop signatures of removed ones."""
        signature = self.sign(checkpoint)
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if not (checkpoint.parent / path.name).exists():
                path.unlink()
        atomic.write(self.folder / checkpoint.name, signature)

    def find(self, checkpoint: Path) -> bytes | None:
        """Return the signature stored for a checkpoint of this node, unchecked; None if there is none."""
        for path in (checkpoint / SIGNATURE, self.folder / checkpoint.name):
            if path.is_file():
                return path.read_bytes()
        return None

    def check(self, checkpoint: Path) -> None:
        """Check the signature of a sealed checkpoint.

        Raises:
            DamagedError: it is missing, or was made for another note, step or purpose, or with another key.
        """
        signature = self.find(checkpoint)
        if signature is None:
            raise DamagedError(f"{SEAL!r} is not signed")
        if not self.key.verify(_PURPOSE, _signed(checkpoint), signature):
            raise DamagedError(f"{SEAL!r} is not signed for this step with the key of this run")


def _signed(checkpoint: Path) -> bytes:
    return checkpoint.name.encode() + b"\0" + (checkpoint / SEAL).read_bytes()


def file_digest(path: Path) -> str:
    """Return a file's sha256 as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(folder: Path, *, facts: Mapping[str, Any], data: Data) -> None:
    """Write the note that makes a folder a checkpoint: its files with sizes and digests, the data, and the facts."""
    files = {p.name: {"size": p.stat().st_size, "sha256": file_digest(p)} for p in sorted(folder.iterdir())}
    content = {"files": files, "data": msgspec.to_builtins(data), "facts": facts}
    atomic.write(folder / SEAL, json.dumps({**content, "sha256": _content_digest(content)}))


def verified(folder: Path, *, signatures: Signatures | None = None) -> Note:
    """Return a checkpoint's note after comparing every file with it.

    Args:
        folder: the checkpoint.
        signatures: checks that the note is signed; None in a worker, whose supervisor has checked it.

    Raises:
        DamagedError: the note cannot be read or is not signed, or a file is missing, differs, or is not in the note.
    """
    note = _read_note(folder)
    if signatures is not None:
        signatures.check(folder)
    # A file that the note does not name is checked by nothing.
    for name in sorted({path.name for path in folder.iterdir()} - {SEAL, SIGNATURE} | note.files.keys()):
        path, wanted = folder / name, note.files.get(name)
        if wanted is None:
            raise DamagedError(f"{name!r} is not in {SEAL}")
        if not path.is_file():
            raise DamagedError(f"{name!r} is missing")
        if path.stat().st_size != wanted.size:
            raise DamagedError(f"{name!r} has {path.stat().st_size} bytes instead of {wanted.size}")
        if file_digest(path) != wanted.sha256:
            raise DamagedError(f"{name!r} has another sha256")
    return note


def _read_note(folder: Path) -> Note:
    if not (folder / SEAL).is_file():
        raise DamagedError(f"{SEAL!r} is missing")
    try:
        raw = typed_json.parse((folder / SEAL).read_bytes())
        if isinstance(raw, dict) and raw.keys() == {"files", "facts"}:
            raise DamagedError("it was written by ocrfleet 0.1, which this version does not read")
        note = typed_json.convert(raw, Note)
    except ValueError as error:
        raise DamagedError(f"{SEAL!r} cannot be read") from error
    if note.sha256 != _content_digest({name: raw[name] for name in ("files", "data", "facts")}):
        raise DamagedError(f"{SEAL!r} has another sha256")
    if any(Path(name).name != name for name in note.files):
        raise DamagedError(f"{SEAL!r} names a file of another folder")
    return note


def _content_digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def local(folder: Path) -> list[Path]:
    """Return the sealed checkpoints of a folder, oldest first; whether they are whole says `verified`."""
    return sorted(p for p in folder.glob("[0-9]*") if p.name.isdecimal() and (p / SEAL).exists())


def prune(folder: Path, *, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints, and what a killed save has left."""
    for path in [*local(folder)[:-keep], *folder.glob(".*.tmp")]:
        shutil.rmtree(path)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The checkpoints of a run in the bucket: `<attempt>/<step>/…` under the run's prefix."""

    store: "Store"
    """The store at `<output>/checkpoints/<run>`."""

    def steps(self) -> list[tuple[int, int]]:
        """Return (attempt, step) of every sealed checkpoint, oldest first."""
        places = (_PLACE.fullmatch(info.key) for info in self.store.list())
        return sorted((int(place[1]), int(place[2])) for place in places if place)

    def push(self, folder: Path, *, attempt: int, signatures: Signatures) -> int:
        """Push a checkpoint and its signature, its seal last; return the bytes sent.

        Raises:
            OcrfleetError: a file is a link, or the bucket refuses or is out of reach.
        """
        prefix = f"{attempt}/{folder.name}"
        paths = list(folder.iterdir())
        regular.require(folder.parent, paths)
        files = {f"{prefix}/{p.name}": p for p in paths if p.name not in (SEAL, SIGNATURE)}
        self.store.push(files)
        self.store.put(f"{prefix}/{SIGNATURE}", signatures.sign(folder))
        self.store.push({f"{prefix}/{SEAL}": folder / SEAL})
        return sum(p.stat().st_size for p in folder.iterdir())

    def pull_newest(self, into: Path, *, newer_than: int, signatures: Signatures) -> tuple[Path | None, dict[str, str]]:
        """Pull the newest whole checkpoint, of the latest attempt that has one, if it is past a step.

        Args:
            into: the folder of local checkpoints.
            newer_than: the newest step that is there already; -1 for none.
            signatures: checks them.

        Returns:
            The checkpoint, and newer ones that are not whole: where they are, and why.
        """
        landing, damaged = into / ".pulled", dict[tuple[int, int], str]()
        newest = None
        while (steps := [each for each in self.steps() if each not in damaged]) and steps[-1][1] > newer_than:
            attempt, step = steps[-1]
            prefix = f"{attempt}/{step:08d}"
            try:
                self.store.pull([info.key for info in self.store.list(f"{prefix}/")], landing)
                verified(landing / prefix, signatures=signatures)
            # SpecError: the folder has an object whose name no file can have.
            except (SpecError, DamagedError) as error:
                shutil.rmtree(landing, ignore_errors=True)
                # An older object that does not know yet that it is superseded has pushed newer ones, and pruned this.
                if (attempt, step) not in self.steps():
                    continue
                if isinstance(error, NotFoundError):
                    raise
                damaged[attempt, step] = str(error).rstrip(".")
                continue
            newest = into / f"{step:08d}"
            atomic.replace_folder(landing / prefix, newest)
            shutil.rmtree(landing)
            break
        return newest, {f"{self.store.uri}{a}/{step:08d}": why for (a, step), why in damaged.items()}

    def prune(self, *, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints: each seal first, so that none is seen half."""
        for attempt, step in self.steps()[:-keep]:
            prefix = f"{attempt}/{step:08d}/"
            keys = [info.key for info in self.store.list(prefix)]
            self.store.delete([f"{prefix}{SEAL}"])
            self.store.delete([key for key in keys if not key.endswith(f"/{SEAL}")])
