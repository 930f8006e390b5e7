"""`ocrfleet logs`: of pods while they are there, through broken lines too; of the bucket when they are gone."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.engines.runfile import ANNOTATION
from tests.objects import Object
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.logged import output, running
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded
from trainer.storage import open_store

__all__ = ["output", "running"]

RUN = "lines-1a2b3c4d"


Ocrfleet = Callable[..., Any]


def test_each_line_of_several_nodes_begins_with_its_own(running: Any, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet("logs", RUN, "-n", "ml")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["[node 0] one", "[node 0] two", "[node 1] one", "[node 1] two"]


@pytest.mark.parametrize("word", ["--node", "--node="])
def test_of_one_node_lines_are_as_they_are(word: str, running: Any, ocrfleet: Ocrfleet) -> None:
    words = ["--node", "1"] if word == "--node" else ["--node=1"]
    assert ocrfleet("logs", "lines", "-n", "ml", *words).out == "one\ntwo\n"
    assert ocrfleet("logs", "lines", "-n", "ml", *words, "--tail", "1").out == "two\n"


def test_the_trainers_container_is_named_beside_that_of_a_mesh(
    api: ApiServer, running: tuple[Object, list[Object]], ocrfleet: Ocrfleet
) -> None:
    pod = copy.deepcopy(running[1][0])
    pod["spec"]["containers"].insert(0, {"name": "istio-proxy"})
    api.put({"apiVersion": "v1", "kind": "Pod", **pod}, namespace="ml")
    ocrfleet("logs", RUN, "-n", "ml", "--node", "0")
    assert api.asked[-1][2]["container"] == "trainer"


def test_the_pod_before_the_present_one(
    api: ApiServer, running: tuple[Object, list[Object]], ocrfleet: Ocrfleet
) -> None:
    ran = ocrfleet("logs", RUN, "-n", "ml", "-p")
    assert (ran.code, "No node has a previous pod" in ran.err) == (40, True)
    newer = copy.deepcopy(running[1][1])
    newer["metadata"] |= {"name": "newer", "uid": "newer", "creationTimestamp": "2027-01-01T00:00:00Z"}
    api.put({"apiVersion": "v1", "kind": "Pod", **newer}, namespace="ml")
    api.write("newer", "three")
    assert ocrfleet("logs", RUN, "-n", "ml", "--node", "1").out == "three\n"
    assert ocrfleet("logs", RUN, "-n", "ml", "--previous").out == "[node 1] one\n[node 1] two\n"


def test_without_pods_the_bucket_is_read_of_which_the_object_tells(
    api: ApiServer, output: str, ocrfleet: Ocrfleet
) -> None:
    workload = recorded("job-running")["workload"]
    told = f'{{"run": {{"output": "{output}"}}}}'
    workload["spec"]["template"]["metadata"]["annotations"] = {ANNOTATION: told}
    api.put(workload, namespace="ml")
    ran = ocrfleet("logs", RUN, "-n", "ml", "--tail", "1")
    assert (ran.code, ran.out) == (0, "[node 0] last\n[node 1] last\n")
    assert ran.err.startswith("Logs of attempt 2 of 2, from file://")
    assert ocrfleet("logs", RUN, "-n", "ml", "--rank", "3").out == (
        "[train, rank 3] train 2 of rank 3\n[evaluate, rank 3] evaluate 2 of rank 3\n"
    )
    assert ocrfleet("logs", RUN, "-n", "ml", "--attempt", "1", "--node", "0").out == "1 of node 0\nlast\n"


def test_an_object_that_does_not_name_its_bucket(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    api.put(recorded("job-running")["workload"], namespace="ml")
    ran = ocrfleet("logs", RUN, "-n", "ml")
    assert (ran.code, "Name it with --from" in ran.err) == (40, True)


def test_no_cluster_is_asked_when_the_bucket_is_named(output: str, ocrfleet: Ocrfleet) -> None:
    assert ocrfleet("logs", RUN, "--from", output, "--node", "1").out == "2 of node 1\nlast\n"
    ran = ocrfleet("logs", "lines-00000000", "--from", output)
    assert (ran.code, "No log in file://" in ran.err) == (40, True)


def test_a_run_without_any_log_says_why(api: ApiServer, tmp_path: Path, ocrfleet: Ocrfleet) -> None:
    """Nobody who waits in a queue wants to read of credentials alone."""
    api.groups["kueue.x-k8s.io"] = "kueue.x-k8s.io/v1beta2"
    workload = held(api, "kueue-waiting")
    annotations = {ANNOTATION: f'{{"run": {{"output": "file://{tmp_path}/nothing"}}}}'}
    workload["spec"]["template"]["metadata"]["annotations"] = annotations
    api.put(workload, namespace="ml")
    ran = ocrfleet("logs", RUN, "-n", "ml")
    assert ran.code == 40
    assert ran.err.startswith(f"error: No pod of {RUN} has a log. The run is Queued. The queue team lacks 0.15 CPUs")
    assert "No log in file://" in ran.err


@pytest.mark.parametrize("device", ["cpu", "gpu", None])
def test_a_job_file_names_its_run(device: str | None, job: Path, tmp_path: Path, ocrfleet: Ocrfleet) -> None:
    """Without a device the run may have had either."""
    from jobs.jobfile import model as jobfile
    from jobs.local import plan

    if device is None:
        job.write_text(job.read_text().replace("placement: {device: cpu}\n", ""))
    elif device == "gpu":
        job.write_text(job.read_text().replace("device: cpu", "device: gpu"))
    run = plan.plan(jobfile.load(job), plan.Options(device=device or "cpu")).run_id
    store = open_store(f"file://{tmp_path}/models")
    store.put(f"checkpoints/{run}/logs/1/node-0.log", b"said\n")
    assert ocrfleet("logs", job).out == "said\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--node", "0", "--rank", "0"], "exclude each other"),
        (["--rank", "0", "-f"], "-f and -p read logs of pods"),
        (["--attempt", "1", "-p"], "-f and -p read logs of pods"),
        (["--from", "s3://b/", "--follow"], "-f and -p read logs of pods"),
        (["--node", "-1"], "--node"),
        (["--tail", "x"], "'x' is not a whole number of 0 or more"),
        (["--attempt", "0"], "'0' is not a whole number above 0"),
    ],
)
def test_words_that_do_not_fit(words: list[str], sentence: str, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet("logs", RUN, *words)
    assert (ran.code, sentence in ran.err) == (2, True), ran


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        *(
            ([], name, None)
            for name in ("node", "rank", "attempt", "tail", "source", "context", "namespace", "timeout")
        ),
        ([], "follow", False),
        ([], "previous", False),
        (["-f"], "follow", True),
        (["--follow"], "follow", True),
        (["-p"], "previous", True),
        (["--previous"], "previous", True),
        (["--node", "0"], "node", 0),
        (["--rank", "3"], "rank", 3),
        (["--attempt", "2"], "attempt", 2),
        (["--tail", "0"], "tail", 0),
        (["--from", "s3://b/x/"], "source", "s3://b/x/"),
        (["-n", "ml"], "namespace", "ml"),
        (["--namespace", "ml"], "namespace", "ml"),
        (["--context", "prod"], "context", "prod"),
        (["--timeout", "1h2m3s"], "timeout", 3723.0),
        (["--timeout", "0.5s"], "timeout", 0.5),
    ],
)
def test_options(words: list[str], name: str, value: Any) -> None:
    assert vars(cli.build_parser().parse_args(["logs", RUN, *words]))[name] == value
