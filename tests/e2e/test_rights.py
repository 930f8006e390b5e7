"""The example policies hold: a run does all its work with the rights of `train`, and cannot point a channel."""

import json
from pathlib import Path
from typing import Any

import pytest

from examples.local_s3 import Server
from tests.e2e.commands import job_file, ocrfleet
from trainer.errors import AccessError
from trainer.storage import open_store

POLICIES = Path(__file__).parents[2] / "manifests" / "examples" / "iam"


def grant(server: Server, bucket: str, *names: str) -> None:
    """Give the guest the rights of some policies, as the bucket's own policy."""
    statements: list[dict[str, Any]] = []
    for name in names:
        text = (POLICIES / f"{name}.json").read_text("utf-8")
        # One bucket for both.
        for other in ("ocr-data", "ocr-models"):
            text = text.replace(f":::{other}", f":::{bucket}")
        statements += ({**each, "Principal": "*"} for each in json.loads(text)["Statement"])
    with server.client() as client:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": statements}))


@pytest.mark.paddle
@pytest.mark.timeout(300)
def test_a_training_role_trains_and_publishes_and_needs_another_to_promote(
    tmp_path: Path, bucket: str, data: str, s3_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = open_store(bucket)
    admin.push({f"receipts/{path.relative_to(tmp_path / 'pages')}": path for path in (tmp_path / "pages").rglob("*.*")})
    name = bucket.removeprefix("s3://").strip("/")
    grant(s3_server, name, "train")
    for variable, value in s3_server.guest_environment.items():
        monkeypatch.setenv(variable, value)
    sets = ["run.publish.promote=candidate"]
    path = job_file(tmp_path, data=f"{bucket}receipts/", output=f"{bucket}receipts-rec/", sets=sets)
    command = ("run", str(path), "--workdir", str(tmp_path / "runs"))

    refused = ocrfleet(*command)
    assert refused.returncode == 42, refused.stderr
    assert "receipts-rec/channels/" in refused.stderr, refused.stderr
    output = open_store(f"{bucket}receipts-rec/")
    (manifest,) = (info.key for info in output.list("runs/") if info.key.endswith("/manifest.json"))
    assert not output.list("channels/")
    with pytest.raises(AccessError):
        output.delete([manifest])
    with pytest.raises(AccessError):
        output.put("channels/production.json", b"{}")
    with pytest.raises(AccessError):
        open_store(data).list()

    grant(s3_server, name, "train", "promote")
    assert ocrfleet(*command).returncode == 0
    assert [info.key for info in output.list("channels/")] == ["channels/candidate.json"]
