"""Bad input ends a run early: its exit code, one sentence that says where, and nothing published."""

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from examples.local_s3 import Server
from tests.e2e.commands import job_file, ocrfleet
from tests.proxy import Proxy
from tests.unit.trainer.stages.test_publish import assigned, finished, run_spec
from trainer.contract import ExitCode
from trainer.errors import TransientError
from trainer.registry import models as registry
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.stages import fetch as fetching
from trainer.stages.publish import publish
from trainer.storage import open_store

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 64))
LABEL = [{"transcription": "4711", "points": [[2, 2], [60, 2], [60, 20], [2, 20]], "difficult": False}]


@pytest.fixture
def pages(tmp_path) -> Path:
    """A PPOCRLabel export of five pages that nothing is wrong with."""
    folder = tmp_path / "bucket" / "data" / "pages"
    folder.mkdir(parents=True)
    image = np.full((64, 64, 3), 255, np.uint8)
    cv2.putText(image, "4711", (4, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0))
    for number in range(5):
        cv2.imwrite(str(folder / f"{number}.png"), image)
    write(folder, [line(number) for number in range(5)])
    return folder


def line(number: int, label=LABEL) -> str:
    return f"pages/{number}.png\t{json.dumps(label)}"


def write(folder: Path, lines: list[str | bytes]) -> None:
    content = b"\n".join(text if isinstance(text, bytes) else text.encode() for text in lines)
    (folder / "Label.txt").write_bytes(content + b"\n")


def refused(tmp_path: Path, *, code: ExitCode, job=None, **changes) -> str:
    """Run a job that must be refused; give the last words."""
    job = job or job_file(tmp_path, data=(tmp_path / "bucket" / "data").as_uri(), **changes)
    ended = ocrfleet("run", str(job), "--workdir", str(tmp_path / "runs"))
    assert ended.returncode == code, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    published = tmp_path / "bucket" / "models"
    assert not [p for p in published.rglob("*") if {"runs", "channels"} & set(p.relative_to(published).parts)]
    return ended.stderr


def spoil(kind: str, pages: Path) -> None:
    lines: list[str | bytes] = [line(number) for number in range(5)]
    match kind:
        case "empty dataset":
            for path in pages.iterdir():
                path.unlink()
            return
        case "no tab":
            lines[2] = str(lines[2]).replace("\t", " ")
        case "broken JSON":
            lines[2] = str(lines[2])[:-1]
        case "not UTF-8":
            lines[2] = b"pages/2.png\t" + json.dumps(LABEL).encode().replace(b"4711", b"caf\xe9")
        case "image missing":
            (pages / "2.png").unlink()
        case "image truncated":
            (pages / "2.png").write_bytes((pages / "2.png").read_bytes()[:60])
        case "image of no bytes":
            (pages / "2.png").write_bytes(b"")
        case "image of another format":
            (pages / "2.png").write_bytes(cv2.imencode(".jp2", np.zeros((64, 64, 3), np.uint8))[1].tobytes())
        case "region of two points":
            lines[2] = line(2, [{**LABEL[0], "points": [[2, 2], [60, 20]]}])
        case "region that crosses itself":
            lines[2] = line(2, [{**LABEL[0], "points": [[2, 2], [60, 20], [60, 2], [2, 20]]}])
        case "region beside the page":
            lines[2] = line(2, [{**LABEL[0], "points": [[102, 2], [160, 2], [160, 20], [102, 20]]}])
        case "path climbs out":
            lines[2] = f"../../secret.png\t{json.dumps(LABEL)}"
    write(pages, lines)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("image of no bytes", "Label.txt:3"),
        ("image of another format", "the file is a JPEG 2000 image"),
        ("region of two points", "Label.txt:3: a region has 2 points"),
        ("region that crosses itself", "Label.txt:3: a region crosses itself"),
        ("region beside the page", "Label.txt:3: a region lies outside the image"),
        ("empty dataset", "/bucket/data"),
        ("no tab", "Label.txt:3"),
        ("broken JSON", "Label.txt:3"),
        ("not UTF-8", "Label.txt:3"),
        ("image missing", "Label.txt:3"),
        ("image truncated", "Label.txt:3"),
        ("path climbs out", "Label.txt:3"),
    ],
)
def test_a_spoilt_dataset_is_refused_at_its_place(tmp_path, pages, kind, says):
    spoil(kind, pages)
    task = "det" if kind.startswith("region") else "rec"
    assert says in refused(tmp_path, code=ExitCode.DATASET, task=task)


def test_a_batch_that_is_never_full_is_found_before_training_starts(tmp_path, pages):
    words = refused(tmp_path, code=ExitCode.DATASET, batchSizePerDevice=4096)
    assert "3 training samples cannot fill one batch (4096 × 1 device)." in words
    assert "[train begun]" not in words


def test_a_dataset_without_a_sample_to_evaluate_on_is_refused(tmp_path, pages):
    words = refused(tmp_path, code=ExitCode.DATASET, sets=["run.data.split=1:0:0"])
    assert "has no usable sample to evaluate on" in words


def test_another_dataset_than_the_pinned_one_is_refused(tmp_path, pages):
    assert "run.data.digest is aaaa" in refused(tmp_path, code=ExitCode.DATASET, sets=[f"run.data.digest={'a' * 64}"])


def test_other_weights_than_the_pinned_ones_are_refused(tmp_path, pages):
    (tmp_path / "x.pdparams").write_bytes(b"a pickle that is never opened")
    init = f"run.init={{pretrained: '{(tmp_path / 'x.pdparams').as_uri()}', sha256: {'a' * 64}}}"
    assert "run.init.sha256 is aaaa" in refused(tmp_path, code=ExitCode.SPEC, sets=[init])


@pytest.mark.parametrize(
    ("content", "says"),
    [("", "d.txt:1 has no character"), ("4\n7\n", "lacks characters")],
    ids=["empty", "too short"],
)
def test_a_dictionary_that_will_not_do_is_refused(tmp_path, pages, content, says):
    (tmp_path / "d.txt").write_text(content)
    sets = [f"run.data.dictionary={(tmp_path / 'd.txt').as_uri()}"]
    assert says in refused(tmp_path, code=ExitCode.DATASET, sets=sets)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("#" * 10_000_000, "is larger than 1,000,000 bytes"),
        (BOMB, "has more than 20,000 values"),
        ("name: a\nname: b\n", "the key 'name' appears twice"),
    ],
    ids=["10 MB", "a YAML bomb", "a key twice"],
)
def test_a_file_that_is_no_job_file_is_refused(tmp_path, content, says):
    (tmp_path / "bad.yaml").write_text(content)
    assert says in refused(tmp_path, code=ExitCode.SPEC, job=tmp_path / "bad.yaml")


def test_labels_that_the_dictionary_cannot_spell_are_refused(tmp_path, pages):
    (tmp_path / "letters.txt").write_text("a\nb\nc\n")
    dictionary = (tmp_path / "letters.txt").as_uri()
    words = refused(tmp_path, code=ExitCode.DATASET, sets=[f"run.data.dictionary={dictionary}"])
    assert "dictionary" in words
    assert "4" in words


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["run.recipe=rec-crnn-mobil"], "Did you mean 'rec-crnn-mobile'?"),
        ([r"run.overrides.Optimizer\.lr\.learning_rat=1"], "Did you mean 'Optimizer.lr.learning_rate'?"),
        (["run.train.epoch=1"], "run.train.epoch is not a field. Did you mean 'epochs'?"),
        (["run.task=cls"], "run.task is 'cls'"),
        (["placement.engine=slurm"], "placement.engine is 'slurm'"),
    ],
    ids=["recipe", "override", "field", "enum", "placement"],
)
def test_a_wrong_word_in_the_job_file_is_refused_with_the_right_one(tmp_path, pages, sets, says):
    assert says in refused(tmp_path, code=ExitCode.SPEC, sets=sets)


def test_a_bucket_that_does_not_exist_is_named(tmp_path, bucket):
    missing = f"no-such-{secrets.token_hex(3)}"
    job = job_file(tmp_path, data=f"s3://{missing}/pages/", output=f"{bucket}models/")
    assert missing in refused(tmp_path, code=ExitCode.SPEC, job=job)


def test_refused_access_says_so_without_the_key(tmp_path, bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-wrong-key")
    job = job_file(tmp_path, data=f"{bucket}pages/", output=f"{bucket}models/")
    words = refused(tmp_path, code=ExitCode.ACCESS, job=job)
    assert bucket.split("/")[2] in words
    assert "canary" not in words


def test_an_endpoint_that_is_down_is_worth_a_retry(tmp_path, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    job = job_file(tmp_path, data=f"{bucket}pages/", output=f"{bucket}models/")
    assert "127.0.0.1:9" in refused(tmp_path, code=ExitCode.TRANSIENT, job=job)


def test_a_line_that_breaks_in_the_middle_of_an_image_leaves_no_half_image(
    tmp_path: Path, bucket: str, s3_server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken some times the pull goes on by itself; with the server gone it is worth a retry, which goes on."""
    contents = {"Label.txt": b"labels"} | {f"{n}.jpg": secrets.token_bytes(400_000) for n in range(6)}
    for key, content in contents.items():
        open_store(f"{bucket}data/").put(key, content)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(fetching, "open_store", partial(open_store, patience=2))
    raw = {"task": "rec", "recipe": "any", "data": {"train": f"{bucket}data/"}, "output": f"{bucket}models/"}
    run = runspec.from_dict(RunSpec, raw, where="run")

    def there(work: WorkDir) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in work.train_data.iterdir()}

    proxy.cuts, proxy.budget = 10, 100_000
    fetching.fetch(run, WorkDir(tmp_path / "patient"))
    assert proxy.cuts == 0
    assert there(WorkDir(tmp_path / "patient")) == contents

    def lose(done: int, total: int) -> None:
        if done:
            proxy.close()

    work = WorkDir(tmp_path / "work")
    proxy.cuts, proxy.budget = 1 << 30, 100_000
    with pytest.raises(TransientError, match=r"then run it again\. It resumes where it left off") as ended:
        fetching.fetch(run, work, lose)
    assert ended.value.exit_code == ExitCode.TRANSIENT
    assert there(work).items() <= contents.items()
    assert len(there(work)) < len(contents)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    assert fetching.fetch(run, work)["train"]["moved_files"] < len(contents)
    assert there(work) == contents


def test_of_two_starts_that_publish_one_run_at_once_one_wins_and_the_other_learns_it(
    tmp_path: Path, bucket: str
) -> None:
    store = open_store(f"{bucket}models/")
    run = run_spec(store, publish={"promote": "candidate"})

    def start(attempt: int) -> dict:
        return publish(assigned(run, finished(tmp_path / f"work-{attempt}")), attempt=attempt)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(start, (1, 2))
    assert sorted([first["ours"], second["ours"]]) == [False, True]
    assert first["attempt"] == second["attempt"]
    manifest, _ = registry.pull(store, "candidate", tmp_path / "model")
    assert manifest.attempt == first["attempt"]
    assert [promotion.run for promotion in registry.list_channels(store)[0].history] == ["lines-00000001"]
