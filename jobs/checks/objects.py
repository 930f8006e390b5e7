"""`ocrfleet check` without a cluster: whether the chart renders the job, by rendering it."""

from collections.abc import Iterator, Mapping
from typing import Any

from jobs.checks.dataset import Finding, errors
from jobs.jobfile.text import without_auto
from jobs.rendering.helm import HelmMissingError
from jobs.rendering.manifests import name_of
from jobs.rendering.render import render
from trainer.errors import OcrfleetError


def check(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """Render the fields of a job file as `ocrfleet render` does, so that both refuse the same, in the same words."""
    try:
        rendered = render(without_auto(raw))
    except HelmMissingError as error:
        yield Finding("warn", f"objects: not rendered, so Kubernetes may refuse the job. {error}")
    except OcrfleetError as error:
        yield from errors(error)
    else:
        yield Finding("ok", f"objects: {len(rendered.objects)} rendered, among them {name_of(rendered.workload)}")
