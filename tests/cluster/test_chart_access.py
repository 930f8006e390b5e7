"""`helm test` tells within seconds whether a job's pods reach its bucket, with the policy on."""

import time
from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.chart.helm import HelmError
from tests.cluster import lines
from tests.cluster.kube import Cluster, Namespace, ended, exit_code
from tests.cluster.lines import Bucket, Release
from tests.cluster.machine import policies
from tests.cluster.machine.separate import FIREWALL
from trainer.contract import ExitCode

pytestmark = pytest.mark.builds(FIREWALL)

NOWHERE = {"kubernetes.io/hostname": "nowhere"}
ACCESS = "app.kubernetes.io/component=access-test"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("helm", ["helm4", "helm3"])
def test_helm_test_passes_with_the_right_keys_and_names_what_the_wrong_ones_may_not(
    helm: str, cluster: Cluster, namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    if cluster.local:
        policies.install()
    release = Release(namespace=namespace, scratch=tmp_path, helm=helm)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    before = {info.key for info in bucket.store("").list()}
    # On a node that is not there the run itself does not start.
    release.upgrade(lines.job(bucket, image=tinytrainer, nodeSelector=NOWHERE))

    namespace.apply(bucket.keys(secret="wrong"))
    assert "Access to s3://" in refused(release)

    reader, secret = s3_outside.reader
    namespace.apply(bucket.keys(key=reader, secret=secret))
    assert f"Access to s3://{bucket.name}/out/checkpoints/" in refused(release)

    namespace.apply(bucket.keys())
    began = time.monotonic()
    assert "Succeeded" in release("test", lines.NAME)
    assert time.monotonic() - began < 45
    assert not namespace.pods(ACCESS)
    assert {pod["status"]["phase"] for pod in namespace.pods()} == {"Pending"}
    assert {info.key for info in bucket.store("").list()} == before


def refused(release: Release) -> str:
    """Run the test, see it fail with 42, and give the last line of the pod that is kept for that."""
    with pytest.raises(HelmError):
        release("test", lines.NAME)
    (pod,) = release.namespace.pods(ACCESS)
    assert ended(pod)
    assert exit_code(pod) == ExitCode.ACCESS
    said = release.namespace.logs(pod["metadata"]["name"]).splitlines()
    assert not any(line.startswith("Traceback") for line in said)
    return said[-1]
