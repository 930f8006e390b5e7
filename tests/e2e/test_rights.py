"""The example policies hold: a run does all its work with the rights of `train`, and changes nothing of others."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from examples.local_s3 import Server
from tests.e2e.commands import job_file, ocrfleet
from tests.e2e.front import Front, serving
from trainer.errors import AccessError, ConflictError
from trainer.storage import open_store

POLICIES = Path(__file__).parents[2] / "manifests" / "examples" / "iam"

CREATE_ONLY = {"Null": {"s3:if-none-match": "false"}}
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html; SeaweedFS does not know it."""


def statements(name: str, *, bucket: str) -> list[dict[str, Any]]:
    """Return the statements of a policy, with one bucket for data and models, and one channel."""
    text = (POLICIES / f"{name}.json").read_text("utf-8").replace("channels/*.json", "channels/candidate.json")
    for other in ("ocr-data", "ocr-models"):
        text = text.replace(f":::{other}", f":::{bucket}")
    found: list[dict[str, Any]] = json.loads(text)["Statement"]
    return found


def grant(server: Server, bucket: str, *names: str) -> None:
    """Put the statements of some example policies on the bucket. `CreateOnly` enforces those that need a condition."""
    granted = [
        {name: value for name, value in each.items() if (name, value) != ("Condition", CREATE_ONLY)}
        for policy in names
        for each in statements(policy, bucket=bucket)
    ]
    policy = {"Version": "2012-10-17", "Statement": [{**each, "Principal": "*"} for each in granted]}
    with server.client() as client:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


class CreateOnly(Front):
    """Refuses writes as S3 does for `CREATE_ONLY`: without the header If-None-Match."""

    patterns: list[str]

    def refuses(self) -> bool:
        key = unquote(urlsplit(self.path).path)
        writes = self.command in ("POST", "PUT") and "If-None-Match" not in self.headers
        return writes and any(fnmatchcase(key, pattern) for pattern in self.patterns)


@pytest.mark.paddle
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_role_trains_and_publishes_and_needs_another_to_promote(
    tmp_path: Path, bucket: str, data: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = open_store(bucket)
    admin.push({f"receipts/{path.relative_to(tmp_path / 'pages')}": path for path in (tmp_path / "pages").rglob("*.*")})
    others = {f"receipts-rec/{folder}/receipts-rec-v2-12345678/key" for folder in ("checkpoints", "runs")}
    for key in others:
        admin.put(key, b"of another job")
    name = bucket.removeprefix("s3://").strip("/")
    grant(s3_server, name, "train")
    create_only = [each for each in statements("train", bucket=name) if each.get("Condition") == CREATE_ONLY]
    patterns = [resource.replace("arn:aws:s3:::", "/") for each in create_only for resource in each["Resource"]]
    assert patterns == [f"/{name}/receipts-rec/runs/receipts-rec-????????/*"]
    front = type("Front", (CreateOnly,), {"target": s3_server.endpoint, "patterns": patterns})
    with serving(front) as endpoint:
        for variable, value in {**s3_server.guest_environment, "AWS_ENDPOINT_URL": endpoint}.items():
            monkeypatch.setenv(variable, value)
        sets = ["run.publish.promote=candidate"]
        output = f"{bucket}receipts-rec/"
        path = job_file(tmp_path, name="receipts-rec", data=f"{bucket}receipts/", output=output, sets=sets)
        command = ("run", str(path), "--workdir", str(tmp_path / "runs"))

        refused = ocrfleet(*command)
        assert refused.returncode == 42, refused.stderr
        assert "receipts-rec/channels/" in refused.stderr, refused.stderr
        guest = open_store(bucket)
        ours = [info.key for info in guest.list("receipts-rec/runs") if info.key not in others]
        assert any(key.endswith("/manifest.json") for key in ours)
        for key in ours:
            before = admin.etag(key)
            with pytest.raises(AccessError):
                guest.put(key, b"{}")
            with pytest.raises(AccessError):
                guest.push({key: path})
            with pytest.raises(ConflictError):
                guest.put(key, b"{}", if_absent=True)
            with pytest.raises(AccessError):
                guest.delete([key])
            assert admin.etag(key) == before
        for key in [*others, "receipts-rec/checkpoints/receipts-rec-v2-12345678/1/00000007/checkpoint.json"]:
            with pytest.raises(AccessError):
                guest.put(key, b"{}", if_absent=True)
            with pytest.raises(AccessError):
                guest.delete([key])
        with pytest.raises(AccessError):
            guest.get("receipts-rec/checkpoints/receipts-rec-v2-12345678/key")
        assert not guest.list("receipts-rec/channels/")
        with pytest.raises(AccessError):
            guest.put("receipts-rec/channels/production.json", b"{}")
        with pytest.raises(AccessError):
            open_store(data).list()

        grant(s3_server, name, "train", "promote")
        promoted = ocrfleet(*command)
        assert promoted.returncode == 0, promoted.stderr
        with pytest.raises(AccessError):
            guest.put("receipts-rec/channels/production.json", b"{}")
        assert [info.key for info in guest.list("receipts-rec/channels/")] == ["receipts-rec/channels/candidate.json"]
