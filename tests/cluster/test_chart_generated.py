"""Whatever the schema takes is refused with a sentence, or rendered to objects that the API server takes.

A PodMonitor and a PodMonitoring are asked about only where their kinds are.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

import helm_python
import pytest
from hypothesis import HealthCheck, example, given, note, settings

from tests.chart.helm import in_process, outcome
from tests.chart.jobfiles import job_files
from tests.chart.test_leaves import ENGINES, with_fields
from tests.cluster import controllers
from tests.cluster.kube import Cluster, Object
from tests.cluster.machine import kinds
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.machine.kinds import TRAINING_OPERATOR, VOLCANO
from trainer.formats.yaml import to_yaml

pytestmark = pytest.mark.builds(JOBSET, TRAINER)

FILES: Final = 3000
OPEN, RESTRICTED = "generated", "generated-restricted"
LARGE: Final = with_fields(
    {
        "run.recipe": None,
        "run.config": {"Global": {"character_dict_path": "a" * 203_800}},
        "chart.podAnnotations": {"example.com/a": "a" * 32_700},
    }
)
"""As much as a pod's annotations are let to have."""
LEVEL: Final = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True, eq=False)
class Server:
    """An API server that is asked whether it would take a manifest, once each."""

    cluster: Cluster
    taken: set[tuple[str, str]] = field(default_factory=set)

    @cache  # noqa: B019  one server a session
    def has(self, kind: str, version: str) -> bool:
        return self.cluster.has(kind, version)

    def ask(self, body: Object, *, text: str | None = None, namespace: str = OPEN) -> None:
        """Ask for an object; with the text of a manifest for that, so that a key twice is seen and refused.

        Raises:
            ApiException: it would not.
        """
        said = (namespace, text or json.dumps(body))
        if said in self.taken:
            return
        client = self.cluster.client
        request = client.param_serialize(
            "POST",
            self.cluster.resource(body["kind"], body["apiVersion"]).path(namespace=namespace),
            query_params=[("dryRun", "All"), ("fieldValidation", "Strict")],
            header_params={"Content-Type": f"application/{'yaml' if text else 'json'}", "Accept": "application/json"},
            body=text or body,
            auth_settings=["BearerToken"],
        )
        response = client.call_api(*request)
        response.read()
        client.response_deserialize(response, {})
        self.taken.add(said)


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Server]:
    """The API server with the kinds of all engines, a namespace for any pod and a restricted one."""
    for engine in controllers.ENGINES:
        controllers.need_engine(cluster, engine)
    made = [each for each in (VOLCANO, TRAINING_OPERATOR) if not cluster.has(each.kind, each.version)]
    for each in made:
        if not cluster.local:
            pytest.skip(f"this cluster lacks {each.title} ({each.version})")
        kinds.define(each)
    for name, level in ((OPEN, "privileged"), (RESTRICTED, "restricted")):
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {LEVEL: level}}})
        cluster.wait("ServiceAccount", "default", bool, namespace=name)
    yield Server(cluster)
    for name in (OPEN, RESTRICTED):
        cluster.resource("Namespace").delete(name=name)
    for each in made:
        kinds.forget(each)
    cluster.has("Forgotten", VOLCANO.version)  # the client looks anew for what it does not know


def manifests(made: Mapping[str, str]) -> Iterator[str]:
    for text in made.values():
        yield from (each for each in text.split("\n---\n") if each.strip())


def pod_template(manifest: Any) -> Object | None:
    """Give the pod template of a workload, whatever its kind: the part that has containers with images."""
    if isinstance(manifest, list):
        return next((found for each in manifest if (found := pod_template(each))), None)
    if not isinstance(manifest, dict):
        return None
    spec = manifest.get("spec")
    if isinstance(spec, dict) and any("image" in each for each in spec.get("containers", ())):
        return manifest
    return pod_template(list(manifest.values()))


def pod(template: Object) -> Object:
    """Give a pod of a template, without what must be there before it: its account and its priority."""
    left = {key: value for key, value in template["spec"].items() if key != "priorityClassName"}
    metadata = {**template["metadata"], "name": "one"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**left, "serviceAccountName": "default"}}


def asked(server: Server, job: Mapping[str, Any], made: Mapping[str, str]) -> Object:
    """Ask for all objects of a job; give its pod template."""
    found = None
    for text in manifests(made):
        body = helm_python.values_from_yaml(text)
        if body["kind"] == "Pod":
            server.ask(pod(body))
        elif server.has(body["kind"], body["apiVersion"]):
            server.ask(body, text=text)
            found = found or pod_template(body)
    if not found:
        # A TrainJob has only part of it.
        found = asked(server, job, in_process({**job, "placement": {**job["placement"], "engine": "job"}}))
    return found


@pytest.mark.timeout(1200)
def test_a_generated_job_is_refused_with_a_sentence_or_taken_by_the_api_server(server: Server) -> None:
    """And a pod of it is one that Pod Security `restricted` lets through, but for remote memory."""
    ends: Counter[str] = Counter()

    @settings(max_examples=FILES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(job_files(ENGINES))
    @example(LARGE)
    def hold(job: dict[str, Any]) -> None:
        note(f"the job file:\n{to_yaml(job)}")
        made = outcome(job)
        if isinstance(made, str):
            assert made
            ends["refused"] += 1
            return
        ends[job.get("placement", {}).get("engine", "job")] += 1
        template = asked(server, job, made)
        server.ask(pod(template))
        if ends.total() % 5 == 0 and not remote_memory(template):
            ends["restricted"] += 1
            server.ask(pod(template), namespace=RESTRICTED)

    hold()
    assert ends["refused"] < FILES / 2, ends
    assert all(ends[engine] > FILES / 20 for engine in ENGINES), ends
    assert ends["restricted"] > FILES / 20, ends


def remote_memory(template: Object) -> bool:
    return "IPC_LOCK" in json.dumps(template["spec"]["containers"][0]["securityContext"])
