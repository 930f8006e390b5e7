"""Manifests: what makes a model exist; on a folder."""

import json
import math
from pathlib import Path

import pytest

from tests.unit.trainer.registry.published import manifest, published
from trainer.errors import ConflictError, NotFoundError, SpecError
from trainer.registry import manifests
from trainer.registry.manifests import Manifest, PublishedFile
from trainer.storage import Store
from trainer.storage.files import FileStore


def test_a_manifest_is_read_as_it_was_written() -> None:
    original = manifest(files=(PublishedFile(path="1/record.json", size=3, sha256="a" * 64),))
    assert Manifest.from_json(original.to_json(), run=original.run, source="here") == original


def changed(**fields: object) -> bytes:
    raw = json.loads(manifest("x").to_json())
    return json.dumps({**raw, **fields}).encode()


def of_file(path: str = "1/record.json", **fields: object) -> bytes:
    return changed(files=[{"path": path, "size": 3, "sha256": "a" * 64, **fields}])


STRANGE = {
    "empty": b"",
    "not UTF-8": b"\xff",
    "nested too deeply": b"[" * 100_000,
    "a list": b"[]",
    "an empty object": b"{}",
    "only a head": b'{"apiVersion": "ocrfleet.io/v1", "kind": "Manifest"}',
    "no files": changed(files=1),
    "no metrics": changed(metrics=None),
    "a metric that is text": changed(metrics={"acc": "0.9"}),
    "an unknown task": changed(task="cls"),
    "a time that is a number": changed(created=1),
    "a run that is an absolute path": changed(run="/tmp/x"),
    "a run that climbs": changed(run="../x"),
    "another run": changed(run="y"),
    "a file of another attempt": of_file("2/record.json"),
    "a file that climbs": of_file("1/../../x"),
    "an absolute file": of_file("/tmp/x"),
    "a file with no name": of_file("1/"),
    "a file below a file": changed(
        files=[{"path": path, "size": 3, "sha256": "a" * 64} for path in ("1/report", "1/report/index.html")]
    ),
    "a negative size": of_file(size=-1),
    "a digest that is none": of_file(sha256="a"),
    "a distillation without networks": changed(distillation={"picked": "Student"}),
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
def test_what_is_no_manifest_is_refused_by_its_place(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"runs/x/manifest\.json is not a manifest"):
        Manifest.from_json(data, run="x", source="runs/x/manifest.json")


def test_metrics_may_be_no_number_and_fields_of_a_newer_version_are_ignored() -> None:
    found = Manifest.from_json(changed(metrics={"acc": float("nan")}, added="later"), run="x", source="here")
    assert math.isnan(found.metrics["acc"])


def test_a_manifest_of_another_version_is_refused_by_its_version() -> None:
    data = manifest().to_json().replace(b"ocrfleet.io/v1", b"ocrfleet.io/v9")
    with pytest.raises(SpecError, match=r"another version than ocrfleet\.io/v1"):
        Manifest.from_json(data, run="lines-00000001", source="here")


def test_a_manifest_is_created_once(store: Store) -> None:
    first = manifests.create(store, manifest(attempt=1))
    second = manifests.create(store, manifest(attempt=2))
    assert first.attempt == second.attempt == 1


class Slow(FileStore):
    """A store where another attempt creates the manifest between our look and our write."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        if if_absent:
            super().put(key, manifest(attempt=7).to_json(), if_absent=True)
        return super().put(key, data, if_absent=if_absent, if_match=if_match)


def test_of_two_attempts_at_once_the_first_ones_manifest_holds(tmp_path: Path) -> None:
    store = Slow(tmp_path)
    assert manifests.create(store, manifest(attempt=1)).attempt == 7
    with pytest.raises(ConflictError):
        store.put(manifests.key_of("lines-00000001"), b"", if_absent=True)


def test_a_manifest_that_is_there_holds_where_conditions_are_not_honoured(tmp_path: Path) -> None:
    class Careless(FileStore):
        def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
            return super().put(key, data)

    store = Careless(tmp_path)
    manifests.create(store, manifest(attempt=1))
    assert manifests.create(store, manifest(attempt=2)).attempt == 1


def test_a_run_without_a_manifest_is_not_published(store: Store) -> None:
    assert manifests.find(store, "lines-1") is None
    with pytest.raises(NotFoundError, match=r"'lines-1' is not published in file://.*ocrfleet models list"):
        manifests.read(store, "lines-1")
    made = published(store, "lines-1")
    assert manifests.read(store, "lines-1") == made == manifests.find(store, "lines-1")


def test_a_file_is_named_without_its_attempt() -> None:
    file = PublishedFile(path="1/inference/inference.yml", size=3, sha256="a" * 64)
    assert file.name == "inference/inference.yml"


def test_a_model_that_is_no_distillation_is_read_by_an_older_ocrfleet() -> None:
    assert b"distillation" not in manifest().to_json()


def test_times_are_in_utc_and_sort_as_text() -> None:
    first, second = manifests.now(), manifests.now()
    assert first.endswith("Z")
    assert len(first) == len("2026-01-01T00:00:00.000Z")
    assert first <= second
