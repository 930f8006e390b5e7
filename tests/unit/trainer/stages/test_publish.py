"""The gate, the record, and the order in which a model is published; on a folder."""

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from trainer import contract
from trainer.errors import ConflictError, GateError, NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.formats.yaml import to_yaml
from trainer.registry import models as registry
from trainer.run import spec as runspec
from trainer.run.assignment import Assignment
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.stages.publish import distillation_of, publish
from trainer.state.receipts import Receipt
from trainer.storage import Store, open_store
from trainer.storage.files import FileStore
from trainer.weights.facts import Origin

SECRET = "not-to-be-seen-anywhere"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "output").as_uri())


def finished(root: Path, *, acc: float = 0.9) -> WorkDir:
    """A work folder as verify leaves it."""
    work = WorkDir(root)
    for folder in (work.prepared, work.trained, work.evaluation, work.verification, work.inference, work.report):
        folder.mkdir(parents=True)
    dataset = {"task": "rec", "digest": "d" * 64, "counts": {"test": 10}, "max_text_length": 5, "refused": []}
    (work.prepared / "dataset.json").write_text(json.dumps(dataset), "utf-8")
    (work.prepared / "dictionary.txt").write_text("a\nb\n", "utf-8")
    work.training_facts.write_text(json.dumps({"history": {"loss": []}, "steps": 7}), "utf-8")
    work.best_weights.write_bytes(b"weights")
    work.weights.mkdir()
    work.published_weights.write_bytes(b"weights for PaddleOCR")
    facts = {"split": "test", "samples": 10, "metrics": {"acc": acc, "norm_edit_dis": 0.97}, "seconds": 1.0}
    work.evaluation_facts.write_text(json.dumps(facts), "utf-8")
    work.verification_facts.write_text(json.dumps({"pair": "loaded"}), "utf-8")
    (work.inference / "inference.json").write_text("{}", "utf-8")
    (work.inference / "inference.pdiparams").write_bytes(b"params")
    (work.inference / "inference.yml").write_text("Global:\n  model_name: PP-OCRv3_mobile_rec\n", "utf-8")
    (work.report / "report.md").write_text("# report", "utf-8")
    Receipt(stage="train", fingerprint="f", outputs={}, facts={}, seconds=1800.0).write(work)
    return work


def run_spec(store: Store, **more: Any) -> RunSpec:
    raw = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://data/"}, "output": store.uri, **more}
    return runspec.from_dict(RunSpec, raw, where="run")


def assigned(run: RunSpec, work: WorkDir, run_id: str = "lines-00000001") -> Assignment:
    """The run as its node was given it."""
    work.run_file.write_text(
        to_yaml({"apiVersion": contract.API_VERSION, "name": "lines", "run": runspec.to_dict(run)}), "utf-8"
    )
    work.configuration.write_text("Global: {epoch_num: 1}\n", "utf-8")
    return Assignment(name="lines", run=run, run_id=run_id, work=work, topology=Topology(devices_per_node=2))


Publish = Callable[..., dict[str, Any]]


@pytest.fixture
def go(tmp_path: Path, store: Store) -> Publish:
    """Publish a finished run; each call has its own work folder."""
    made = iter(range(100))

    def deed(run_id: str = "lines-00000001", *, acc: float = 0.9, attempt: int = 1, **more: Any) -> dict[str, Any]:
        run = run_spec(store, **more)
        return publish(assigned(run, finished(tmp_path / f"work-{next(made)}", acc=acc), run_id), attempt=attempt)

    return deed


def test_a_published_model_is_whole_and_named_by_its_manifest(go: Publish, store: Store, tmp_path: Path) -> None:
    facts = go()
    assert (facts["ours"], facts["attempt"], facts["files"]) == (True, 1, 5)
    manifest, _ = registry.pull(store, "lines-00000001", tmp_path / "model")
    assert [file.name for file in manifest.files] == [
        "inference/inference.json",
        "inference/inference.pdiparams",
        "inference/inference.yml",
        "record.json",
        "report/report.md",
    ]
    assert manifest.model_name == "PP-OCRv3_mobile_rec"
    assert manifest.metrics == {"acc": 0.9, "norm_edit_dis": 0.97}
    assert (manifest.split, manifest.samples, manifest.dataset) == ("test", 10, "d" * 64)


@pytest.mark.parametrize("name", ["inference/inference.yml", "report/report.md", "report/more"])
def test_no_file_is_published_that_a_worker_links_to(store: Store, tmp_path: Path, name: str) -> None:
    work = finished(tmp_path / "work")
    (tmp_path / "work" / name).unlink(missing_ok=True)
    (tmp_path / "work" / name).symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text("Global: {}", "utf-8")
    with pytest.raises(OcrfleetError, match=rf"{name} is a symbolic link"):
        publish(assigned(run_spec(store), work), attempt=1)
    assert store.list() == []


@pytest.mark.parametrize(
    "name",
    ["configuration.yml", "run.yaml", "verification/verification.json", "trained/training.json", "pretrained.json"],
)
def test_no_file_that_a_worker_links_to_is_copied_into_the_record(store: Store, tmp_path: Path, name: str) -> None:
    """Such as the token of the pod, which is a whole document of YAML."""
    given = assigned(run_spec(store), finished(tmp_path / "work"))
    (tmp_path / "work" / name).unlink(missing_ok=True)
    (tmp_path / "work" / name).symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_text(json.dumps({"token": SECRET}), "utf-8")
    with pytest.raises(OcrfleetError, match=rf"{name} is a symbolic link") as caught:
        publish(given, attempt=1)
    assert SECRET not in str(caught.value)
    assert store.list() == []


def test_weights_are_published_when_they_are_asked_for(go: Publish, store: Store, tmp_path: Path) -> None:
    """With the dictionary, which says what the outputs of a recogniser's head stand for."""
    go("lines-1")
    assert not [file for file in registry.show(store, "lines-1").files if file.name.startswith("weights/")]
    go("lines-2", publish={"weights": True})
    registry.pull(store, "lines-2", tmp_path, parts=["weights"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "weights").iterdir()} == {
        "model.pdparams": b"weights for PaddleOCR",
        "dictionary.txt": b"a\nb\n",
    }


def test_a_detectors_weights_have_no_dictionary(store: Store, tmp_path: Path) -> None:
    work = finished(tmp_path / "work")
    dataset = json.loads((work.prepared / "dataset.json").read_text("utf-8"))
    (work.prepared / "dataset.json").write_text(json.dumps({**dataset, "task": "det"}), "utf-8")
    facts = {"split": "test", "samples": 10, "metrics": {"hmean": 0.9}}
    work.evaluation_facts.write_text(json.dumps(facts), "utf-8")
    run = run_spec(store, task="det", recipe="det-db-mobile", publish={"weights": True})
    publish(assigned(run, work), attempt=1)
    names = [file.name for file in registry.show(store, "lines-00000001").files]
    assert [name for name in names if name.startswith("weights/")] == ["weights/model.pdparams"]


def test_a_distillation_is_told_in_manifest_and_record(store: Store, tmp_path: Path) -> None:
    """Every network's figures at each evaluation are in the record, the rest in the manifest."""
    work = finished(tmp_path / "work")
    metrics = {"Student": {"acc": 0.9}, "Teacher": {"acc": 0.95}}
    about = {name: {"parameters": 7, "frozen": name == "Teacher", "metrics": metrics[name]} for name in metrics}
    told = {"networks": about, "picked": "Student", "why": "It learns.", "fine_tuned_epochs": 0}
    evaluation = {"step": 7, "epoch": 1, "best": True, "metrics": {"acc": 0.9}, "networks": metrics}
    facts = {"history": {"loss": [], "eval": [evaluation]}, "distillation": told}
    work.training_facts.write_text(json.dumps(facts), "utf-8")
    given = assigned(run_spec(store, distill={"baseline": "lines-0"}), work)
    publish(given, attempt=1, distilled=distillation_of(given))
    found = registry.show(store, "lines-00000001").distillation
    assert found
    assert found.picked == "Student"
    assert found.gain
    assert "run lines-0 is not published" in found.gain.said
    record = json.loads(store.get("runs/lines-00000001/1/record.json"))
    assert record["metrics"]["training"]["evaluations"] == [evaluation]


def test_the_record_says_what_a_channel_led_to(store: Store, tmp_path: Path) -> None:
    """The job file alone would not repeat the run once the channel has moved."""
    work = finished(tmp_path / "work")
    origin = Origin(uri="s3://b/x.pdparams", sha256="a" * 64, run="lines-0")
    origin.write(work.teacher_facts)
    publish(assigned(run_spec(store), work), attempt=1)
    record = json.loads(store.get("runs/lines-00000001/1/record.json"))
    assert record["weights"] == {"teacher": vars(origin)}


def test_the_record_repeats_the_run_and_holds_no_secret(
    go: Publish, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "OCRFLEET_PASSWORD", "HTTP_PROXY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    go()
    record = json.loads(store.get("runs/lines-00000001/1/record.json"))
    assert record["job"]["run"]["recipe"] == "rec-crnn-mobile"
    assert record["configuration"] == {"Global": {"epoch_num": 1}}
    assert (record["seed"], record["image"], record["dataset"]["digest"]) == (42, "", "d" * 64)
    assert record["metrics"]["training"] == {"steps": 7}
    assert record["seconds"] == {"train": 1800.0}
    assert (record["devices"], record["device_hours"]) == (2, 1.0)
    assert record["packages"]["numpy"]
    assert record["code"].startswith("0.")
    assert record["environment"]["OMP_NUM_THREADS"] == "3"
    for info in store.list():
        assert SECRET.encode() not in store.get(info.key), info.key


def test_a_model_below_the_minimum_is_not_published(go: Publish, store: Store) -> None:
    with pytest.raises(
        GateError, match=r"acc on the test split \(10 samples\) is 0\.8990, but run\.gate\.minimum is 0\.9"
    ):
        go(acc=0.899, gate={"minimum": 0.9})
    assert store.list() == []


@pytest.mark.parametrize("gate", [{}, {"notWorseThan": "empty"}, {"metric": "acc"}])
def test_a_model_that_reads_nothing_is_not_published(go: Publish, store: Store, gate: dict[str, Any]) -> None:
    with pytest.raises(GateError, match=r"acc on the test split \(10 samples\) is 0\.0000: the model reads nothing"):
        go(acc=0.0, gate=gate)
    assert store.list() == []


def test_a_model_that_reads_nothing_is_published_if_the_minimum_is_zero(go: Publish) -> None:
    assert go(acc=0.0, gate={"minimum": 0})["gate"] == {"metric": "acc", "value": 0.0, "minimum": 0}


def test_a_model_that_reads_hardly_anything_is_published_without_a_minimum(go: Publish) -> None:
    assert go(acc=0.0001)["gate"]["value"] == 0.0001


def test_a_model_that_just_reaches_what_is_asked_for_is_published(go: Publish, store: Store) -> None:
    facts = go("lines-1", acc=0.75, gate={"minimum": 0.75}, publish={"promote": "production"})
    assert facts["gate"] == {"metric": "acc", "value": 0.75, "minimum": 0.75}
    # All three are exact in binary.
    compared = go("lines-2", acc=0.5, gate={"notWorseThan": "production", "tolerance": 0.25})["gate"]
    assert compared == {
        "metric": "acc",
        "value": 0.5,
        "minimum": None,
        "channel": "production",
        "channel_run": "lines-1",
        "channel_value": 0.75,
    }
    facts = go("lines-3", gate={"notWorseThan": "empty"})
    assert (facts["gate"]["channel"], facts["gate"]["channel_run"]) == ("empty", None)


@pytest.mark.parametrize("harm", ["lost", "cut"])
def test_a_model_that_the_store_does_not_have_whole_is_not_published(
    go: Publish, store: Store, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """The manifest would name a file that nobody can pull."""
    whole = FileStore.push

    def push(self: FileStore, files: dict[str, Path], progress: Any = None, **named: Any) -> Any:
        moved = whole(self, files, progress, **named)
        (path,) = self.root.rglob("inference.pdiparams")
        path.unlink() if harm == "lost" else path.write_bytes(b"para")
        return moved

    monkeypatch.setattr(FileStore, "push", push)
    with pytest.raises(TransientError, match=r"inference\.pdiparams was uploaded, but"):
        go()
    assert registry.list_models(store) == []


def test_a_manifest_names_the_recipe_or_says_that_the_job_brought_its_own(store: Store, tmp_path: Path) -> None:
    publish(assigned(run_spec(store), finished(tmp_path / "1"), "lines-1"), attempt=1)
    inline = run_spec(store, recipe=None, config={"Global": {}})
    publish(assigned(inline, finished(tmp_path / "2"), "lines-2"), attempt=1)
    assert [registry.show(store, run).recipe for run in ("lines-1", "lines-2")] == ["rec-crnn-mobile", "config"]


def test_what_is_published_is_told_in_full(go: Publish, store: Store) -> None:
    facts = go(attempt=3)
    manifest = registry.show(store, "lines-00000001")
    assert {**facts, "bytes": 0} == {
        "run": "lines-00000001",
        "attempt": 3,
        "ours": True,
        "manifest": f"{store.uri}runs/lines-00000001/manifest.json",
        "files": len(manifest.files),
        "bytes": 0,
        "metrics": {"acc": 0.9, "norm_edit_dis": 0.97},
        "gate": {"metric": "acc", "value": 0.9, "minimum": None},
        "channel": None,
    }
    assert facts["bytes"] == sum(info.size for info in store.list("runs/lines-00000001/3"))
    assert (manifest.name, manifest.task, manifest.attempt) == ("lines", "rec", 3)
    assert {file.path: file.sha256 for file in manifest.files} == {
        f"3/{file.name}": hashlib.sha256(store.get(f"runs/lines-00000001/3/{file.name}")).hexdigest()
        for file in manifest.files
    }


def test_the_bytes_that_are_pushed_are_shown(store: Store, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    given = assigned(run_spec(store), finished(tmp_path / "work"))
    facts = publish(given, attempt=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (facts["bytes"], facts["bytes"])


def test_a_channel_is_refused_before_anything_is_pushed_where_two_could_win_it(tmp_path: Path) -> None:
    """As by promote; here, hours of training would end in a model that is published and not promoted."""
    folder = tmp_path / "output"

    def put(self: FileStore, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return whole(self, key, data)

    whole = FileStore.put
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileStore, "put", put)
        store = open_store(folder.as_uri())
        run = run_spec(store, publish={"promote": "production"})
        with pytest.raises(SpecError, match=r"run\.publish\.promote is 'production'.*conditional"):
            publish(assigned(run, finished(tmp_path / "work")), attempt=1)
        assert store.list("runs") == []
        publish(assigned(run_spec(store), finished(tmp_path / "other")), attempt=1)
    assert registry.exists(store, "lines-00000001")


@pytest.mark.parametrize("part", ["evaluation", "verification", "inference.json", "inference.pdiparams"])
def test_a_model_of_which_a_part_is_missing_is_not_published(store: Store, tmp_path: Path, part: str) -> None:
    work = finished(tmp_path / "work")
    files = {"evaluation": work.evaluation_facts, "verification": work.verification_facts}
    files.get(part, work.inference / part).unlink()
    with pytest.raises(GateError, match="is missing"):
        publish(assigned(run_spec(store), work), attempt=1)
    assert store.list() == []


def test_a_run_that_is_no_distillation_has_nothing_to_tell_of_one(store: Store, tmp_path: Path) -> None:
    assert distillation_of(assigned(run_spec(store), finished(tmp_path / "work"))) is None


def test_a_model_without_a_number_is_not_published(go: Publish, store: Store) -> None:
    with pytest.raises(GateError, match="is nan"):
        go(acc=float("nan"))
    assert store.list() == []


@pytest.mark.parametrize(("acc", "passes"), [(0.91, True), (0.899, True), (0.897, False)])
def test_a_model_may_be_worse_than_the_channels_by_the_tolerance(
    go: Publish, store: Store, acc: float, passes: bool
) -> None:
    gate = {"notWorseThan": "production", "tolerance": 0.002}
    go("lines-1", acc=0.9, gate=gate, publish={"promote": "production"})  # the first has nothing to be compared with
    if passes:
        assert go("lines-2", acc=acc, gate=gate)["gate"]["channel_run"] == "lines-1"
    else:
        with pytest.raises(GateError, match=r"channel 'production' \(lines-1\) has 0\.9000 on its own test split"):
            go("lines-2", acc=acc, gate=gate)
    assert registry.exists(store, "lines-2") is passes


def test_a_channel_of_the_other_task_cannot_be_compared_with(go: Publish, store: Store) -> None:
    go("lines-1", publish={"promote": "production"})
    run = registry.show(store, "lines-1")
    store.put("runs/lines-1/manifest.json", run.to_json().replace(b'"acc"', b'"hmean"'))
    with pytest.raises(SpecError, match="has no acc"):
        go("lines-2", gate={"notWorseThan": "production"})


def test_a_channel_is_set_after_the_manifest(go: Publish, store: Store) -> None:
    facts = go(publish={"promote": "candidate"})
    assert facts["channel"] == "candidate"
    assert registry.show(store, "candidate").run == "lines-00000001"


def test_a_model_that_was_not_verified_is_not_published(store: Store, tmp_path: Path) -> None:
    work = finished(tmp_path / "work")
    work.verification_facts.unlink()
    run = run_spec(store)
    with pytest.raises(GateError, match="not verified"):
        publish(assigned(run, work), attempt=1)
    assert store.list() == []


def test_what_another_attempt_has_published_stays(go: Publish, store: Store) -> None:
    go(attempt=1)
    before = {info.key: info.etag for info in store.list("runs")}
    facts = go(attempt=2, acc=0.99)
    assert (facts["ours"], facts["attempt"]) == (False, 1)
    assert {info.key: info.etag for info in store.list("runs")} == before


def test_attempts_that_publish_at_once_make_one_model(go: Publish, store: Store, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        facts = list(pool.map(lambda n: go(attempt=n, publish={"promote": "candidate"}), range(1, 5)))
    assert sum(each["ours"] for each in facts) == 1
    assert len({each["attempt"] for each in facts}) == 1
    manifest, _ = registry.pull(store, "candidate", tmp_path / "model")
    assert {file.path.partition("/")[0] for file in manifest.files} == {str(manifest.attempt)}
    assert len(registry.list_channels(store)[0].history) == 1


def test_what_another_attempt_has_left_is_not_replaced(go: Publish, store: Store) -> None:
    """Attempts are numbered anew when `checkpoints/<run>/` is gone; the next one has a folder of its own."""
    store.put("runs/lines-00000001/1/inference/inference.yml", b"of another start")
    with pytest.raises(ConflictError, match=r"/1/inference/inference\.yml already exists and was not overwritten"):
        go(attempt=1)
    assert store.get("runs/lines-00000001/1/inference/inference.yml") == b"of another start"
    assert registry.list_models(store) == []
    assert go(attempt=2)["ours"]


def test_a_push_that_breaks_publishes_nothing_and_can_be_run_again(
    go: Publish, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FileStore.push

    def broken(self: FileStore, files: dict[str, Path], progress: Any = None, **named: Any) -> Any:
        whole(self, dict(list(files.items())[:2]), **named)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileStore, "push", broken)
    with pytest.raises(OSError, match="No space left"):
        go(attempt=1)
    assert store.list() != []
    assert registry.list_models(store) == []
    with pytest.raises(NotFoundError):
        registry.show(store, "lines-00000001")
    monkeypatch.setattr(FileStore, "push", whole)
    assert go(attempt=2)["ours"]
