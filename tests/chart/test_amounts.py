"""Amounts are taken only as Kubernetes writes them back: in other kinds, another spelling is a change."""

import re
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.chart import LEAST
from jobs.jobfile import model as jobfile
from jobs.jobfile.fieldtypes import AMOUNT
from tests.chart.helm import in_process, outcome
from tests.chart.test_leaves import with_fields
from trainer.errors import SpecError
from trainer.formats.yaml import to_yaml

MEMORY: Final = "placement.resources.requests"
HOW: Final = "write a whole number with the largest unit"
SIZES: Final = (
    "placement.storage.cache.emptyDir",
    "placement.storage.cache.ephemeral",
    "placement.storage.scratch",
    "placement.storage.sharedMemory",
    "chart.tmp",
)


def refusal(job: dict[str, Any]) -> str | None:
    """Return what the model says about a job; None if it takes it."""
    try:
        jobfile.load(to_yaml(job))
    except SpecError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    "amount",
    [0, 1, 16, 999, 4.0, "0", "4", "500m", "1500m", "31850m", "1k", "1500M", "512Mi", "1536Mi", "15000Mi", "99999Ti"],
)
def test_an_amount_is_rendered_as_it_is_written(amount: object) -> None:
    placement = {
        **LEAST["placement"],
        "engine": "trainjob",
        "device": "cpu",
        "resources": {"requests": {"memory": amount}},
    }
    made = yaml.safe_load(in_process({**LEAST, "placement": placement})["workload.yaml"])
    written = f"{amount:g}" if isinstance(amount, float) else str(amount)
    assert made["spec"]["trainer"]["resourcesPerNode"] == {"requests": {"memory": written}}
    assert refusal({**LEAST, "placement": placement}) is None


@pytest.mark.parametrize(
    "amount",
    [
        *(0.5, 1.25, 1000, -1, True, "0.5", "1.5Gi", "1000m", "2000M", "1000", "1024Mi", "2048Mi", "99328Ki"),
        *("007", "00", "1e3", "1GB", "16gi", "100000Mi", "", "Gi", "4 Gi", "0Gi", "0m"),
    ],
)
def test_another_spelling_of_an_amount_is_refused_with_its_place_and_how_to_write_it(amount: object) -> None:
    job = with_fields({MEMORY: {"memory": amount}})
    assert HOW in str(refusal(job))
    made = outcome(job)
    assert isinstance(made, str)
    assert "at '/placement/resources/requests/memory'" in made


@pytest.mark.parametrize("path", SIZES)
@pytest.mark.parametrize("size", ["20", "500m", "0Gi", "1.5Gi", "2048Mi", "20GB"])
def test_a_volume_has_a_size_of_whole_units(size: str, path: str) -> None:
    job = with_fields({path: size})
    assert HOW in str(refusal(job))
    made = outcome(job)
    assert isinstance(made, str)
    assert f"at '/{path.replace('.', '/')}'" in made


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.from_regex(AMOUNT, fullmatch=True))
def test_an_amount_is_taken_only_in_the_largest_unit_that_keeps_it_whole(amount: str) -> None:
    number, unit = re.fullmatch("([0-9]+)([a-zA-Z]*)", amount).groups()  # type: ignore[union-attr]
    whole = int(number) == 0 or int(number) % (1024 if unit.endswith("i") else 1000) > 0
    assert (refusal(with_fields({MEMORY: {"memory": amount}})) is None) == whole


def test_what_is_empty_or_off_is_left_out_as_controllers_leave_it_out() -> None:
    volume = {"name": "ours", "emptyDir": {"sizeLimit": "2Gi"}}
    chart = {
        "extraEnv": [{"name": "EMPTY", "value": ""}],
        "extraVolumes": [volume],
        "extraVolumeMounts": [{"name": "ours", "mountPath": "/ours", "readOnly": False, "subPath": ""}],
    }
    placement = {**LEAST["placement"], "engine": "trainjob", "device": "cpu"}
    spec = yaml.safe_load(in_process({**LEAST, "placement": placement, "chart": chart})["workload.yaml"])["spec"]
    assert "resourcesPerNode" not in spec["trainer"]
    assert spec["trainer"]["env"][-1] == {"name": "EMPTY"}
    (node,) = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    assert pod["volumes"][-1] == volume
    assert pod["containers"][0]["volumeMounts"][-1] == {"name": "ours", "mountPath": "/ours"}
