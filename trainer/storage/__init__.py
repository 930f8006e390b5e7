"""Objects in and out of `s3://` and `file://` locations. The only room that knows a storage client.

    store = open_store("s3://ocr-data/receipts/")
    store.pull(None, Path("data/train"))

Keys are relative to the opened location. Both kinds of store behave alike: writes are atomic, a conditional write
succeeds for one writer only, and a file that is already there and correct is not transferred again. Errors are those
of `trainer.errors`, and never contain a credential.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from trainer.errors import SpecError
from trainer.formats.urls import without_secrets
from trainer.storage.base import NoBucketError, ObjectInfo, Store, Transfer

__all__ = ["NoBucketError", "ObjectInfo", "Store", "Transfer", "join_uri", "local_path", "open_store", "split_uri"]

PATIENCE: Final = 20.0
"""Seconds without any progress before an endpoint counts as down: longer than a restart of a small server,
shorter than a user waits for a wrong address."""


def open_store(uri: str, *, environ: Mapping[str, str] | None = None, patience: float = PATIENCE) -> Store:
    """Open the location of a dataset, of a run's output, or of anything below.

    Nothing is asked of the store yet: a wrong bucket shows at the first use.

    Args:
        uri: `s3://bucket/prefix/` or `file:///folder/`.
        environ: the AWS_* variables are read from it; unset: the process's own.
        patience: seconds without progress before a transient fault is given up.

    Raises:
        SpecError: the location is of no known kind.
        AccessError: no credentials can be found for S3.
    """
    if folder := local_path(uri):
        from trainer.storage.files import FileStore

        return FileStore(folder)
    scheme, bucket, prefix = _parts(uri)
    if scheme == "s3" and bucket:
        from trainer.storage.s3 import open_s3

        return open_s3(
            bucket=bucket,
            prefix=prefix.strip("/"),
            environ=os.environ if environ is None else environ,
            patience=patience,
        )
    raise SpecError(
        f"The location {without_secrets(uri)!r} is not supported. Use s3://BUCKET/PREFIX/ or file:///FOLDER/."
    )


def local_path(uri: str) -> Path | None:
    """Return the path that a `file://` location names; None for any other location.

    `%20` and the like are decoded; every other character stands for itself, `#` and `?` included.
    """
    scheme, host, path = _parts(uri)
    return Path(unquote(f"/{path}")) if scheme == "file" and host in ("", "localhost") and "/" in uri[7:] else None


def _parts(uri: str) -> tuple[str, str, str]:
    # Not urlsplit: names of files and keys may have '?' and '#' in them.
    scheme, _, rest = uri.partition("://")
    host, _, path = rest.partition("/")
    return scheme.lower(), host, path


def join_uri(uri: str, *names: str) -> str:
    """Return the location of something below another: `join_uri("s3://b/x/", "runs", "r1")`."""
    return "/".join([uri.rstrip("/"), *(name.strip("/") for name in names)])


def split_uri(uri: str) -> tuple[str, str]:
    """Divide the URI of one object into the location of its folder and its key there."""
    folder, _, name = uri.rpartition("/")
    if not name or folder.endswith(":/") or folder in ("s3:", "file:"):
        raise SpecError(f"The location {without_secrets(uri)!r} is a folder. Give the location of a file.")
    return f"{folder}/", unquote(name) if uri.startswith("file:") else name
