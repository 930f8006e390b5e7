"""Helm, which makes objects of the chart: in this process where `helm-python-sdk` is installed, else a program on PATH.

The one module that knows either. Both get the values of a job file, and both give the same objects.
"""

import functools
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from jobs.jobfile.text import USUAL
from jobs.kube.objects import Object
from jobs.rendering import manifests
from trainer import contract
from trainer.errors import OcrfleetError, SpecError, TransientError

if TYPE_CHECKING:
    import helm_python

# In a checkout this is a link, in an installed package it is the files.
CHART: Final = Path(__file__).with_name("chart")

OLDEST: Final = (3, 16)
"""The oldest program that is known to render the chart as the newest does."""

DEADLINE: Final = 60.0
"""Seconds for a program that takes a tenth of one."""

RELEASE: Final = "ocrfleet"
"""Helm wants a name for the release; the chart takes none of it."""

INSTALL: Final = "Install the package helm-python-sdk, or the `helm` program, 3.16 or newer."


class HelmMissingError(OcrfleetError):
    """No usable Helm on this machine. `ocrfleet check` goes on without the objects."""


def objects(values: Mapping[str, Any], *, engine: str, checked: bool = False) -> list[Object]:
    """Render a job with the chart.

    Args:
        values: the job file.
        engine: that it names.
        checked: the model has read it, and it has all of its defaults. Else the chart's schema reads it, too.

    Raises:
        SpecError: the chart refused the job, its sentence; or it is the chart of another ocrfleet.
        OcrfleetError: there is no Helm, or the chart itself is at fault.
    """
    if not (CHART / "Chart.yaml").is_file():
        raise OcrfleetError(
            f"{CHART} has no chart: this installation of ocrfleet is incomplete. Install it again from a wheel."
        )
    _refuse_another_contract(CHART)
    if (helm_python := _sdk()) is None:
        return _by_program(values)
    try:
        made = _loaded(CHART, engine, checked).render(dict(values), name=RELEASE)
        # Helm's own reader is half again as fast as libyaml; within a document no line of the chart is such a one.
        texts = (text for name in sorted(made) for text in made[name].split("\n---\n"))
        return [found for found in map(helm_python.values_from_yaml, texts) if found]
    except helm_python.HelmError as error:
        raise refusal(str(error)) from error


@functools.cache
def _refuse_another_contract(chart: Path) -> None:
    """Two versions may be mixed by a copy of files; what such a chart makes, no trainer would understand."""
    (about,) = manifests.read((chart / "Chart.yaml").read_text("utf-8"))
    found = (about.get("annotations") or {}).get(contract.CONTRACT_ANNOTATION)
    if found != str(contract.CONTRACT):
        raise SpecError(
            f"The chart in {chart} belongs to ocrfleet {about.get('version')} with contract {found or 'unknown'}, but "
            f"this command belongs to ocrfleet {contract.VERSION} with contract {contract.CONTRACT}: install both "
            "from one wheel."
        )


def _sdk() -> ModuleType | None:
    """Return the Helm of this process, if it is installed."""
    try:
        import helm_python
    except ImportError:
        return None
    return helm_python


@functools.cache
def _loaded(chart: Path, engine: str, checked: bool) -> "helm_python.Chart":
    """Load the chart, but for what gives no objects of a job: Helm parses all that is there in each render.

    The schema is what the model says, too, and takes most of the time of a render. The notes and the test pod take half
    of the rest, the other engines a tenth.
    """
    import tarfile

    import helm_python

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for path in [
            *(
                chart / name
                for name in ("Chart.yaml", "values.yaml", "defaults.json", "identity.json", "reserved.json")
            ),
            *([] if checked else [chart / "values.schema.json"]),
            *_templates(chart, engine),
        ]:
            tar.add(path, f"ocr-training/{path.relative_to(chart)}")
    return helm_python.Chart.load_archive(archive.getvalue())


def _templates(chart: Path, engine: str) -> list[Path]:
    top = chart / "templates"
    # The other engines share what they can with the usual one.
    engines = (path for path in top.glob("engines/*") if path.stem in (f"_{engine}", f"_{USUAL}"))
    return sorted(path for path in (*top.glob("*.*"), *engines) if path.suffix != ".txt")


def _by_program(values: Mapping[str, Any]) -> list[Object]:
    import shutil
    import subprocess

    program = shutil.which("helm")
    if program is None:
        raise HelmMissingError(
            f"Rendering a job needs Helm: neither the Python package nor a `helm` on PATH was found. {INSTALL}"
        )
    command = [program, "template", RELEASE, str(CHART.resolve()), "--values", "-"]
    # Asked beside the work, since each takes as long to start.
    with subprocess.Popen(
        [program, "version", "--template", "{{.Version}}"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as asked:
        try:
            done = subprocess.run(
                command, input=json.dumps(values), capture_output=True, text=True, timeout=DEADLINE, check=False
            )
            version = asked.communicate(timeout=DEADLINE)[0].strip()
        except subprocess.TimeoutExpired as error:
            asked.kill()
            raise TransientError(f"{program} did not finish within {DEADLINE:g} s. Run the command again.") from error
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        what = f"is Helm {version}, older than 3.16" if found else "does not print Helm's version"
        raise HelmMissingError(f"{program} {what}. {INSTALL}")
    if done.returncode:
        raise refusal(done.stderr)
    return manifests.read(done.stdout)


_OWN: Final = re.compile(
    r"execution error at \(ocr-training/templates/[^)]*\): (.*?)\.?\s*(?:\n\nUse --debug|\Z)", re.DOTALL
)
_SCHEMA: Final = re.compile(r"^ *- (?:at '/?(?P<pointer>[^']*)'|(?P<path>\S+)): (?P<what>.*)$", re.MULTILINE)


def refusal(printed: str) -> OcrfleetError:
    """Turn Helm's output into an error: the chart's own sentence, or the schema's, without Helm's wrapping."""
    if own := _OWN.search(printed):
        return SpecError(f"{own[1]}.")
    if "the specifications of the schema" in printed:
        lines = [
            f"{found['path'] or found['pointer'].replace('/', '.') or 'The job file'}: {found['what'].strip('. ')}."
            for found in _SCHEMA.finditer(printed)
        ]
        return SpecError("\n".join(lines) or printed.strip())
    return OcrfleetError(f"The chart fails on this job. This is a fault of ocrfleet: {printed.strip()}")
