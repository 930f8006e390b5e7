"""The way to the API server, over HTTP: what is sent, what is read, and how its refusals read."""

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.kube import projections
from jobs.kube.changes import Change
from jobs.kube.client import Cluster, ExpiredError, MissingKindError
from jobs.kube.connection import connect
from jobs.kube.kinds import JOB, POD, Kind
from jobs.kube.kubeconfig import Target
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.kube.pods import pod
from trainer.errors import AccessError, ConflictError, OcrfleetError, SpecError, TransientError


def test_the_context_says_where_and_the_options_say_it_better(api: ApiServer) -> None:
    assert (Cluster().context, Cluster().namespace) == ("fake", "default")
    assert Cluster(connect(Target(context="elsewhere"))).namespace == "team-ocr"
    assert Cluster(connect(Target(context="elsewhere")), namespace="mine").namespace == "mine"
    with pytest.raises(SpecError, match=r"no context 'nowhere'. Its contexts: elsewhere, fake\."):
        connect(Target(context="nowhere"))


def test_without_a_kubeconfig_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(SpecError, match="Set KUBECONFIG"):
        Cluster()


def test_objects_are_listed_in_pages_with_their_kind(api: ApiServer, cluster: Cluster) -> None:
    for number in range(5):
        api.put(pod(f"p{number}", run="a" if number % 2 else "b"))
    api.put(pod("elsewhere"), namespace="other")
    api.page = 2
    found, version = cluster.find(POD)
    assert [each["metadata"]["name"] for each in found] == [f"p{number}" for number in range(5)]
    assert {each["kind"] for each in found} == {"Pod"}
    assert version == str(api.version)
    assert len(cluster.find(POD, selector="run=a")[0]) == 2
    assert len(cluster.find(POD, fields="metadata.name=p3")[0]) == 1
    assert len(cluster.find(POD, everywhere=True)[0]) == 6


def test_one_object_or_none(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    assert (cluster.get(POD, "a") or {})["metadata"]["name"] == "a"
    assert cluster.get(POD, "b") is None


def test_apply_makes_changes_and_leaves_alone(api: ApiServer, cluster: Cluster) -> None:
    made = cluster.apply(pod("a", run="x"))
    assert cluster.apply(pod("a", run="x"))["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    assert cluster.apply(pod("b"), dry_run=True)["metadata"]["name"] == "b"
    assert cluster.get(POD, "b") is None
    method, _, query, _ = next(asked for asked in api.asked if asked[0] == "PATCH")
    assert (method, query) == ("PATCH", {"fieldManager": "ocrfleet", "fieldValidation": "Strict"})


def test_changes_of_engines_are_written(api: ApiServer, cluster: Cluster) -> None:
    api.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"suspend": False}})
    changed = cluster.change(
        Change(verb="patch", version="batch/v1", kind="Job", name="a", body={"spec": {"suspend": True}})
    )
    assert changed["spec"]["suspend"] is True
    command = {"apiVersion": "bus.volcano.sh/v1alpha1", "kind": "Command", "metadata": {"generateName": "a-"}}
    api.kinds["bus.volcano.sh/v1alpha1"] = ["Command"]
    made = cluster.change(
        Change(verb="create", version="bus.volcano.sh/v1alpha1", kind="Command", name="a-", body=command)
    )
    assert made["metadata"]["name"].startswith("a-")


def test_delete_says_whether_there_was_one(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    assert [cluster.delete(POD, "a", foreground=True), cluster.delete(POD, "a")] == [True, False]
    assert api.asked[0][3]["propagationPolicy"] == "Foreground"


def test_logs_are_lines(api: ApiServer, cluster: Cluster) -> None:
    api.written["a"] = "one\ntwo\nthree"
    assert list(cluster.logs("a", tail=3)) == ["one", "two", "three"]
    assert api.asked[-1][2] == {"tailLines": "3"}


def test_what_the_cluster_serves_and_what_a_user_may(api: ApiServer, cluster: Cluster) -> None:
    api.groups["kueue.x-k8s.io"] = "kueue.x-k8s.io/v1beta2"
    assert [cluster.served("kueue.x-k8s.io"), cluster.served("none.io")] == ["kueue.x-k8s.io/v1beta2", None]
    assert [cluster.serves(JOB), cluster.serves(Kind("batch/v1", "Other")), cluster.serves(POD)] == [True, False, True]
    api.refused.add(("create", "jobs"))
    assert [cluster.may("create", JOB), cluster.may("get", JOB)] == [False, True]


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(401), AccessError, "rejects your credentials"),
        (Answer(403, "pods is forbidden"), AccessError, "pods is forbidden"),
        (
            Answer(403, 'jobs.batch "a" is forbidden: User "u" cannot patch resource "jobs"'),
            AccessError,
            "cannot patch .* `kubectl auth can-i --list` shows your permissions.$",
        ),
        (
            Answer(403, 'admission webhook "team.example.com" denied the request: no CPU runs.'),
            SpecError,
            "rejects the object: .* denied the request: no CPU runs.$",
        ),
        (
            Answer(403, 'jobs.batch "a" is forbidden: exceeded quota: team, requested: count/jobs.batch=1'),
            SpecError,
            "exceeded quota: team, requested: count/jobs.batch=1.$",
        ),
        (
            Answer(404, "the server could not find the requested resource"),
            MissingKindError,
            "does not serve pods of v1: ",
        ),
        (Answer(409, "the object has been modified"), ConflictError, "has been modified"),
        (Answer(410, "expired"), ExpiredError, "expired"),
        (Answer(422, "spec.nodes: Invalid value"), SpecError, "Invalid value"),
        (Answer(500, "failed to create typed patch object: .x: field not declared"), SpecError, "not declared"),
        (Answer(500, "etcd is away"), TransientError, "etcd is away"),
        (Answer(418, "short and stout"), OcrfleetError, "answered 418"),
    ],
)
def test_each_refusal_is_an_error_of_its_own_class(
    api: ApiServer, cluster: Cluster, answer: Answer, error: type[OcrfleetError], words: str
) -> None:
    api.next = [answer]
    with pytest.raises(error, match=words) as caught:
        cluster.apply(pod("a"))
    assert type(caught.value) is error


def test_a_kind_that_the_cluster_does_not_serve_is_named_with_its_api(api: ApiServer, cluster: Cluster) -> None:
    for everywhere in (False, True):
        api.next = [Answer(404, "the server could not find the requested resource")]
        with pytest.raises(MissingKindError, match=r"does not serve jobsets of jobset\.x-k8s\.io/v1alpha2: "):
            cluster.find(Kind("jobset.x-k8s.io/v1alpha2", "JobSet"), everywhere=everywhere)


def test_it_tries_again_when_the_server_says_so_and_not_else(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    api.next = [Answer(429, "later", {"Retry-After": "0"}), Answer(503, "starting", {"Retry-After": "0"})]
    assert cluster.get(POD, "a")
    api.next = [Answer(503, "no word of when")]
    with pytest.raises(TransientError):
        cluster.get(POD, "a")
    api.next = [Answer(429, "much later", {"Retry-After": "60"})]
    began = time.monotonic()
    with pytest.raises(TransientError, match="much later"):
        cluster.get(POD, "a")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("items_first", [False, True])
def test_pages_come_in_their_order_wherever_the_server_says_that_there_are_more(
    api: ApiServer, cluster: Cluster, items_first: bool
) -> None:
    for number in range(25):
        api.put(pod(f"p{number:02}"))
    api.page, api.items_first = 2, items_first
    found, _ = cluster.find(POD)
    assert [each["metadata"]["name"] for each in found] == [f"p{number:02}" for number in range(25)]
    asked = [query.get("continue") for _, _, query, _ in api.asked]
    assert asked == [None, *(str(number) for number in range(2, 25, 2))], "each page once"


def test_a_list_whose_pages_are_forgotten_is_asked_for_at_once(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        api.put(pod(f"p{number}"))
    api.page = 2
    data = cluster._data

    def slow(verb: str, path: str, **options: Any) -> bytes:
        if "continue" in options["query"]:
            raise ExpiredError("too old")
        api.page = 2 if "limit" in options["query"] else 100
        return data(verb, path, **options)

    monkeypatch.setattr(cluster, "_data", slow)
    assert len(cluster.find(POD)[0]) == 5


def test_a_list_may_read_a_part_of_objects_and_reads_whole_what_is_of_another_shape(
    api: ApiServer, cluster: Cluster
) -> None:
    api.put({**pod("a"), "spec": {"nodeName": "n", "hostname": "h"}, "other": 1})
    (found,), _ = cluster.find(POD, shape=projections.Pod)
    assert found["spec"] == {"nodeName": "n"}
    assert (found["kind"], found["metadata"]["name"], "other" in found) == ("Pod", "a", False)
    api.put({**pod("b"), "spec": {"nodeName": 7}})
    both, _ = cluster.find(POD, shape=projections.Pod)
    assert [each["spec"].get("nodeName") for each in both] == ["n", 7]


def test_a_server_that_says_nothing_is_given_up(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "kubeconfig"
        text = path.read_text()
        port = text.split("http://127.0.0.1:")[1].split("\n")[0]
        path.write_text(text.replace(port, str(silent.getsockname()[1])))
        with pytest.raises(TransientError, match=r"does not respond .*Check the context 'fake'"):
            Cluster(deadline=0.3).get(POD, "a")


def test_a_watch_tells_changes_from_a_state_on(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    _, since = cluster.find(POD)
    watching = cluster.watch(POD, since=since)
    assert next(watching)[0] == "BOOKMARK"
    api.put(pod("b"))
    api.take(POD, "a")
    assert [(what, found["metadata"]["name"]) for what, found in (next(watching), next(watching))] == [
        ("ADDED", "b"),
        ("DELETED", "a"),
    ]
    api.cut()
    with pytest.raises(TransientError):
        next(watching)


def test_a_forgotten_state_is_told(api: ApiServer, cluster: Cluster) -> None:
    api.forget()
    with pytest.raises(ExpiredError):
        list(cluster.watch(POD, since="1"))


def test_a_server_that_wants_a_request_again_at_once_is_not_flooded(api: ApiServer) -> None:
    """For a second after each; the deadline of this call ends before."""
    api.next = [Answer(429, "busy", {"Retry-After": "0"})] * 2
    with pytest.raises(TransientError, match="cannot answer: busy"):
        Cluster(deadline=0.9).get(POD, "a")
    assert len(api.asked) == 1
