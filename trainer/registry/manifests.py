"""Manifests: what makes a run's model exist, and names every file of it.

`Store` arguments are at `<output>`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from trainer import contract
from trainer.errors import ConflictError, NotFoundError, SpecError
from trainer.registry.distillation import Distillation
from trainer.storage import Store


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """One file of a published model."""

    path: str
    """Relative to `runs/<run>/`, such as `1/inference/inference.yml`; the first part is the attempt."""

    size: int
    """Bytes."""

    sha256: str
    """Digest of the content."""

    @property
    def name(self) -> str:
        """The path without the attempt: where it lies when the model is pulled."""
        return self.path.partition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A published model."""

    run: str
    """`<name>-<h8>`."""

    name: str
    """The job file's name."""

    task: str
    """`det` or `rec`."""

    attempt: int
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

    samples: int
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
    def from_json(cls, data: bytes, *, source: str) -> "Manifest":
        """Read a manifest.

        Raises:
            SpecError: it is not one, or of another version.
        """
        try:
            raw = json.loads(data)
            if (raw.pop("apiVersion"), raw.pop("kind")) != (contract.API_VERSION, "Manifest"):
                raise SpecError(f"{source} has another version than {contract.API_VERSION}. Use a newer ocrfleet.")
            files = tuple(PublishedFile(**file) for file in raw.pop("files"))
            distillation = raw.pop("distillation", None)
            return cls(**raw, files=files, distillation=Distillation.of(distillation) if distillation else None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SpecError(f"{source} is not a manifest of ocrfleet ({error}). Name another run.") from error


def now() -> str:
    """Return the time as manifests and channels spell it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def key_of(run: str) -> str:
    """Name a run's manifest."""
    return f"runs/{run}/manifest.json"


def find(store: Store, run: str) -> Manifest | None:
    """Return a run's manifest, or None when its model is not published."""
    found = store.find(key_of(run))
    return Manifest.from_json(found[0], source=f"{store.uri}{key_of(run)}") if found else None


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
    """Create a run's manifest if there is none, and give the one that holds: ours, or that of who was first."""
    # Asked first, for stores that do not honour the condition.
    held = find(store, manifest.run)
    if held is not None:
        return held
    try:
        store.put(key_of(manifest.run), manifest.to_json(), if_absent=True)
    except ConflictError:
        return read(store, manifest.run)  # another attempt's, or ours whose answer was lost
    return manifest
