"""Datasets and files by location: a folder is used in place, a bucket's content is downloaded to the cache."""

from pathlib import Path

from jobs.models.cache import Cache
from trainer.errors import NotFoundError
from trainer.storage import local_path, open_store, split_uri
from trainer.system import disk
from trainer.telemetry.callbacks import OnProgress


def folder(location: str, cache: Cache, *, progress: OnProgress | None = None) -> Path:
    """Download a dataset, and return its folder.

    Args:
        location: a folder, or a URI.
        cache: where the content of a bucket is kept; what is there and right is not fetched again.
        progress: told of bytes.

    Raises:
        NotFoundError: nothing is there.
    """
    path = local_path(location) if "://" in location else Path(location)
    if path:
        if not path.is_dir():
            raise NotFoundError(f"{location!r} is not a folder on this machine.")
        return path
    dest = cache.data(location)
    dest.mkdir(parents=True, exist_ok=True)
    with disk.watched(dest):
        pulled = open_store(location).pull(None, dest, progress)
    if not pulled.files:
        raise NotFoundError(f"{location!r} has no objects: check the spelling.")
    return dest


def file(uri: str, cache: Cache) -> Path:
    """Download one file, and return its path."""
    where, key = split_uri(uri)
    dest = cache.file(uri)
    dest.mkdir(parents=True, exist_ok=True)
    with disk.watched(dest):
        open_store(where).pull([key], dest)
    return dest / key


def size(uri: str) -> int:
    """Return the size of one file, in bytes.

    Raises:
        NotFoundError: it is not there.
    """
    where, key = split_uri(uri)
    return open_store(where).stat([key])[0].size
