"""What contradicts itself in `placement` is refused, and the nearest that does not is taken."""

import pytest

from jobs.jobfile import model as jobfile
from tests.unit.jobs.jobfile.files import MINIMAL
from trainer.errors import OcrfleetError

CACHE = "placement.storage.cache"
RESOURCES = "placement.resources"


@pytest.mark.parametrize(
    ("bad", "place", "good"),
    [
        ([f"{RESOURCES}.requests={{cpu: 0.5}}"], f"{RESOURCES}.requests.cpu", [f"{RESOURCES}.requests={{cpu: 500m}}"]),
        (
            [f"{RESOURCES}.requests={{example.com/fpga: 1}}"],
            f"{RESOURCES}.limits",
            [f"{RESOURCES}.limits={{example.com/fpga: 1}}"],
        ),
        (
            [f"{RESOURCES}.limits={{nvidia.com/gpu: 1}}"],
            "placement.devicesPerNode",
            [f"{RESOURCES}.limits={{nvidia.com/mig: 1}}"],
        ),
        (
            [f"{CACHE}.emptyDir=1Gi", f"{CACHE}.existingClaim=pages"],
            "emptyDir and existingClaim",
            [f"{CACHE}.existingClaim=pages"],
        ),
        ([f"{CACHE}.storageClass=fast"], "storageClass", [f"{CACHE}.storageClass=fast", f"{CACHE}.ephemeral=1Gi"]),
        (
            [f"{CACHE}.existingClaim=pages", "placement.nodes=2"],
            "accessMode: ReadWriteMany",
            [f"{CACHE}.existingClaim=pages", "placement.nodes=2", f"{CACHE}.accessMode=ReadWriteMany"],
        ),
        (
            ["placement.serviceAccount=a", "placement.credentialsSecret=b"],
            "serviceAccount and credentialsSecret",
            ["placement.credentialsSecret=b"],
        ),
        (["placement.nodes=1001"], "placement.nodes", ["placement.nodes=1000"]),
        (["placement.devicesPerNode=65"], "placement.devicesPerNode", ["placement.devicesPerNode=64"]),
        (["placement.retries=101"], "placement.retries", ["placement.retries=100"]),
        (
            ["schedule.cron='@daily'", "schedule.suspendAfterFailures=0"],
            "schedule.suspendAfterFailures",
            ["schedule.cron='@daily'", "schedule.suspendAfterFailures=1"],
        ),
    ],
)
def test_a_contradiction_is_refused_with_its_place(bad: list[str], place: str, good: list[str]) -> None:
    with pytest.raises(OcrfleetError) as caught:
        jobfile.load(MINIMAL, sets=bad)
    assert place in str(caught.value)
    jobfile.load(MINIMAL, sets=good)
