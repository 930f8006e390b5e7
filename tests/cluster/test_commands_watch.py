"""`submit --watch` and `watch` beside real runs: to the model, past an API server that is away, and to failures."""

import json
import os
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from examples.local_s3 import Server
from tests.cluster import lines
from tests.cluster.controllers import need_engine
from tests.cluster.kube import Namespace
from tests.cluster.lines import Bucket
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.test_commands_manage import Commands, until
from tests.proxy import Proxy

pytestmark = pytest.mark.builds(JOBSET, TRAINER)


def through(kubeconfig: str, folder: Path) -> tuple[Proxy, Path]:
    """Give a line to the API server that can be cut, and the file of a client that uses it."""
    content = yaml.safe_load(Path(kubeconfig).read_text("utf-8"))
    server = content["clusters"][0]["cluster"]
    host = server["server"].removeprefix("https://")
    proxy = Proxy(f"http://{host}")
    server["server"] = proxy.endpoint.replace("http:", "https:")
    # The certificate is the server's own.
    server["tls-server-name"] = host.partition(":")[0]
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content), "utf-8")
    return proxy, path


@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ["job", "jobset", "trainjob"])
def test_a_run_is_watched_from_its_submission_to_its_model(
    engine: str, namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """Two nodes; in the middle the API server does not answer for a while."""
    need_engine(namespace.cluster, engine)
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    file = tmp_path / "job.yaml"
    content = lines.job(bucket, image=tinytrainer, engine=engine, nodes=2, epochs=100)
    file.write_text(yaml.safe_dump(content), "utf-8")
    ocrfleet = Commands(namespace, s3_outside)
    proxy, kubeconfig = through(namespace.cluster.kubeconfig, tmp_path)
    environ = {**os.environ, **s3_outside.environment, "KUBECONFIG": str(kubeconfig)}
    with closing(proxy):
        watched = subprocess.Popen(
            ocrfleet.words("submit", file, "--watch"),
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watched.stdout
        assert watched.stderr
        said = until(watched.stderr, r"\[train \d+%\] step")
        proxy.cut()
        said += until(watched.stderr, "The API server does not respond")
        proxy.mend()
        said += until(watched.stderr, "The API server responds again")
        out, rest = watched.communicate(timeout=400)
    said += rest.splitlines()
    told = "\n".join(said)
    assert watched.returncode == 0, told
    run = out.strip()
    bucket.record(run)
    for stage in ("fetch", "prepare", "train", "evaluate", "export", "verify", "publish"):
        assert sum(line.startswith(f"[{stage} done]") for line in said) == 1, (stage, told)
    assert "samples/s" in told
    assert f"ocrfleet models show {content['run']['output']}#{run}" in said[-1], told
    # One that is over is told at once.
    assert f"{content['run']['output']}#{run}" in ocrfleet("watch", run)[0]


@pytest.mark.timeout(600)
def test_logs_in_json_are_objects_in_the_pod_and_sentences_in_a_terminal(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    file, content = tmp_path / "job.yaml", lines.job(bucket, image=tinytrainer)
    content["chart"]["logFormat"] = "json"
    file.write_text(yaml.safe_dump(content), "utf-8")
    out, told = Commands(namespace, s3_outside)("submit", file, "--watch")
    run = out.strip()
    for stage in ("fetch", "prepare", "train", "evaluate", "export", "verify", "publish"):
        assert sum(line.startswith(f"[{stage} done]") for line in told.splitlines()) == 1, (stage, told)
    assert '{"time"' not in told
    (pod,) = namespace.pods()
    events = [json.loads(line) for line in namespace.logs(pod["metadata"]["name"]).splitlines()]
    assert {(each["run"], each["node"]) for each in events if "stage" in each} == {(run, 0)}
    named = [each["event"] for each in events]
    assert named.count("stage_done") == 7
    assert {"step", "evaluated", "checkpointed", "published"} <= set(named)
    assert (named[-1], events[-1]["code"]) == ("ended", 0)


@pytest.mark.timeout(300)
def test_watching_ends_with_the_runs_own_code(
    namespace: Namespace, tinytrainer: str, s3_outside: Server, tmp_path: Path
) -> None:
    """A dataset that is not there, and keys that open nothing."""
    bucket = Bucket.filled(s3_outside, namespace.name, tmp_path)
    namespace.apply(bucket.keys())
    ocrfleet, file = Commands(namespace, s3_outside), tmp_path / "job.yaml"
    content = lines.job(bucket, image=tinytrainer)
    content["run"]["data"]["train"] = f"s3://{bucket.name}/not-there/"
    file.write_text(yaml.safe_dump(content), "utf-8")
    _, told = ocrfleet("submit", file, "--watch", code=41)
    assert "there are no objects there" in told

    # Of another name: a kubelet may give a pod what it knows of a Secret from before.
    namespace.apply(bucket.keys(secret="wrong", name="wrong"))
    content["name"], content["placement"]["credentialsSecret"] = "keys", "wrong"
    file.write_text(yaml.safe_dump(content), "utf-8")
    run = ocrfleet("submit", file)[0].strip()
    told, _ = ocrfleet("watch", run, code=42)
    assert run in told
