"""What harms a run in the cluster without ending it: a damaged checkpoint, changed data, a stranger at its leader."""

import re
import signal
from pathlib import Path

import pytest

from examples.local_s3 import Server
from tests.cluster import hurt, intruder, lines
from tests.cluster.kube import Namespace, Object, condition, ended, exit_code
from tests.cluster.lines import Bucket, Release
from tests.cluster.manifests import container, pod_spec
from trainer.contract import ExitCode
from trainer.state.checkpoints import Remote

pytestmark = [pytest.mark.usefixtures("hands"), pytest.mark.timeout(1200)]

EPOCHS = 120
"""Of six steps of a tenth of a second on one node, of three on two: long enough for what is done meanwhile."""

PORT = 29400
"""Where the leader listens."""


class Run:
    """A run of the tiny trainer, in training, with checkpoints in its bucket."""

    def __init__(self, namespace: Namespace, image: str, server: Server, scratch: Path, *, nodes: int = 1) -> None:
        self.namespace = namespace
        self.bucket = Bucket.filled(server, namespace.name, scratch)
        namespace.apply(self.bucket.keys())
        release = Release(namespace=namespace, scratch=scratch)
        content = lines.job(self.bucket, image=image, nodes=nodes, epochs=EPOCHS)
        # Otherwise the policy, not the leader, could be what keeps a stranger out.
        content["chart"]["networkPolicy"] = {"enabled": False}
        release.upgrade(content)
        (self.name,) = release.objects()
        self.pods = namespace.wait_pods(lines.running(self.name, nodes), deadline=240)
        leader = self.pods["0"]["metadata"]["name"]
        # They are pushed behind it: now there are two to resume from in the bucket.
        namespace.follow(leader, "[train] checkpoint at step 30 ", deadline=300)

    @property
    def checkpoints(self) -> Remote:
        return Remote(store=self.bucket.store(f"out/checkpoints/{lines.run_of(self.name)}"))

    def wait(self, wanted: str) -> Object:
        """Wait for the Job's end, which must be this one."""
        job = self.namespace.wait("Job", self.name, lines.done, deadline=600)
        assert condition(job, wanted) == "True", job["status"]
        return job

    def next_pod(self, rank: str = "0") -> str:
        """Wait for the pod that takes the place of the first one of this rank, and return its name."""
        first = self.pods[rank]["metadata"]["uid"]

        def another(found: list[Object]) -> str | None:
            for pod in found:
                labels = pod["metadata"]["labels"]
                if labels.get("batch.kubernetes.io/job-completion-index") == rank and pod["metadata"]["uid"] != first:
                    return str(pod["metadata"]["name"])
            return None

        return self.namespace.wait_pods(another, deadline=240)


def test_a_damaged_newest_checkpoint_is_named_and_the_one_before_it_is_taken(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    run = Run(namespace, tinytrainer, s3_outside, tmp_path)
    # So that no newer one is pushed meanwhile.
    hurt.send(run.pods["0"], signal.SIGSTOP)
    (_, step), (attempt, newest) = run.checkpoints.steps()[-2:]
    store = run.checkpoints.store
    largest = max(store.list(f"{attempt}/{newest:08d}/"), key=lambda info: info.size)
    content = bytearray(store.get(largest.key))
    content[len(content) // 2] ^= 1
    store.put(largest.key, bytes(content))
    hurt.send(run.pods["0"], signal.SIGKILL)
    run.wait("Complete")
    said = namespace.logs(run.next_pod())
    assert re.search(rf"The checkpoint .*{attempt}/{newest:08d} is damaged: .* resumes from .* step {step}\.", said), (
        said
    )
    assert f"resuming after step {step}." in said
    assert run.bucket.record(lines.run_of(run.name))["attempt"] == 2


def test_data_that_changed_under_a_run_end_it_with_both_digests(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    run = Run(namespace, tinytrainer, s3_outside, tmp_path)
    pages = run.bucket.store("pages")
    (labels,) = (info.key for info in pages.list() if info.key.endswith("Label.txt"))
    kept = pages.get(labels).splitlines(keepends=True)[1:]
    pages.put(labels, b"".join(kept))
    hurt.send(run.pods["0"], signal.SIGKILL)
    run.wait("Failed")
    name = run.next_pod()
    pod = namespace.wait("Pod", name, lambda found: found if ended(found) else None)
    assert exit_code(pod) == ExitCode.DATASET
    said = namespace.logs(name)
    assert re.search(
        r"The data changed under this run: .* with the digest [0-9a-f]+, and now the digest is [0-9a-f]+", said
    ), said
    assert "What differs: " in said


def test_a_strangers_pod_takes_no_nodes_place_and_a_lost_node_comes_back_past_it(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    run = Run(namespace, tinytrainer, s3_outside, tmp_path, nodes=2)
    leader = run.pods["0"]
    script = Path(intruder.__file__).read_text("utf-8")
    program = container(tinytrainer, command=["python", "-c", script, leader["status"]["podIP"], str(PORT)])
    program["args"] = []
    namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": pod_spec(program)})
    namespace.wait("Pod", "stranger", lambda found: found["status"].get("phase") == "Running")
    namespace.follow("stranger", "Tried everything.", deadline=240)
    hurt.send(run.pods["1"], signal.SIGKILL)
    run.wait("Complete")
    logs = run.bucket.store(f"out/checkpoints/{lines.run_of(run.name)}/logs/2")
    said = logs.get("node-0.log").decode()
    # The lines about it are few, however often it comes: which of the reasons they name is chance.
    stranger = namespace.get("Pod", "stranger")["status"]["podIP"]
    assert f"Closed a connection from {stranger}: " in said
    assert "It lies." not in said + namespace.logs(leader["metadata"]["name"])
    record = run.bucket.record(lines.run_of(run.name))
    assert (record["attempt"], record["nodes"]) == (2, 2), "only the node that was killed cost an attempt"
