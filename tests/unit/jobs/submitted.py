"""A job file to submit, as a fixture, and a server that takes its objects."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.jobs.apiserver import ApiServer

JOB: dict[str, Any] = {
    "apiVersion": "ocrfleet.io/v1",
    "name": "slips-rec",
    "run": {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": "s3://data/slips/"},
        "output": "s3://models/slips-rec/",
    },
    "placement": {"device": "cpu", "image": "registry.example.com/ocr/ocrfleet:0.1.0"},
}


@pytest.fixture
def job(tmp_path: Path, api: ApiServer) -> Path:
    """A job file, and a server that has the kinds of its objects."""
    api.kinds["v1"].append("ServiceAccount")
    api.kinds["networking.k8s.io/v1"] = ["NetworkPolicy"]
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB), "utf-8")
    return path
