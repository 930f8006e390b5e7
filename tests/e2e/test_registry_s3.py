"""Fetching and publishing against a real S3 server, with writers that meet."""

import hashlib
import json
import os
import select
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from examples.local_s3 import Server, local_s3
from trainer.errors import DatasetError, NotFoundError
from trainer.registry import manifests
from trainer.registry import models as registry
from trainer.registry.models import Manifest, PublishedFile
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.stages.fetch import fetch
from trainer.storage import Store, open_store


@pytest.fixture
def store(bucket: str) -> Store:
    return open_store(bucket + "models/lines")


def published(store: Store, run: str, *, attempt: int = 1) -> Manifest:
    data = f"model of attempt {attempt}".encode()
    name = f"{attempt}/inference/inference.yml"
    store.put(f"runs/{run}/{name}", data)
    file = PublishedFile(path=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    return manifests.create(store, manifest(run, attempt=attempt, file=file))


def manifest(run: str, *, attempt: int, file: PublishedFile) -> Manifest:
    return Manifest(
        run=run,
        name="lines",
        task="rec",
        attempt=attempt,
        created=manifests.now(),
        recipe="rec-crnn-mobile",
        model_name="PP-OCRv3_mobile_rec",
        metrics={"acc": 0.9},
        split="test",
        samples=10,
        dataset="d" * 64,
        files=(file,),
    )


def spec(train: str, **more: Any) -> RunSpec:
    raw = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": train}, "output": "s3://models/", **more}
    return runspec.from_dict(RunSpec, raw, where="run")


def test_attempts_that_publish_at_once_make_one_manifest(store: Store, bucket: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda n: published(open_store(store.uri), "lines-1", attempt=n), range(1, 9)))
    assert len({manifest.attempt for manifest in held}) == 1
    manifest, _ = registry.pull(store, "lines-1", tmp_path / "model")
    assert manifest == held[0]
    content = (tmp_path / "model" / "inference" / "inference.yml").read_text("utf-8")
    assert content == f"model of attempt {manifest.attempt}"


def test_two_writers_of_a_channel_make_one_history_with_both(store: Store) -> None:
    for run in ("lines-1", "lines-2"):
        published(store, run)
    registry.promote(store, "lines-1", "production")
    for round_ in range(5):
        with ThreadPoolExecutor(2) as pool:
            list(
                pool.map(
                    lambda run, channel: registry.promote(open_store(store.uri), run, channel),
                    ("lines-1", "lines-2"),
                    (f"race-{round_}", f"race-{round_}"),
                )
            )
        channel = next(c for c in registry.list_channels(store) if c.name == f"race-{round_}")
        assert sorted(promotion.run for promotion in channel.history) == ["lines-1", "lines-2"]


def test_models_are_listed_and_shown_from_a_bucket(store: Store) -> None:
    assert registry.list_models(store) == []
    published(store, "lines-1")
    registry.promote(store, "lines-1", "production")
    assert [model.run for model in registry.list_models(store)] == ["lines-1"]
    assert registry.show(store, "production").run == "lines-1"
    with pytest.raises(NotFoundError, match="no published run or channel 'candidate'"):
        registry.show(store, "candidate")
    with pytest.raises(NotFoundError, match="bucket 'no-such-bucket' does not exist"):
        registry.exists(open_store("s3://no-such-bucket/"), "lines-1")


def test_a_dataset_with_its_manifest_is_fetched_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket + "data")
    contents = {f"crop_img/{n}.jpg": os.urandom(2000) for n in range(50)} | {"rec_gt.txt": "é\n".encode()}
    for key, data in contents.items():
        store.put(key, data)
    listed = [{"path": key, "sha256": hashlib.sha256(data).hexdigest()} for key, data in contents.items()]
    store.put("manifest.json", json.dumps({"files": listed}).encode())
    work = WorkDir(tmp_path / "work")
    facts = fetch(spec(bucket + "data/"), work)
    assert facts["train"]["files"] == 52
    assert (work.train_data / "crop_img" / "7.jpg").read_bytes() == contents["crop_img/7.jpg"]
    assert fetch(spec(bucket + "data"), work)["train"]["moved_files"] == 0
    store.put("crop_img/7.jpg", b"another")
    with pytest.raises(DatasetError, match=r"'crop_img/7\.jpg' has changed"):
        fetch(spec(bucket + "data"), work)


def test_an_empty_prefix_and_a_missing_bucket_are_told_apart(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"run\.data\.train is '{bucket}nothing/'"):
        fetch(spec(bucket + "nothing/"), WorkDir(tmp_path / "a"))
    with pytest.raises(NotFoundError, match="bucket 'no-such-bucket' does not exist at http://127"):
        fetch(spec("s3://no-such-bucket/x/"), WorkDir(tmp_path / "b"))


def test_weights_come_from_a_bucket(bucket: str, tmp_path: Path) -> None:
    open_store(bucket).put("pretrained/x.pdparams", b"weights")
    open_store(bucket).put("train/Label.txt", b"")
    init = {"pretrained": bucket + "pretrained/x.pdparams", "sha256": hashlib.sha256(b"weights").hexdigest()}
    work = WorkDir(tmp_path / "work")
    fetch(spec(bucket + "train/", init=init), work)
    assert work.pretrained.read_bytes() == b"weights"
    with pytest.raises(NotFoundError, match=r"run\.init\.pretrained is .*, but that object does not exist"):
        fetch(spec(bucket + "train/", init={**init, "pretrained": bucket + "pretrained/y.pdparams"}), WorkDir(tmp_path))


def test_nodes_that_fetch_while_a_channel_moves_have_one_teacher(store: Store, bucket: str, tmp_path: Path) -> None:
    """And so has one that comes hours later, when the channel has led elsewhere for long."""
    open_store(bucket).put("train/Label.txt", b"")
    for run in ("lines-1", "lines-2"):
        data = f"weights of {run}".encode()
        store.put(f"runs/{run}/1/weights/model.pdparams", data)
        file = PublishedFile(path="1/weights/model.pdparams", size=len(data), sha256=hashlib.sha256(data).hexdigest())
        manifests.create(store, manifest(run, attempt=1, file=file))
    registry.promote(store, "lines-1", "production")
    run = spec(bucket + "train/", output=store.uri, distill={"teacher": "channel:production"})
    works = [WorkDir(tmp_path / f"node-{rank}" / "work") for rank in range(6)]

    def node(work: WorkDir) -> str:
        fetch(run, work, notes=open_store(f"{store.uri}checkpoints/taught-1"))
        return work.teacher.read_text("utf-8")

    with ThreadPoolExecutor(6) as pool:
        nodes = [pool.submit(node, work) for work in works[:5]]
        for number in range(6):
            registry.promote(store, f"lines-{2 - number % 2}", "production")
        (agreed,) = {each.result() for each in nodes}
    other = "lines-2" if agreed.endswith("lines-1") else "lines-1"
    registry.promote(store, other, "production")
    assert node(works[5]) == agreed


def test_the_server_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    """However it ends: nothing is left over after a test run or a demo that was killed."""
    code = (
        "import pathlib, sys; from examples.local_s3 import local_s3\n"
        "with local_s3(pathlib.Path(sys.argv[1])) as s: print(s.pid, flush=True), sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as program:
        assert program.stdout
        server = int(program.stdout.readline())
        watch = os.pidfd_open(server)
        try:
            program.send_signal(signal.SIGKILL)
            assert select.select([watch], [], [], 10)[0]  # readable when the process has ended
        finally:
            os.close(watch)


def test_what_the_server_acknowledged_is_there_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def use(server: Server) -> Store:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return open_store("s3://kept/")

    with local_s3(tmp_path, buckets=["kept"]) as server:
        use(server).put("x", b"1")
    with local_s3(tmp_path, buckets=["kept"]) as server:
        assert use(server).get("x") == b"1"
