"""What the command line's tests have in common."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jobs import cli
from jobs.kube.client import Cluster
from tests.unit.jobs.apiserver import ApiServer
from trainer.registry.manifests import Manifest, PublishedFile, key_of
from trainer.storage import open_store


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def ocrfleet(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command in an empty folder with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OCRFLEET_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> Ran:
        capfd.readouterr()
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        assert isinstance(code, int)
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return run


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A PPOCRLabel export of six small pages with two lines each."""
    import cv2
    import numpy as np

    root = tmp_path / "pages"
    root.mkdir()
    labels = []
    for number in range(6):
        image = np.full((60, 120, 3), 255, np.uint8)
        image[:, :, 0] = number  # no two pages are the same
        assert cv2.imwrite(str(root / f"{number}.png"), image)
        lines = [
            {
                "transcription": text,
                "points": [[5, top], [100, top], [100, top + 20], [5, top + 20]],
                "difficult": False,
            }
            for text, top in ((f"A{number}", 5), ("B", 35))
        ]
        labels.append(f"pages/{number}.png\t{json.dumps(lines)}\n")
    (root / "Label.txt").write_text("".join(labels), "utf-8")
    return root


@pytest.fixture
def job(tmp_path: Path, pages: Path) -> Path:
    """A job file for the pages."""
    path = tmp_path / "job.yaml"
    path.write_text(
        "apiVersion: ocrfleet.io/v1\nname: slips\nrun:\n  task: det\n  recipe: det-db-mobile\n"
        f"  data: {{train: 'file://{pages}'}}\n  output: file://{tmp_path}/models\nplacement:\n  device: cpu\n"
        "  image: registry.example.com/ocr/ocrfleet:0.1.0\n",
        "utf-8",
    )
    return path


def publish(output: Path, run: str, *, created: str, acc: float = 0.9) -> None:
    """Publish a model that nobody can load."""
    files = {"inference/inference.json": b"{}", "record.json": b'{"seed": 42}'}
    store = open_store(f"file://{output}")
    for name, content in files.items():
        store.put(f"runs/{run}/1/{name}", content)
    manifest = Manifest(
        run=run,
        name="slips",
        task="rec",
        attempt=1,
        created=created,
        recipe="rec-crnn-mobile",
        model_name="PP-OCRv3_mobile_rec",
        metrics={"acc": acc},
        split="test",
        samples=10,
        dataset="0" * 64,
        files=tuple(
            PublishedFile(path=f"1/{name}", size=len(content), sha256=hashlib.sha256(content).hexdigest())
            for name, content in sorted(files.items())
        ),
    )
    store.put(key_of(run), manifest.to_json())


@pytest.fixture
def published(tmp_path: Path) -> str:
    """A location with two published runs."""
    output = tmp_path / "models"
    publish(output, "slips-00000001", created="2026-01-01T00:00:00.000Z", acc=0.91)
    publish(output, "slips-00000002", created="2026-01-02T00:00:00.000Z", acc=0.92)
    return f"file://{output}"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """An API server with nothing in it, that the environment's kubeconfig names."""
    held = ApiServer()
    with held.serving(tmp_path) as kubeconfig:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield held


@pytest.fixture
def cluster(api: ApiServer) -> Cluster:
    """What a command sees of it."""
    return Cluster(deadline=5)
