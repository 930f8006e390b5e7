"""Published models for tests: manifests, and runs whose files are there."""

import hashlib
from collections.abc import Mapping

from trainer.registry import manifests
from trainer.registry.manifests import Manifest, PublishedFile
from trainer.storage import Store


def manifest(run: str = "lines-00000001", **changes: object) -> Manifest:
    content = {
        "run": run,
        "name": "lines",
        "task": "rec",
        "attempt": 1,
        "created": "2026-01-01T00:00:00.000Z",
        "recipe": "rec-crnn-mobile",
        "model_name": "PP-OCRv3_mobile_rec",
        "metrics": {"acc": 0.9},
        "split": "test",
        "samples": 10,
        "dataset": "d" * 64,
        "files": (),
        **changes,
    }
    return Manifest(**content)  # type: ignore[arg-type]


def published(store: Store, run: str, contents: Mapping[str, bytes] | None = None, **changes: object) -> Manifest:
    files = []
    for name, data in (contents or {"inference/inference.yml": b"yml"}).items():
        store.put(f"runs/{run}/1/{name}", data)
        files.append(PublishedFile(path=f"1/{name}", size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    return manifests.create(store, manifest(run, files=tuple(files), **changes))
