"""Manifests: what makes a run's model exist, and names every file of it.

`Store` arguments are at `<output>`.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec

from trainer import contract
from trainer.errors import ConflictError, NotFoundError, SpecError
from trainer.formats import typed_json
from trainer.registry.distillation import Distillation
from trainer.storage import Store
from trainer.storage.keys import check_tree

log = logging.getLogger(__name__)

T = TypeVar("T")

NAME: Final = r"\A[a-z]([-a-z0-9]*[a-z0-9])?\Z"
"""The form of names of runs and channels. They become parts of paths."""

Name = Annotated[str, msgspec.Meta(pattern=NAME, max_length=253)]

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file of a published model."""

    path: str
    """Relative to `runs/<run>/`, such as `1/inference/inference.yml`; the first part is the attempt."""

    size: Count
    """Bytes."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    """Digest of the content."""

    @property
    def name(self) -> str:
        """The path without the attempt: where it lies when the model is pulled."""
        return self.path.partition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A published model."""

    run: Name
    """`<name>-<h8>`."""

    name: str
    """The job file's name."""

    task: Literal["det", "rec"]
    """`det` or `rec`."""

    attempt: Count
    """The attempt that published it."""

    created: str
    """When, as ISO 8601 in UTC."""

    recipe: str
    """The recipe's name; `config` for an inline configuration."""

    model_name: str
    """The name by which PaddleOCR's users load it, such as `PP-OCRv3_mobile_rec`."""

    metrics: Mapping[str, float]
    """What the trained model reached on `split`."""

    split: str
    """What was measured on: `test`, or `eval` when there is no test split."""

    samples: Count
    """How many samples that split has."""

    dataset: str
    """Digest of the dataset, as prepare has it."""

    files: tuple[PublishedFile, ...] = field(repr=False)
    """Every file, sorted by path."""

    distillation: Distillation | None = None
    """How it was distilled. None: one network was trained by itself."""

    def to_json(self) -> bytes:
        """Return the manifest as it is stored."""
        content = {"apiVersion": contract.API_VERSION, "kind": "Manifest", **asdict(self)}
        if self.distillation is None:
            # As before there were any, so that an older ocrfleet reads it.
            del content["distillation"]
        return json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, run: str, source: str) -> "Manifest":
        """Read a manifest.

        Args:
            data: the document.
            run: the run that it is stored under.
            source: where it is, for messages.

        Raises:
            SpecError: it is not one of this run, is of another version, or names a file outside the run's folder.
        """
        try:
            head = typed_json.decode(data, _Head)
            if (head.api_version, head.kind) == (contract.API_VERSION, "Manifest"):
                return _checked(typed_json.decode(data, cls), run)
        except (ValueError, SpecError) as error:
            raise SpecError(f"{source} is not a manifest of ocrfleet ({error}). Name another run.") from error
        raise SpecError(f"{source} has another version than {contract.API_VERSION}. Use a newer ocrfleet.")


class _Head(msgspec.Struct, rename={"api_version": "apiVersion"}):
    api_version: str
    kind: str


def _checked(manifest: Manifest, run: str) -> Manifest:
    """Return the manifest if it is of this run, and all its files are below the folder of its attempt."""
    if manifest.run != run:
        raise ValueError(f"it names the run {manifest.run!r}, but is stored under {run!r}")
    for file in manifest.files:
        if not file.path.startswith(f"{manifest.attempt}/"):
            raise ValueError(f"{file.path!r} is not below {manifest.attempt}/, the folder of its attempt")
    check_tree((file.path for file in manifest.files), where="it")
    return manifest


def now() -> str:
    """Return the time as manifests and channels spell it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_of(run: str) -> str:
    """Name a run's manifest."""
    return f"runs/{run}/manifest.json"


def find(store: Store, run: str) -> Manifest | None:
    """Return a run's manifest, or None when its model is not published."""
    found = store.find(key_of(run))
    return Manifest.from_json(found[0], run=run, source=f"{store.uri}{key_of(run)}") if found else None


def find_or_warn(find: Callable[[Store, str], T | None], store: Store, name: str) -> T | None:
    """Return what `find` returns, for a list; None also when what is stored is not such a document, which is logged."""
    try:
        return find(store, name)
    except NotFoundError:
        raise
    except SpecError as error:
        log.warning("Skipped: %s", error)
        return None


def record(store: Store, manifest: Manifest) -> dict[str, Any]:
    """Return the record of a published run: job file, configuration, versions, timings.

    Raises:
        SpecError: the object is not a JSON object.
    """
    key = f"runs/{manifest.run}/{manifest.attempt}/record.json"
    try:
        return typed_json.decode(store.get(key), dict[str, Any])
    except ValueError as error:
        raise SpecError(
            f"{store.uri}{key} is not the record of a run ({error}). Restore the file, or name another run."
        ) from error


def read(store: Store, run: str) -> Manifest:
    """Return a run's manifest.

    Raises:
        NotFoundError: the run is not published.
    """
    manifest = find(store, run)
    if manifest is None:
        raise NotFoundError(
            f"The run {run!r} is not published in {store.uri}. `ocrfleet models list` lists the published runs."
        )
    return manifest


def create(store: Store, manifest: Manifest) -> Manifest:
    """Create a run's manifest if there is none, and return the one that counts: ours, or that of a faster writer."""
    # Asked first, for stores that do not honour the condition.
    held = find(store, manifest.run)
    if held is not None:
        return held
    try:
        store.put(key_of(manifest.run), manifest.to_json(), if_absent=True)
    except ConflictError:
        return read(store, manifest.run)  # another attempt's, or ours whose answer was lost
    return manifest
