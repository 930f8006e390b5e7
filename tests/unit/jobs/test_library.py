"""`from jobs import render, submit, wait`: what a pipeline gets, on a server that answers."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, Configuration

import jobs
from examples import pipeline
from jobs.engines.status import Phase
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.submitted import JOB, job
from trainer.errors import AccessError, NotFoundError, SpecError, TransientError

__all__ = ["job"]
RUN = "lines-1a2b3c4d"


def test_a_job_is_rendered_from_its_file_or_its_fields(job: Path) -> None:
    rendered = jobs.render(job, namespace="ml")
    assert rendered.run_id.startswith("slips-rec-")
    assert rendered.workload is rendered.objects[-1]
    assert {each["metadata"]["namespace"] for each in rendered.objects} == {"ml"}
    assert jobs.render(str(job), namespace="ml") == jobs.render(JOB, namespace="ml") == rendered
    assert jobs.render(JOB, sets=["run.train.seed=7"]).run_id != rendered.run_id
    with pytest.raises(SpecError, match=r"run\.task"):
        jobs.render({**JOB, "run": {**JOB["run"], "task": "ocr"}})


def test_a_job_is_submitted_once(api: ApiServer, job: Path) -> None:
    first = jobs.submit(job, namespace="ml")
    assert (first.run_id, first.namespace, first.engine) == (jobs.render(job).run_id, "ml", "job")
    assert first.name.startswith(first.run_id)
    assert f"Job {first.name}: created" in first.changes
    stands = dict(api.objects)
    again = jobs.submit(JOB, context="fake", namespace="ml")
    assert again.run_id == first.run_id
    assert all(change.endswith(": unchanged") for change in again.changes)
    assert api.objects == stands


def test_the_engine_can_be_left_to_the_cluster(api: ApiServer, job: Path) -> None:
    sets = ("placement.engine=auto", "placement.nodes=2")
    assert jobs.submit(job, sets=sets, namespace="ml").engine == "job"
    api.kinds["jobset.x-k8s.io/v1alpha2"] = ["JobSet"]
    assert jobs.submit({**JOB, "name": "other"}, sets=sets, namespace="ml").engine == "jobset"


def test_a_client_of_ones_own_repeats_nothing_by_itself(api: ApiServer, job: Path, tmp_path: Path) -> None:
    """urllib3 would wait as long as the server says, three times, in each call."""
    (cluster,) = yaml.safe_load((tmp_path / "kubeconfig").read_text("utf-8"))["clusters"]
    api.next = [Answer(429, "much later", {"Retry-After": "3600"})]
    with ApiClient(Configuration(host=cluster["cluster"]["server"])) as client:
        client.configuration.api_key["BearerToken"] = "Bearer a-token"
        with pytest.raises(TransientError, match="cannot answer: much later"):
            jobs.submit(job, client=client)
        assert client.configuration.retries is None, "it is as it was"
        client.configuration.api_key["BearerToken"] = "Bearer a-token\n"
        with pytest.raises(SpecError, match="line break or a control character in its token") as caught:
            jobs.submit(job, client=client)
        assert caught.value.__cause__ is None, "its sentence would show the token"


def test_a_client_of_ones_own_is_used(api: ApiServer, job: Path, tmp_path: Path) -> None:
    (cluster,) = yaml.safe_load((tmp_path / "kubeconfig").read_text("utf-8"))["clusters"]
    with ApiClient(Configuration(host=cluster["cluster"]["server"])) as client:
        client.configuration.api_key["BearerToken"] = "Bearer a-token"
        assert jobs.submit(job, client=client).namespace == "default"
        held(api, "job-complete")
        assert jobs.wait(RUN, client=client, namespace="ml").exit_code == 0
        client.configuration.api_key["BearerToken"] = "Bearer another"
        with pytest.raises(AccessError, match="rejects your credentials"):
            jobs.submit(job, client=client)
        with pytest.raises(ValueError, match="exclude each other"):
            jobs.submit(job, client=client, context="fake")


@pytest.mark.parametrize(
    ("state", "code", "phase", "reason"),
    [
        ("job-complete", 0, Phase.SUCCEEDED, ""),
        ("job-exit-41", 41, Phase.FAILED, "the dataset is wrong (exit code 41). Check it with"),
        ("job-memory", 137, Phase.FAILED, "it exceeded its memory limit and was killed"),
    ],
)
def test_a_run_is_waited_for(
    api: ApiServer, capfd: pytest.CaptureFixture[str], state: str, code: int, phase: Phase, reason: str
) -> None:
    held(api, state)
    seen: list[Any] = []
    outcome = jobs.wait(RUN, namespace="ml", on_status=seen.append)
    assert (outcome.run_id, outcome.exit_code, outcome.status.phase) == (RUN, code, phase)
    assert reason in outcome.reason
    assert seen[-1] == outcome.status
    assert capfd.readouterr() == ("", "")


def test_what_cannot_be_waited_for_is_an_error(api: ApiServer) -> None:
    held(api, "job-running")
    with pytest.raises(TransientError, match="it continues"):
        jobs.wait(RUN, namespace="ml", timeout=0.1)
    with pytest.raises(NotFoundError, match="has no run 'line'"):
        jobs.wait("line", namespace="ml")


def test_the_example_returns_the_run_or_says_why_it_failed(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    held(api, "job-exit-41")
    submitted = jobs.Submitted(run_id=RUN, name=f"{RUN}-9f0e", namespace="ml", engine="job", changes=())
    monkeypatch.setattr(pipeline, "submit", lambda *_, **__: submitted)
    with pytest.raises(RuntimeError, match=r"ended with 41\..*the dataset is wrong"):
        pipeline.train("job.yaml", namespace="ml")
    held(api, "job-complete")
    assert pipeline.train("job.yaml", namespace="ml") == RUN
