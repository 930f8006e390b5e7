"""Published models, by run and by channel; on a folder."""

import json
from pathlib import Path

import pytest

from tests.unit.trainer.registry.published import manifest, published
from trainer.errors import NotFoundError, OcrfleetError, SpecError
from trainer.registry import models as registry
from trainer.storage import Store


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
    with pytest.raises(SpecError, match="not a valid name of a run or channel"):
        registry.show(store, "../../etc")


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


def test_what_is_no_manifest_is_skipped_in_the_list_with_a_warning(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    published(store, "lines-1")
    store.put("runs/lines-2/manifest.json", manifest("lines-2").to_json().replace(b'"acc": 0.9', b'"acc": null'))
    store.put("runs/Old runs/manifest.json", b"{}")
    assert [model.run for model in registry.list_models(store)] == ["lines-1"]
    said = sorted(record.getMessage().partition(" is not a manifest")[0] for record in caplog.records)
    assert said == [f"Skipped: {store.uri}runs/{run}/manifest.json" for run in ("Old runs", "lines-2")]
    with pytest.raises(SpecError, match=r"lines-2/manifest\.json is not a manifest"):
        registry.show(store, "lines-2")


def test_a_file_that_climbs_out_of_the_folder_is_not_pulled(store: Store, tmp_path: Path) -> None:
    published(store, "lines-1", {"inference/inference.yml": b"yml"})
    raw = json.loads(store.get("runs/lines-1/manifest.json"))
    raw["files"][0]["path"] = "1/../escaped"
    store.put("runs/lines-1/manifest.json", json.dumps(raw).encode())
    store.put("runs/lines-1/escaped", b"yml")
    with pytest.raises(SpecError, match="is not a manifest"):
        registry.pull(store, "lines-1", tmp_path / "folder" / "model")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff"])
def test_a_record_that_is_none_is_refused(store: Store, data: bytes) -> None:
    made = published(store, "lines-1", {"record.json": data})
    with pytest.raises(SpecError, match=r"1/record\.json is not the record of a run"):
        registry.record(store, made)
