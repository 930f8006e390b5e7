"""Model and chart agree on generated job files, and no template fails where it should have refused.

tests/cluster/test_chart_generated.py asks a real API server about more of them.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from jobs.jobfile import model as jobfile
from jobs.jobfile import text as jobtext
from jobs.rendering.render import render
from tests.chart.helm import outcome
from tests.chart.jobfiles import job_files
from tests.chart.test_leaves import ENGINES, LEAVES
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml

OF_THE_CHART: Final = re.compile(
    "schedule is set, but scheduled runs are not available yet"
    "|notify.webhookSecret is set, but webhooks are not available yet"
    "|placement.image is missing"
    "|but a (TrainJob|Job of Volcano) (can|has)"
    "|which Kubeflow Trainer ignores"
    "|run is larger than 200 KiB"
)
"""Sentences that only a render has: about what the kind of an engine cannot say, and what this version cannot do."""


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(job_files(ENGINES))
def test_model_and_chart_take_and_refuse_the_same(job: dict[str, Any]) -> None:
    text = to_yaml(job)
    note(f"the job file:\n{text}")
    made, refusal = outcome(job), model_refusal(text)
    if refusal:
        assert isinstance(made, str), f"the model alone refuses: {refusal}"
    else:
        assert isinstance(made, dict) or OF_THE_CHART.search(made)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(job_files(ENGINES), st.sets(st.sampled_from(sorted(LEAVES)), max_size=3))
def test_what_only_the_chart_has_read_is_as_if_the_model_had(job: dict[str, Any], emptied: set[str]) -> None:
    """The command line asks the chart first, and the model only where that refuses."""
    for path in emptied:
        _empty(job, path.split("."))
    note(f"the job file:\n{to_yaml(job)}")
    try:
        raw = jobtext.read(to_yaml(job))
    except SpecError:  # it is no YAML that Helm reads the same, and nobody judges it
        return
    told = _told(lambda: render(jobfile.as_dict(jobfile.from_raw(raw)), checked=True))
    assert _told(lambda: render(raw)) == told


def _empty(fields: Any, path: list[str]) -> None:
    *above, last = path
    for step in above:
        fields = fields.setdefault(step, {}) if isinstance(fields, dict) else None
    if isinstance(fields, dict) and last not in ("apiVersion", "engine"):
        fields[last] = None


def _told(render: Callable[[], object]) -> object:
    try:
        return render()
    except SpecError as error:
        return str(error)


def model_refusal(text: str) -> str | None:
    try:
        jobfile.load(text)
    except SpecError as error:
        return str(error)
    return None
