"""Whatever Helm does to a release, its runs go on to their models: install, upgrade, rollback, uninstall."""

import re
import signal
from pathlib import Path
from typing import Any

import pytest

from examples.local_s3 import Server
from tests.chart.helm import HelmError
from tests.cluster import hurt, lines
from tests.cluster.kube import Namespace, condition, ended, exit_code
from tests.cluster.lines import Bucket, Release
from trainer.contract import ExitCode

EPOCHS = 120
"""Of six steps of a tenth of a second on one node, of three on two: long enough for what is done meanwhile."""

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

    nowhere = {"kubernetes.io/hostname": "nowhere"}
    first = lines.job(bucket, image="none", nodeSelector=nowhere)
    other = lines.job(bucket, image="none", nodeSelector=nowhere, seed=43)
    release.upgrade(first)
    (job,) = release.objects()
    paused = namespace.cluster.resource("Job").patch(
        name=job,
        namespace=namespace.name,
        body={"spec": {"suspend": True}},
        content_type="application/merge-patch+json",
    )
    one = state()
    assert one[f"Job {job}"][1] == paused.metadata.generation
    assert len(one) == len(KEPT)
    release.upgrade(first)
    assert state() == one, "the same file is a no-op, and what was paused stays so"
    release.upgrade(other)
    two = state()
    assert len(two) == len(one) + 1
    if helm == "helm3":
        # It has no way back to an object that is there already; see kube.Client.Update of Helm 3.
        with pytest.raises(HelmError, match=r'no Job with the name "lines-.*" found'):
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


@pytest.mark.usefixtures("hands")
@pytest.mark.timeout(1200)
def test_a_run_goes_on_through_upgrade_rollback_and_uninstall_and_outlives_a_pod_after_it(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """Two nodes: what is left after the uninstall must suffice for a new pod to find its peer."""
    release = Release(namespace=namespace, scratch=tmp_path)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    first = lines.job(bucket, image=tinytrainer, nodes=2, epochs=EPOCHS)
    release.upgrade(first)
    (name,) = release.objects()
    pods = namespace.wait_pods(lines.running(name, 2), deadline=240)
    namespace.follow(pods["0"]["metadata"]["name"], "[train] checkpoint at step", deadline=300)

    release.upgrade(first)
    release.upgrade(lines.job(bucket, image=tinytrainer, epochs=2, seed=43))
    (other,) = release.objects().keys() - {name}
    release("rollback", lines.NAME, "1")
    release("uninstall", lines.NAME)
    now = namespace.wait_pods(lines.running(name, 2))
    assert {pod["metadata"]["uid"] for pod in now.values()} == {pod["metadata"]["uid"] for pod in pods.values()}

    hurt.send(pods["1"], signal.SIGKILL)
    for each in (name, other):
        job = namespace.wait("Job", each, lines.done, deadline=600)
        assert condition(job, "Complete") == "True", job["status"]
    kept, changed = (bucket.record(lines.run_of(each)) for each in (name, other))
    assert (kept["attempt"], kept["nodes"], kept["seed"]) == (2, 2, 42)
    assert (changed["attempt"], changed["nodes"], changed["seed"]) == (1, 1, 43)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "change",
    [
        {"retry": 1},
        {"retries": 1, "resources": {"requests": {"cpu": "100m"}}},
    ],
)
def test_another_placement_takes_the_run_up_where_the_older_object_is(
    change: dict[str, Any], namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    release = Release(namespace=namespace, scratch=tmp_path)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    release.upgrade(lines.job(bucket, image=tinytrainer, epochs=EPOCHS))
    (older,) = release.objects()
    pod = namespace.wait_pods(lines.running(older, 1), deadline=240)["0"]
    namespace.follow(pod["metadata"]["name"], "[train] checkpoint at step", deadline=300)

    release.upgrade(lines.job(bucket, image=tinytrainer, epochs=EPOCHS, **change))
    (newer,) = release.objects().keys() - {older}
    assert lines.run_of(newer) == lines.run_of(older)
    lost = namespace.wait("Job", older, lines.done, deadline=300)
    assert condition(lost, "Failed") == "True", lost["status"]
    superseded = namespace.wait("Pod", pod["metadata"]["name"], lambda found: found if ended(found) else None)
    assert exit_code(superseded) == ExitCode.SUPERSEDED
    said = namespace.logs(pod["metadata"]["name"])
    assert f"{newer} now owns this run" in said

    job = namespace.wait("Job", newer, lines.done, deadline=600)
    assert condition(job, "Complete") == "True", job["status"]
    (pod,) = namespace.pods(f"batch.kubernetes.io/job-name={newer}")
    (after,) = re.findall(r"resuming after step (\d+)\.", namespace.logs(pod["metadata"]["name"]))
    assert int(after) in map(int, re.findall(r"^\[train\] checkpoint at step (\d+) ", said, re.MULTILINE))
    record = bucket.record(lines.run_of(newer))
    assert record["attempt"] == 2
    ((epochs, steps),) = re.findall(r"Training \d+ samples, (\d+) epochs of (\d+) steps", said)
    assert record["metrics"]["training"]["steps"] == int(epochs) * int(steps), (
        "no step is done twice, and none left out"
    )
