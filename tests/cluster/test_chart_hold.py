"""A pod that failed for good stays to be looked at, and ends with its own code when it is deleted."""

from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.cluster import lines
from tests.cluster.kube import Namespace, Object, condition, exit_code
from tests.cluster.lines import Bucket, Release
from trainer.contract import ExitCode


@pytest.mark.timeout(600)
def test_a_held_pod_can_be_entered_and_its_deletion_fails_the_run_with_its_own_code(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    bucket = Bucket(server=s3_outside, name=namespace.name)
    s3_outside.create_bucket(bucket.name)
    bucket.store("pages").put("Label.txt", b"")
    namespace.apply(bucket.keys())
    release = Release(namespace=namespace, scratch=tmp_path)
    release.upgrade(lines.job(bucket, image=tinytrainer, debug={"holdOnFailure": "1h"}))
    (name,) = release.objects()

    (pod,) = namespace.wait_pods(
        lambda pods: pods if [each["status"].get("phase") for each in pods] == ["Running"] else None, deadline=180
    )
    own = pod["metadata"]["name"]
    namespace.follow(own, "This pod stays for 1h00m (placement.debug.holdOnFailure), then exits with 41.", deadline=180)
    last = namespace.logs(own).splitlines()[-1]
    assert f"`kubectl exec -it {own} -- sh`" in last
    logs = namespace.execute(own, "sh", "-c", "cat /work/logs/node*.log")
    assert "ERROR trainer" in logs
    assert any(info.key.endswith("/logs/1/node-0.log") for info in bucket.store("out").list("checkpoints/"))
    assert condition(namespace.get("Job", name), "Failed") is None, "its controller does not know yet"

    namespace.delete("Pod", own, version="v1")

    def ended(pods: list[Object]) -> Object | None:
        return next((each for each in pods if each["metadata"]["name"] == own and exit_code(each) is not None), None)

    assert exit_code(namespace.wait_pods(ended, deadline=60)) == ExitCode.DATASET
    job = namespace.wait("Job", name, lambda found: found if condition(found, "Failed") == "True" else None)
    (failed,) = (each for each in job["status"]["conditions"] if each["type"] == "Failed")
    assert (failed["reason"], "exit code 41" in failed["message"]) == ("PodFailurePolicy", True), failed
