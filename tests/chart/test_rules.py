"""What contradicts itself is refused by the model and by the chart, in the same words."""

from typing import Any

import pytest

from jobs import jobfile
from tests.chart.helm import outcome
from tests.chart.test_leaves import with_fields
from trainer.errors import SpecError
from trainer.runspec import to_yaml

CLAIM = {"placement.nodes": 2, "placement.storage.cache.existingClaim": "scans"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"run.config": {"Global": {}}}, "run needs one of `recipe` and `config`, and not both"),
        (
            {"placement.storage.cache.emptyDir": "1Gi", "placement.storage.cache.ephemeral": "1Gi"},
            "placement.storage.cache has emptyDir and ephemeral: choose one",
        ),
        (
            {"placement.storage.cache.accessMode": "ReadWriteMany"},
            "placement.storage.cache.accessMode is for `ephemeral` and `existingClaim`, and neither is set",
        ),
        (
            CLAIM,
            "placement.storage.cache.existingClaim is one volume for 2 nodes: if all of them can mount it, say so with "
            "placement.storage.cache.accessMode: ReadWriteMany; else use `ephemeral` or `emptyDir`",
        ),
        (
            {"placement.serviceAccount": "ours", "placement.credentialsSecret": "keys"},
            "the secret would hide the account's identity; choose one",
        ),
        ({"schedule.suspendAfterFailures": 4}, "without it schedule.suspendAfterFailures has no meaning"),
    ],
)
def test_model_and_chart_refuse_alike(fields: dict[str, Any], words: str) -> None:
    job = with_fields(fields)
    made = outcome(job)
    assert isinstance(made, str)
    assert words in made
    with pytest.raises(SpecError) as refused:
        jobfile.load(to_yaml(job))
    assert words in str(refused.value)


def test_a_claim_that_all_nodes_can_mount_is_taken() -> None:
    job = with_fields({**CLAIM, "placement.storage.cache.accessMode": "ReadWriteMany"})
    assert isinstance(outcome(job), dict)
    assert jobfile.load(to_yaml(job)).placement.storage.cache.access_mode == "ReadWriteMany"
