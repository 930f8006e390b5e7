"""fetch: bring the run's data to this node: datasets, dictionary, weights to start from.

Each node does it for itself. What is there already and right is not moved, so that running again after a
broken pull costs only what is missing.
"""

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from trainer.canonical import digest
from trainer.checkpoints import file_digest
from trainer.errors import DatasetError, NotFoundError, SpecError
from trainer.runspec import RunSpec
from trainer.storage import NoBucketError, Progress, Store, Transfer, join_uri, open_store, split_uri
from trainer.workdir import WorkDir

log = logging.getLogger(__name__)

IMAGES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp", ".tar"})
"""Suffixes of files that are replaced, never edited in place, so that a local dataset's may be linked:
it costs no disk, and a hard link lies in the folder like any file. Labels are copied, since an open
PPOCRLabel writes them in place."""

DATASET_MANIFEST: Final = "manifest.json"
"""At the top of a dataset it lists every file with size and sha256."""


def fetch(run: RunSpec, work: WorkDir, progress: Progress | None = None) -> dict[str, Any]:
    """Bring everything that the run names into its work folder.

    Args:
        run: what to train.
        work: where.
        progress: told of bytes done and bytes in all, for one location after the other.

    Returns:
        Facts: for each location its URI, files, bytes, and bytes moved; and `digest` over all contents.

    Raises:
        DatasetError: a location is empty, or differs from its own manifest.
        SpecError: the weights are not those of `run.init.sha256`.
    """
    found: dict[str, Transfer] = {"train": _dataset(run.data.train, work.train_data, progress, where="run.data.train")}
    uris = {"train": run.data.train}
    if run.data.eval:
        uris["eval"] = run.data.eval
        found["eval"] = _dataset(run.data.eval, work.eval_data, progress, where="run.data.eval")
    if "://" in run.data.dictionary:
        uris["dictionary"] = run.data.dictionary
        found["dictionary"] = _file(run.data.dictionary, work.given_dictionary, progress, where="run.data.dictionary")
    if run.init.pretrained:
        uris["pretrained"] = run.init.pretrained
        found["pretrained"] = _file(run.init.pretrained, work.pretrained, progress, where="run.init.pretrained")
        _check_weights(run, work.pretrained)
    return {
        **{name: _facts(uris[name], transfer) for name, transfer in found.items()},
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


def _dataset(uri: str, dest: Path, progress: Progress | None, *, where: str) -> Transfer:
    transfer = open_store(uri).pull(None, dest, progress, link=IMAGES)
    if not transfer.files:
        raise DatasetError(
            f"{where} is {uri!r}, and there is no object under it. Check the location, or push a dataset there first."
        )
    if DATASET_MANIFEST in transfer.digests:
        _check_manifest(dest, uri, transfer.digests)
    log.info("%s: %d files, %d of them moved.", uri, transfer.files, transfer.moved_files)
    return transfer


def _check_manifest(dest: Path, uri: str, digests: Mapping[str, str]) -> None:
    """Compare a dataset with the manifest that it carries: every file there, none else, each with its sha256."""
    place = join_uri(uri, DATASET_MANIFEST)
    try:
        listed = json.loads((dest / DATASET_MANIFEST).read_text("utf-8"))["files"]
        wanted = {str(file["path"]): str(file["sha256"]) for file in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{place} is not a dataset's manifest ({error!r}). Write it anew, or remove it.") from error
    given = {key: value for key, value in digests.items() if key != DATASET_MANIFEST}
    faults = [
        *(f"{key!r} is missing" for key in sorted(wanted.keys() - given.keys())),
        *(f"{key!r} is not in it" for key in sorted(given.keys() - wanted.keys())),
        *(f"{key!r} has another content" for key in sorted(given.keys() & wanted.keys()) if given[key] != wanted[key]),
    ]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise DatasetError(
            f"The dataset differs from {place}: {', '.join(faults[:3])}{more}. "
            "Push the dataset again with a new manifest, or remove the manifest."
        )


def _file(uri: str, dest: Path, progress: Progress | None, *, where: str) -> Transfer:
    """Bring one file under the name that the work folder has for it."""
    folder, name = split_uri(uri)
    store: Store = open_store(folder)
    # Gathered in a folder of its own: the store keeps names, the work folder has its own name for the file.
    landing = dest.with_name(f"{dest.stem}.pulled")
    try:
        transfer = store.pull([name], landing, progress)
    except NoBucketError:
        raise
    except NotFoundError as error:
        raise NotFoundError(f"{where} is {uri!r}, and there is no such object. Check the location.") from error
    temporary = dest.with_name(f".{dest.name}.tmp")
    shutil.copyfile(landing / name, temporary)
    os.replace(temporary, dest)
    return transfer


def _check_weights(run: RunSpec, path: Path) -> None:
    """Refuse weights that are not the pinned ones: a .pdparams file is a pickle, and a pickle can run code."""
    found = file_digest(path)
    if found != run.init.sha256:
        path.unlink()
        raise SpecError(
            f"run.init.sha256 is {run.init.sha256}, but {run.init.pretrained!r} has {found}. "
            "Check where the file comes from; if it is the one you want, write its digest into the job file."
        )
