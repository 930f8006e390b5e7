"""Pods are made in the words in which Kubernetes writes them back, since in kinds not its own others are a change."""

import pytest
import yaml

from docs.chart import LEAST
from tests.chart.helm import in_process


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (16, "16"),
        (0.5, "500m"),
        (1.25, "1250m"),
        (1000000, "1M"),
        ("1000m", "1"),
        (0.0005, "1m"),
        ("1.5m", "2m"),
        ("007", "7"),
        ("0", "0"),
        ("1500M", "1500M"),
        ("2000M", "2G"),
        ("1.5G", "1500M"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1048576Ki", "1Gi"),
        ("1024Ti", "1Pi"),
        ("0.1Gi", "107374183"),
        ("99999.999Ti", "109951161678088373"),
    ],
)
def test_an_amount_is_written_as_kubernetes_writes_it(given: object, written: str) -> None:
    placement = {"engine": "trainjob", "device": "cpu", "resources": {"requests": {"memory": given}}}
    made = yaml.safe_load(in_process({**LEAST, "placement": placement})["workload.yaml"])
    assert made["spec"]["trainer"]["resourcesPerNode"] == {"requests": {"memory": written}}


def test_what_is_empty_or_off_is_left_out_as_controllers_leave_it_out() -> None:
    sizes = {"ours": "2048Mi", "others": "1e3"}
    chart = {
        "extraEnv": [{"name": "EMPTY", "value": ""}],
        "extraVolumes": [{"name": name, "emptyDir": {"sizeLimit": size}} for name, size in sizes.items()],
        "extraVolumeMounts": [{"name": "ours", "mountPath": "/ours", "readOnly": False, "subPath": ""}],
    }
    placement = {"engine": "trainjob", "device": "cpu"}
    spec = yaml.safe_load(in_process({**LEAST, "placement": placement, "chart": chart})["workload.yaml"])["spec"]
    assert "resourcesPerNode" not in spec["trainer"]
    assert spec["trainer"]["env"][-1] == {"name": "EMPTY"}
    (node,) = spec["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"]
    pod = node["template"]["spec"]["template"]["spec"]
    written = {"ours": "2Gi", "others": "1e3"}
    assert pod["volumes"][-2:] == [{"name": name, "emptyDir": {"sizeLimit": size}} for name, size in written.items()]
    assert pod["containers"][0]["volumeMounts"][-1] == {"name": "ours", "mountPath": "/ours"}
