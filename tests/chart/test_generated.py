"""Model and chart agree on generated job files, and no template fails where it should have refused.

tests/cluster/test_chart_generated.py asks a real API server about more of them.
"""

import re
from typing import Any, Final

from hypothesis import HealthCheck, given, note, settings

from jobs import jobfile
from tests.chart.helm import outcome
from tests.chart.jobfiles import job_files
from tests.chart.test_leaves import ENGINES
from trainer.errors import SpecError
from trainer.runspec import to_yaml

OF_THE_CHART: Final = re.compile(
    "schedule.cron is set, which this version cannot render yet"
    "|notify.webhookSecret is set, which this version cannot do yet"
    "|which a (TrainJob|Job of Volcano|PaddleJob) can(not)? "
    "|which Kubeflow Trainer leaves out"
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


def model_refusal(text: str) -> str | None:
    try:
        jobfile.load(text)
    except SpecError as error:
        return str(error)
    return None
