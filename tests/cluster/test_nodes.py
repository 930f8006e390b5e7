"""The cluster is what it is said to be."""

import pytest

from tests.cluster.kube import ApiException, Cluster, Namespace, Object, condition, ended, exit_code, ready
from tests.cluster.manifests import container, deployment, headless, on, pod, pod_spec


@pytest.fixture
def names(cluster: Cluster) -> list[str]:
    return sorted(node["metadata"]["name"] for node in cluster.find("Node"))


def test_two_nodes_are_ready(cluster: Cluster) -> None:
    assert sum(ready(node) for node in cluster.find("Node")) >= 2


def test_a_deployment_runs_on_both_nodes(namespace: Namespace, tiny: str) -> None:
    namespace.apply(deployment("web", 4, pod_spec(container(tiny, "serve", "8080"))))
    namespace.wait("Deployment", "web", lambda found: found["status"].get("availableReplicas") == 4)
    assert len({each["spec"]["nodeName"] for each in namespace.pods()}) == 2


def test_pods_of_two_nodes_reach_one_another_by_name(namespace: Namespace, tiny: str, names: list[str]) -> None:
    namespace.apply(headless("peers", {"group": "peers"}))
    fields = {"subdomain": "peers", "labels": {"group": "peers"}}
    for number, node in enumerate(names[:2]):
        namespace.apply(pod(f"peer-{number}", tiny, "serve", "8080", hostname=f"peer-{number}", **fields, **on(node)))
    for number, node in enumerate(names[:2]):
        other = 1 - number
        url = f"http://peer-{other}.peers.{namespace.name}.svc:8080"
        namespace.apply(pod(f"asks-{number}", tiny, "get", url, **on(node)))
        found = namespace.wait("Pod", f"asks-{number}", lambda seen: seen if seen and ended(seen) else None)
        assert exit_code(found) == 0, namespace.logs(f"asks-{number}")
        assert namespace.logs(f"asks-{number}") == f"peer-{other}\n"


def test_a_service_address_leads_to_its_pods(namespace: Namespace, tiny: str) -> None:
    namespace.apply(deployment("web", 2, pod_spec(container(tiny, "serve", "8080"))))
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}
    namespace.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    namespace.apply(pod("asks", tiny, "get", "http://web"))
    found = namespace.wait("Pod", "asks", lambda seen: seen if ended(seen) else None)
    assert exit_code(found) == 0, namespace.logs("asks")


def test_settings_secrets_and_the_pods_own_facts_come_as_files(namespace: Namespace, tiny: str) -> None:
    namespace.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "setting"}})
    namespace.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"b": "hidden"}})
    label = {"path": "c", "fieldRef": {"fieldPath": "metadata.labels['app']"}}
    volumes = [
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o444}},
        {"name": "facts", "downwardAPI": {"items": [label]}},
    ]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    whole = pod("reads", tiny, labels={"app": "its-own"}, volumes=volumes)
    whole["spec"]["containers"] = [container(tiny, "cat", "/config/a", "/secret/b", "/facts/c", volumeMounts=mounts)]
    namespace.apply(whole)
    namespace.wait("Pod", "reads", ended)
    assert namespace.logs("reads") == "setting\nhidden\nits-own\n"


def test_a_running_pod_can_be_entered_read_and_forwarded(namespace: Namespace, tiny: str) -> None:
    namespace.apply(pod("web", tiny, "serve", "8080"))
    namespace.wait("Pod", "web", ready)
    assert namespace.execute("web", "/tiny", "echo", "from", "inside") == "from inside\n"
    answer = b""
    with namespace.forward("web", 8080) as line:
        line.sendall(b"GET / HTTP/1.0\r\n\r\n")
        while block := line.recv(4096):
            answer += block
    assert answer.endswith(b"web\n")


def test_a_pod_that_eats_too_much_is_killed_and_says_so(namespace: Namespace, tiny: str) -> None:
    whole = pod("eats", tiny)
    whole["spec"]["containers"] = [container(tiny, "eat", "200", resources={"limits": {"memory": "64Mi"}})]
    namespace.apply(whole)

    def why(found: Object) -> str | None:
        # The reason may be `Error` first: containerd hears of the kernel's kill a moment after the process has ended.
        over = (found.get("status", {}).get("containerStatuses") or [{}])[0].get("state", {}).get("terminated") or {}
        return "killed" if over.get("reason") == "OOMKilled" else None

    namespace.wait("Pod", "eats", why)
    assert exit_code(namespace.get("Pod", "eats")) == 137


def test_exit_code_and_last_words_arrive(namespace: Namespace, tiny: str) -> None:
    whole = pod("fails", tiny)
    words = [{"name": "words", "emptyDir": {}}]
    mounts = [{"name": "words", "mountPath": "/words"}]
    said = ["exit", "41", "/words/last", "the dataset is empty"]
    one = container(tiny, *said, terminationMessagePath="/words/last", volumeMounts=mounts)
    whole["spec"] |= {"containers": [one], "volumes": words}
    namespace.apply(whole)
    found = namespace.wait("Pod", "fails", lambda seen: seen if ended(seen) else None)
    assert exit_code(found) == 41
    assert found["status"]["containerStatuses"][0]["state"]["terminated"]["message"] == "the dataset is empty"


def test_a_restricted_namespace_refuses_a_root_pod(namespace: Namespace, tiny: str) -> None:
    whole = pod("root", tiny)
    whole["spec"]["containers"][0]["securityContext"] = {"runAsUser": 0}
    with pytest.raises(ApiException, match="violates PodSecurity"):
        namespace.apply(whole)


def test_an_account_without_a_role_may_nothing(namespace: Namespace) -> None:
    who = f"system:serviceaccount:{namespace.name}:default"
    asked = {"namespace": namespace.name, "verb": "list", "resource": "pods"}
    review = {"spec": {"user": who, "resourceAttributes": asked}}
    answer = namespace.cluster.resource("SubjectAccessReview").create(
        body={"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", **review}
    )
    assert not answer.status.allowed


def test_a_job_gives_each_pod_its_index(namespace: Namespace, tiny: str) -> None:
    template = {"spec": pod_spec(container(tiny, "env", "JOB_COMPLETION_INDEX"))}
    spec = {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "template": template}
    namespace.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "gang"}, "spec": spec})
    namespace.wait("Job", "gang", lambda found: condition(found, "Complete") == "True")
    printed = sorted(namespace.logs(each["metadata"]["name"]) for each in namespace.pods())
    assert printed == ["JOB_COMPLETION_INDEX=0\n", "JOB_COMPLETION_INDEX=1\n"]
