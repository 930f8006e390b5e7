"""What fetch brings into the work folder, and what it refuses; from folders."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from trainer.errors import DatasetError, NotFoundError, SpecError
from trainer.registry import channels, manifests
from trainer.registry.manifests import Manifest, PublishedFile
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import LocalRunDir, WorkDir
from trainer.stages.fetch import fetch
from trainer.storage import Store, open_store
from trainer.weights import facts as weights


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A dataset of two images."""
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "Label.txt").write_text("labels", "utf-8")
    for name in ("1.jpg", "2.jpg"):
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    return WorkDir(tmp_path / "work")


def spec(source: Path, data: dict[str, Any] | None = None, **more: Any) -> RunSpec:
    raw = {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": source.as_uri() + "/", **(data or {})},
        "output": "s3://models/",
        **more,
    }
    return runspec.from_dict(RunSpec, raw, where="run")


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_a_dataset_comes_as_it_is_and_the_source_is_not_changed(source: Path, work: WorkDir) -> None:
    before = snapshot(source)
    facts = fetch(spec(source), work)
    assert {p.name: p.read_bytes() for p in work.train_data.iterdir()} == {k: v[0] for k, v in before.items()}
    assert snapshot(source) == before
    assert (facts["train"]["files"], facts["train"]["moved_files"]) == (3, 3)
    assert fetch(spec(source), work)["train"]["moved_files"] == 0


def test_the_digest_names_the_contents(source: Path, work: WorkDir, tmp_path: Path) -> None:
    """Two nodes that have the same data agree on it, wherever and whenever each has fetched it."""
    first = fetch(spec(source), work)["digest"]
    assert fetch(spec(source), WorkDir(tmp_path / "another-node"))["digest"] == first
    (source / "Label.txt").write_text("changed", "utf-8")
    assert fetch(spec(source), work)["digest"] != first


def test_an_edit_of_the_source_reaches_only_the_next_fetch(source: Path, work: WorkDir) -> None:
    fetch(spec(source), work)
    (source / "Label.txt").write_text("edited by an open PPOCRLabel", "utf-8")
    assert (work.train_data / "Label.txt").read_text("utf-8") == "labels"


@pytest.mark.parametrize("field", ["train", "eval"])
def test_an_empty_location_is_refused_by_its_name(source: Path, work: WorkDir, tmp_path: Path, field: str) -> None:
    with pytest.raises(DatasetError, match=rf"run\.data\.{field} is 'file://.*nothing'.* there are no objects there"):
        fetch(spec(source, {field: (tmp_path / "nothing").as_uri()}), work)


def test_dictionary_and_evaluation_set_are_fetched_when_they_are_named(source: Path, work: WorkDir) -> None:
    (source.parent / "dict 1.txt").write_text("a\nb\n", "utf-8")
    dictionary = (source.parent / "dict 1.txt").as_uri()
    fetch(spec(source, {"eval": source.as_uri(), "dictionary": dictionary}), work)
    assert work.given_dictionary.read_text("utf-8") == "a\nb\n"
    assert (work.eval_data / "1.jpg").exists()


def test_a_missing_file_is_refused_by_its_field(source: Path, work: WorkDir) -> None:
    with pytest.raises(
        NotFoundError, match=r"run\.data\.dictionary is 'file://.*none\.txt', but that object does not exist"
    ):
        fetch(spec(source, {"dictionary": (source / "none.txt").as_uri()}), work)


def test_weights_are_taken_only_with_their_digest(source: Path, work: WorkDir) -> None:
    (source.parent / "x.pdparams").write_bytes(b"weights")
    uri = (source.parent / "x.pdparams").as_uri()
    right = hashlib.sha256(b"weights").hexdigest()
    fetch(spec(source, init={"pretrained": uri, "sha256": right}), work)
    assert work.pretrained.read_bytes() == b"weights"
    with pytest.raises(SpecError, match=f"run.init.sha256 is {'0' * 64}, but .* is {right}"):
        fetch(spec(source, init={"pretrained": uri, "sha256": "0" * 64}), work)
    assert not work.pretrained.exists()
    assert not work.pretrained_facts.exists()


def by_channel(tmp_path: Path, *, promise: bytes = b"weights") -> Store:
    """An output whose channel leads to published weights; the manifest promises these."""
    store = open_store((tmp_path / "output").as_uri())
    store.put("runs/lines-1/1/weights/model.pdparams", b"weights")
    digest = hashlib.sha256(promise).hexdigest()
    manifest = Manifest(
        run="lines-1",
        name="lines",
        task="rec",
        attempt=1,
        created="2026-01-01T00:00:00.000Z",
        recipe="rec-crnn-mobile",
        model_name="x",
        metrics={},
        split="test",
        samples=1,
        dataset="d" * 64,
        files=(PublishedFile(path="1/weights/model.pdparams", size=7, sha256=digest),),
    )
    manifests.create(store, manifest)
    channels.promote(store, "lines-1", "production")
    return store


def test_weights_come_by_channel_with_what_is_known_of_them(source: Path, work: WorkDir, tmp_path: Path) -> None:
    store = by_channel(tmp_path)
    run = spec(source, output=store.uri, distill={"teacher": "channel:production"})
    facts = fetch(run, work, notes=store.below("checkpoints/lines-2"))
    assert work.teacher.read_bytes() == b"weights"
    assert json.loads(work.teacher_facts.read_text("utf-8"))["run"] == "lines-1"
    assert facts["weights"]["teacher"]["run"] == "lines-1"
    assert not work.gathering(work.teacher).exists()
    weights.require(work.teacher, work.teacher_facts)


def test_weights_that_are_not_as_their_manifest_says_are_refused(source: Path, work: WorkDir, tmp_path: Path) -> None:
    store = by_channel(tmp_path, promise=b"what was published")
    run = spec(source, output=store.uri, distill={"teacher": "channel:production"})
    with pytest.raises(SpecError, match=r"model\.pdparams' is not the file that run lines-1 published"):
        fetch(run, work, notes=store.below("checkpoints/lines-2"))
    assert not work.teacher.exists()
    assert not work.teacher_facts.exists()
    assert not list(work.shared_weights.glob("*"))
    assert not list(work.root.rglob("*.pdparams")), "a pickle can run code: none is left that nobody vouches for"


def test_runs_of_a_machine_share_weights_and_a_removed_source_does_not_matter(source: Path, tmp_path: Path) -> None:
    """As `ocrfleet run` lays them out: a folder for each run, beside one for all weights."""
    path = source.parent / "x.pdparams"
    path.write_bytes(b"weights")
    init = {"pretrained": path.as_uri(), "sha256": hashlib.sha256(b"weights").hexdigest()}
    works = []
    for name in ("slips-1", "slips-2"):
        folder = LocalRunDir(tmp_path / "runs" / name)
        folder.root.mkdir(parents=True)
        folder.lock.touch()
        works.append(folder.node(0))
    facts = fetch(spec(source, init=init), works[0])
    assert facts["pretrained"]["moved_files"] == 1
    path.unlink()
    again = fetch(spec(source, init=init), works[1])
    assert (again["pretrained"]["moved_files"], again["digest"]) == (0, facts["digest"])
    assert works[0].pretrained.samefile(works[1].pretrained)
    assert works[0].shared_weights == tmp_path / "runs" / "weights"


def test_the_runs_of_a_pods_volume_share_weights_in_it(work: WorkDir) -> None:
    assert work.shared_weights == work.data / "weights"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"1.jpg": "0" * 64}, "'1.jpg' has changed"),
        ({"3.jpg": "0" * 64}, "'3.jpg' is missing"),
        ({"2.jpg": None}, "'2.jpg' is not listed"),
        ({".git/config": "0" * 64}, None),
    ],
    ids=["as it says", "other content", "missing", "unlisted", "hidden"],
)
def test_a_dataset_with_a_manifest_must_be_as_it_says(
    source: Path, work: WorkDir, change: dict[str, str | None], said: str | None
) -> None:
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in source.iterdir()} | change
    files = [{"path": name, "sha256": value} for name, value in digests.items() if value]
    (source / "manifest.json").write_text(json.dumps({"files": files}), "utf-8")
    if said is None:
        assert fetch(spec(source), work)["train"]["files"] == 4
        return
    with pytest.raises(DatasetError, match=said):
        fetch(spec(source), work)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"files": [{"path": 1, "sha256": 2}]}', b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(source: Path, work: WorkDir, data: bytes) -> None:
    (source / "manifest.json").write_bytes(data)
    with pytest.raises(DatasetError, match="is not a dataset manifest"):
        fetch(spec(source), work)
