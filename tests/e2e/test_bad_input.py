"""Bad input ends a run early: its exit code, one sentence that says where, and nothing published."""

import json
import secrets
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.e2e.commands import job_file, ocrfleet
from trainer.contract import ExitCode

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
        case "path climbs out":
            lines[2] = f"../../secret.png\t{json.dumps(LABEL)}"
    write(pages, lines)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
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
    assert says in refused(tmp_path, code=ExitCode.DATASET)


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
