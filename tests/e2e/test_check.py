"""`ocrfleet check` and `data` against a real S3 server."""

import json

import pytest

from tests.e2e.commands import job_file, ocrfleet
from trainer.storage import open_store

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("OCRFLEET_CACHE", str(tmp_path / "cache"))


def test_a_job_on_a_bucket_is_checked_without_a_trace_in_it(tmp_path, data, bucket):
    job = job_file(tmp_path, data=data, output=f"{bucket}models/")
    before = open_store(bucket).list()
    ended = ocrfleet("check", str(job), "-o", "json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    said = " ".join(finding["text"] for finding in json.loads(ended.stdout)["findings"])
    assert "is writable and supports the conditional writes that channels need" in said
    assert "6 images" in said
    assert open_store(bucket).list() == before


def test_a_dataset_is_fetched_once(data):
    first, second = (ocrfleet("data", "check", data, "-o", "json") for _ in range(2))
    assert first.returncode == second.returncode == 0
    assert json.loads(first.stdout) == json.loads(second.stdout)


def test_a_missing_bucket_and_a_missing_dataset_are_two_errors(tmp_path, bucket):
    job = job_file(tmp_path, data=f"{bucket}nothing/", output="s3://no-such-bucket-here/models/")
    ended = ocrfleet("check", str(job))
    assert ended.returncode == 40
    assert "no-such-bucket-here" in ended.stdout
    assert f"'{bucket}nothing/' has no object" in ended.stdout
    assert "The job cannot run: 2 errors." in ended.stdout


def test_refused_access_is_said_without_the_key(tmp_path, data, bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-5e0c")
    ended = ocrfleet("check", str(job_file(tmp_path, data=data, output=f"{bucket}models/")))
    assert ended.returncode == 42
    assert "canary-5e0c" not in ended.stdout + ended.stderr
