"""fetch: bring the run's data to this node: datasets, dictionary, weights to start from.

Each node does it for itself. What is there already and right is not moved, so that running again after a
broken pull costs only what is missing.
"""

import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import msgspec

from trainer.errors import DatasetError, SpecError
from trainer.formats import typed_json
from trainer.formats.canonical_json import digest
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.stages import locations
from trainer.state.checkpoints import file_digest
from trainer.storage import Store, Transfer, join_uri, open_store, split_uri
from trainer.system import atomic
from trainer.system.regular import hidden
from trainer.telemetry.callbacks import OnProgress
from trainer.weights import origins
from trainer.weights.cache import Shelf
from trainer.weights.facts import Origin
from trainer.weights.origins import Wanted

log = logging.getLogger(__name__)

DATASET_MANIFEST: Final = "manifest.json"
"""At the top of a dataset it lists every file with size and sha256."""


def fetch(
    run: RunSpec, work: WorkDir, progress: OnProgress | None = None, *, notes: Store | None = None
) -> dict[str, Any]:
    """Bring everything that the run names into its work folder.

    Args:
        run: what to train.
        work: where.
        progress: told of bytes done and bytes in all, for one location after the other.
        notes: the store at `<output>/checkpoints/<run>`, which remembers where a channel of weights led.

    Returns:
        Facts: for each location its URI, files, bytes, and bytes moved; where `weights` are from; and `digest` over
        all contents.

    Raises:
        DatasetError: a location is empty, or differs from its own manifest.
        SpecError: the weights are not those that the job file or a manifest pins, or there are none.
    """
    found: dict[str, Transfer] = {"train": _dataset(run.data.train, work.train_data, progress, where="run.data.train")}
    uris = {"train": run.data.train}
    if run.data.eval:
        uris["eval"] = run.data.eval
        found["eval"] = _dataset(run.data.eval, work.eval_data, progress, where="run.data.eval")
    if "://" in run.data.dictionary:
        uris["dictionary"] = run.data.dictionary
        found["dictionary"] = _file(run.data.dictionary, work.given_dictionary, progress, where="run.data.dictionary")
    weights = {given.name: (given, origins.find(run, given, notes=notes)) for given in origins.wanted(run)}
    for name, (given, origin) in weights.items():
        uris[name] = origin.uri
        found[name] = _weights(origin, given, work, progress)
    return {
        **{name: _facts(uris[name], transfer) for name, transfer in found.items()},
        "weights": {name: asdict(origin) for name, (_, origin) in weights.items()},
        # Names the contents, not the files beside them: the same on every node.
        "digest": digest({name: dict(transfer.digests) for name, transfer in found.items()}),
    }


def _facts(uri: str, transfer: Transfer) -> dict[str, Any]:
    return {
        "uri": uri,
        "files": transfer.files,
        "bytes": transfer.bytes,
        "moved_files": transfer.moved_files,
        "moved_bytes": transfer.moved_bytes,
        "seconds": round(transfer.seconds, 3),
    }


def _dataset(uri: str, dest: Path, progress: OnProgress | None, *, where: str) -> Transfer:
    transfer = open_store(uri).pull(None, dest, progress)
    if not transfer.files:
        raise locations.no_objects(where, uri)
    if DATASET_MANIFEST in transfer.digests:
        _check_manifest(dest, uri, transfer.digests)
    log.info("%s: %d files, %d of them moved.", uri, transfer.files, transfer.moved_files)
    return transfer


class _ListedFile(msgspec.Struct):
    path: str
    sha256: str


class _DatasetManifest(msgspec.Struct):
    files: list[_ListedFile]


def _check_manifest(dest: Path, uri: str, digests: Mapping[str, str]) -> None:
    """Compare a dataset with its own manifest: the same files, each with its sha256."""
    place = join_uri(uri, DATASET_MANIFEST)
    try:
        listed = typed_json.decode((dest / DATASET_MANIFEST).read_bytes(), _DatasetManifest).files
    except ValueError as error:
        raise DatasetError(f"{place} is not a dataset manifest ({error}). Write it again, or remove it.") from error
    wanted = {file.path: file.sha256 for file in listed if not hidden(file.path)}
    actual = {key: value for key, value in digests.items() if key != DATASET_MANIFEST}
    faults = [
        *(f"{key!r} is missing" for key in sorted(wanted.keys() - actual.keys())),
        *(f"{key!r} is not listed" for key in sorted(actual.keys() - wanted.keys())),
        *(f"{key!r} has changed" for key in sorted(actual.keys() & wanted.keys()) if actual[key] != wanted[key]),
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise DatasetError(
            f"The dataset differs from {place}: {', '.join(faults[:3])}{more}. "
            "Upload the dataset again with a new manifest, or remove the manifest."
        )


def _file(uri: str, dest: Path, progress: OnProgress | None, *, where: str) -> Transfer:
    """Bring one file under the name that the work folder has for it."""
    folder, name = split_uri(uri)
    store: Store = open_store(folder)
    # Gathered in a folder of its own: the store keeps names, the work folder has its own name for the file.
    landing = dest.with_name(f"{dest.stem}.pulled")
    with locations.named(where, uri):
        transfer = store.pull([name], landing, progress)
    with atomic.temporary(dest) as new:
        shutil.copyfile(landing / name, new)
        atomic.replace(new, dest)
    return transfer


def _weights(origin: Origin, given: Wanted, work: WorkDir, progress: OnProgress | None) -> Transfer:
    """Bring weights from the shelf of this machine, or from afar, and note beside them where they are from."""
    dest, facts = given.places(work)
    # First of all: what may follow must never lie beside facts of another file.
    for path in (facts, dest):
        path.unlink(missing_ok=True)
    dest.parent.mkdir(exist_ok=True)
    gathering, moved = work.gathering(dest), []

    def pull() -> Path:
        path, transfer = _pull(origin, given, gathering / "pulled", progress)
        moved.append(transfer)
        return path

    Shelf(work.shared_weights).take(origin.sha256, dest, fetch=pull)
    shutil.rmtree(gathering, ignore_errors=True)
    origin.write(facts)
    here = {split_uri(origin.uri)[1]: origin.sha256}
    size = dest.stat().st_size
    return moved[0] if moved else Transfer(digests=here, files=1, bytes=size, moved_files=0, moved_bytes=0, seconds=0.0)


def _pull(origin: Origin, given: Wanted, landing: Path, progress: OnProgress | None) -> tuple[Path, Transfer]:
    """Download weights and check their digest before anything reads them."""
    folder, name = split_uri(origin.uri)
    with locations.named(given.field, origin.uri):
        transfer = open_store(folder).pull([name], landing, progress)
    actual = file_digest(landing / name)
    if actual == origin.sha256:
        return landing / name, transfer
    (landing / name).unlink()
    if given.channel is None:
        raise SpecError(
            f"{given.pin} is {given.sha256}, but the sha256 of {origin.uri!r} is {actual}. "
            "Check where the file comes from. If it is the right one, write its digest into the job file."
        )
    raise SpecError(
        f"{given.field} is {given.weights!r}, but {origin.uri!r} is not the file that run {origin.run} published: its "
        f"sha256 is {actual}, and the manifest has {origin.sha256}. Restore it in the bucket, or name other weights."
    )
