"""Three real Helms: the newest and the oldest program that the chart is for, and one in this process."""

import base64
import json
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import helm_python
import yaml

from docs.chart import CHART
from tests.layers import NEWEST, OLDEST, Program

LAYERS: Final = {
    "helm4": Program(NEWEST, "helm", "b66cb19f2b31f9d427632ea6c4b4a1ff89b74ecaeaee323cd166da41a7af53bd"),
    "helm3": Program(OLDEST, "helm", "c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3"),
}
"""Helm 4.3 and 3.17."""

HELMS: Final = (*LAYERS, "sdk")
"""All three."""


class HelmError(Exception):
    """Helm refused; the message is what it printed."""


def program(name: str) -> Path:
    """Give the program of a Helm, unpacked."""
    return LAYERS[name].path()


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


def rendered(name: str, path: Path, *sets: str) -> str:
    """Give what a Helm makes of a job file.

    Args:
        name: which Helm.
        path: the job file.
        sets: changes to it, as in `--set`; for the programs alone.

    Raises:
        HelmError: the schema or the chart refused the job.
    """
    if name == "sdk":
        return "\n---\n".join(in_process(helm_python.values_from_yaml(path.read_text("utf-8"))).values())
    return helm(
        name, "template", "anything", CHART, "--values", path, *(word for each in sets for word in ("--set", each))
    )


def in_process(values: Mapping[str, Any]) -> dict[str, str]:
    """Give the manifests that the Helm in this process makes of a job, by their templates.

    Raises:
        HelmError: the schema or the chart refused the job.
    """
    try:
        made = _chart().render(dict(values), name="anything")
    except helm_python.HelmError as error:
        raise HelmError(str(error)) from error
    return {Path(name).name: text for name, text in made.items() if name.endswith(".yaml") and text.strip()}


def outcome(values: Mapping[str, Any]) -> dict[str, str] | str:
    """Give the manifests of a job by their templates, or the sentence that refuses it."""
    try:
        return in_process(values)
    except HelmError as refusal:
        return sentence(refusal)


_REFUSAL: Final = re.compile(
    r"execution error at \(ocr-training/templates/[^)]*\): (?P<own>.*)"
    r"|values don't meet the specifications of the schema\(s\).*?\n(?P<schema>- at .*)",
    re.DOTALL,
)


def sentence(refusal: HelmError) -> str:
    """Give the words of a refusal that are for a user: the chart's own, or the schema's.

    Raises:
        AssertionError: a template failed where it should have refused.
    """
    found = _REFUSAL.search(str(refusal))
    assert found, f"not a refusal, but a fault of the chart: {refusal}"
    return (found["own"] or found["schema"]).strip()


@cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


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
