"""Whatever Helm does to a release, its runs go on to their models: install, upgrade, rollback, uninstall."""

from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.chart.helm import HelmError
from tests.cluster import lines
from tests.cluster.kube import Namespace
from tests.cluster.lines import Bucket, Release

KEPT = ("Job", "Service", "ServiceAccount", "NetworkPolicy")


@pytest.mark.parametrize("helm", ["helm4", "helm3"])
def test_no_deed_of_helm_changes_or_removes_what_a_run_needs(
    helm: str, namespace: Namespace, s3_outside: Server, tmp_path: Path
) -> None:
    release = Release(namespace=namespace, scratch=tmp_path, helm=helm)
    bucket = Bucket(server=s3_outside, name=namespace.name)

    def state() -> dict[str, tuple[str, int]]:
        found = {kind: release.objects(kind) for kind in KEPT}
        return {
            f"{kind} {name}": (each["metadata"]["uid"], each["metadata"].get("generation", 0))
            for kind, objects in found.items()
            for name, each in objects.items()
        }

    first = lines.job(bucket, image="none", queue="none")  # it waits for a queue that is not there
    other = lines.job(bucket, image="none", queue="none", seed=43)
    release.upgrade(first)
    one = state()
    assert len(one) == len(KEPT)
    release.upgrade(first)
    assert state() == one, "the same file is a no-op"
    release.upgrade(other)
    two = state()
    assert len(two) == len(one) + 1
    if helm == "helm3":
        # It has no way back to an object that is there already; see kube.Client.Update of Helm 3.
        with pytest.raises(HelmError, match='no Job with the name "lines-.*" found'):
            release("rollback", lines.NAME, "1")
        assert state() == two
        release.upgrade(first)
    else:
        release("rollback", lines.NAME, "1")
    assert state() == two
    release.upgrade(other)
    assert state() == two
    release("uninstall", lines.NAME)
    assert state() == two
    release.upgrade(first)
    assert state() == two, "a release of the same name takes up what the last one left"
