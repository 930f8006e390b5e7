"""What is published, and what channels point at; on a folder."""

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from trainer.errors import NotFoundError, OcrfleetError, SpecError
from trainer.registry import manifests
from trainer.registry import models as registry
from trainer.registry.models import Manifest, PublishedFile
from trainer.storage import Store, open_store
from trainer.storage.files import FileStore


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "output").as_uri())


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


def test_a_manifest_is_read_as_it_was_written() -> None:
    original = manifest(files=(PublishedFile(path="1/record.json", size=3, sha256="a" * 64),))
    assert Manifest.from_json(original.to_json(), source="here") == original


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"\xff", b'{"apiVersion": "ocrfleet.io/v1", "kind": "Manifest", "files": 1}']
)
def test_what_is_no_manifest_is_refused_by_its_place(data: bytes) -> None:
    with pytest.raises(SpecError, match=r"runs/x/manifest\.json is not a manifest"):
        Manifest.from_json(data, source="runs/x/manifest.json")


def test_a_manifest_of_another_version_is_refused_by_its_version() -> None:
    data = manifest().to_json().replace(b"ocrfleet.io/v1", b"ocrfleet.io/v9")
    with pytest.raises(SpecError, match=r"another version than ocrfleet\.io/v1"):
        Manifest.from_json(data, source="here")


def test_a_manifest_is_created_once(store: Store) -> None:
    first = manifests.create(store, manifest(attempt=1))
    second = manifests.create(store, manifest(attempt=2))
    assert first.attempt == second.attempt == 1


def test_a_model_without_manifest_does_not_exist(store: Store) -> None:
    store.put("runs/lines-1/1/inference/inference.yml", b"half of a push")
    published(store, "lines-2")
    assert not registry.exists(store, "lines-1")
    assert registry.exists(store, "lines-2")
    assert [model.run for model in registry.list_models(store)] == ["lines-2"]
    with pytest.raises(NotFoundError, match="not published"):
        registry.promote(store, "lines-1", "production")


def test_models_are_listed_oldest_first(store: Store) -> None:
    published(store, "b-1", created="2026-01-01")
    published(store, "a-2", created="2026-01-02")
    assert [model.run for model in registry.list_models(store)] == ["b-1", "a-2"]
    assert registry.list_models(store.below("nothing")) == []


def test_a_model_is_found_by_run_and_by_channel(store: Store) -> None:
    published(store, "lines-1")
    registry.promote(store, "lines-1", "production")
    assert registry.show(store, "lines-1") == registry.show(store, "production")


def test_an_unknown_model_is_refused_with_the_nearest_name(store: Store) -> None:
    with pytest.raises(NotFoundError, match="Nothing is published there yet"):
        registry.show(store, "production")
    published(store, "lines-1")
    registry.promote(store, "lines-1", "production")
    with pytest.raises(NotFoundError, match="Did you mean 'production'"):
        registry.show(store, "prodution")
    with pytest.raises(SpecError, match="no name of a run or channel"):
        registry.show(store, "../../etc")


def test_a_channel_keeps_its_history(store: Store) -> None:
    for run in ("lines-1", "lines-2"):
        published(store, run)
    for run in ("lines-1", "lines-2", "lines-1"):
        registry.promote(store, run, "production")
    assert registry.promote(store, "lines-1", "production").run == "lines-1"  # already there: nothing is written
    (found,) = registry.list_channels(store)
    assert [promotion.run for promotion in found.history] == ["lines-1", "lines-2", "lines-1"]


def test_a_run_that_is_started_again_does_not_undo_a_newer_promotion(store: Store) -> None:
    for run in ("lines-1", "lines-2"):
        published(store, run)
        registry.promote_once(store, run, channel="candidate")
    assert registry.promote_once(store, "lines-1", channel="candidate").run == "lines-2"


def test_writers_of_one_channel_all_enter_its_history(store: Store) -> None:
    runs = [f"lines-{n}" for n in range(8)]
    for run in runs:
        published(store, run)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda run: registry.promote(store, run, "production"), runs))
    (found,) = registry.list_channels(store)
    assert sorted(promotion.run for promotion in found.history) == runs


@pytest.mark.parametrize("name", ["Production", "a/b", "", "../x", "x-"])
def test_a_channel_name_that_is_none_is_refused(store: Store, name: str) -> None:
    published(store, "lines-1")
    with pytest.raises(SpecError, match="The channel"):
        registry.promote(store, "lines-1", name)


class Careless(FileStore):
    """A store that does not look at conditions, as some S3 servers do not."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return super().put(key, data)

    def below(self, folder: str) -> "Careless":
        return Careless(self.root / folder)


def test_promotion_without_conditional_writes_needs_the_users_word(tmp_path: Path) -> None:
    store = Careless(tmp_path)
    published(store, "lines-1")
    assert not store.conditional_writes()
    with pytest.raises(SpecError, match="--single-writer"):
        registry.promote(store, "lines-1", "production")
    assert registry.list_channels(store) == []
    assert registry.promote(store, "lines-1", "production", single_writer=True).run == "lines-1"


def test_a_pulled_model_is_whole_and_as_published(store: Store, tmp_path: Path) -> None:
    contents = {"inference/inference.yml": b"yml", "report/report.md": b"# report", "record.json": b"{}"}
    published(store, "lines-1", contents)
    found, transfer = registry.pull(store, "lines-1", tmp_path / "model")
    pulled = {p.relative_to(tmp_path / "model").as_posix() for p in (tmp_path / "model").rglob("*") if p.is_file()}
    assert pulled == {*contents, "manifest.json"}
    assert json.loads((tmp_path / "model" / "manifest.json").read_text("utf-8"))["run"] == found.run == "lines-1"
    assert transfer.moved_files == 3
    assert registry.pull(store, "lines-1", tmp_path / "model")[1].moved_files == 0


def test_a_part_of_a_model_can_be_pulled_alone(store: Store, tmp_path: Path) -> None:
    published(store, "lines-1", {"inference/inference.yml": b"yml", "record.json": b"{}"})
    registry.pull(store, "lines-1", tmp_path / "model", parts=["inference"])
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["inference"]
    with pytest.raises(SpecError, match="has no weights"):
        registry.pull(store, "lines-1", tmp_path / "model", parts=["weights"])


def test_a_published_file_that_was_changed_since_is_refused_and_removed(store: Store, tmp_path: Path) -> None:
    published(store, "lines-1")
    store.put("runs/lines-1/1/inference/inference.yml", b"another")
    with pytest.raises(OcrfleetError, match="is not the file that was published"):
        registry.pull(store, "lines-1", tmp_path / "model")
    assert not (tmp_path / "model" / "inference" / "inference.yml").exists()
