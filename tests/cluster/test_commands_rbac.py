"""Each command as the accounts of manifests/base: what their roles are for works, and the rest is refused in words."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.kinds import NAMESPACE, POD, Kind
from tests.cluster.controllers import need_engine
from tests.cluster.kube import Namespace, Object
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.manifests import headless
from trainer.errors import AccessError, SpecError

pytestmark = pytest.mark.builds(JOBSET, TRAINER)

MANIFESTS = Path(__file__).parents[2] / "manifests"
BASE = MANIFESTS / "base"
POLICY = MANIFESTS / "components" / "own-objects" / "policy.yaml"

JOB: Object = {
    "apiVersion": "ocrfleet.io/v1",
    "name": "slips-rec",
    "run": {
        "task": "rec",
        "recipe": "rec-crnn-mobile",
        "data": {"train": "s3://no-such-bucket/slips/"},
        "output": "s3://no-such-bucket/slips-rec/",
    },
    # No account has this Secret: its pod is there, and never starts, so no image is pulled.
    "placement": {"device": "cpu", "image": "none", "nodes": 2, "credentialsSecret": "no-such-keys"},
}

Account = Callable[..., tuple[str, str]]


def account(namespace: Namespace, folder: Path, role: str | None) -> Account:
    """Make an account that has a role of manifests/base there, and give the command as it runs it."""
    name = role or "nobody"
    namespace.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    if role:
        (found,) = (
            each
            for path in BASE.glob("*.yaml")
            for each in yaml.safe_load_all(path.read_text("utf-8"))
            if each["kind"] == "ClusterRole" and each["metadata"]["name"] == role
        )
        namespace.cluster.apply(found)
        namespace.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}],
            }
        )
        _wait_for_role(namespace, name)
    asked = namespace.cluster.core.create_namespaced_service_account_token(name, namespace.name, {"spec": {}})
    config: dict[str, Any] = yaml.safe_load(Path(namespace.cluster.kubeconfig).read_text("utf-8"))
    for user in config["users"]:
        user["user"] = {"token": asked.status.token}
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace.name
    kubeconfig = folder / f"{name}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config), "utf-8")

    def ocrfleet(*words: str | Path, code: int = 0) -> tuple[str, str]:
        command = [sys.executable, "-m", "jobs.cli", *map(str, words)]
        environ = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert ran.returncode == code, (words, ran.stdout, ran.stderr)
        return ran.stdout, ran.stderr

    return ocrfleet


def _wait_for_role(namespace: Namespace, account: str) -> None:
    """Ask until the API server has heard of a binding that it has stored: it tells nobody when."""
    wanted = {"namespace": namespace.name, "verb": "get", "resource": "pods", "subresource": "log"}
    spec = {"user": f"system:serviceaccount:{namespace.name}:{account}", "resourceAttributes": wanted}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
    until, pause = time.monotonic() + 30, threading.Event()
    while not namespace.cluster.resource("SubjectAccessReview").create(body=review).status.allowed:
        assert time.monotonic() < until, f"{account} has no role after 30 s"
        pause.wait(0.1)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(JOB), "utf-8")
    return path


@pytest.mark.parametrize("engine", ["job", "jobset", "trainjob"])
def test_a_user_may_do_all_with_runs(namespace: Namespace, tmp_path: Path, job: Path, engine: str) -> None:
    need_engine(namespace.cluster, engine)
    user = account(namespace, tmp_path, "ocrfleet-user")
    words = (job, "--set", f"placement.engine={engine}")
    user("submit", *words, "--dry-run=server")
    assert "A new run" in user("diff", *words, code=1)[0]
    run = user("submit", *words)[0].strip()
    assert "Nothing changed." in user("submit", *words)[1]
    assert "No difference" in user("diff", *words)[0]
    assert namespace.wait_pods(lambda pods: len(pods) == 2 or None)
    assert run in user("list")[0]
    assert [each["run"] for each in json.loads(user("list", "-o", "json")[0])] == [run]
    assert "Waiting" in user("status", run)[0]
    assert "SuccessfulCreate" in user("events", run)[0]
    assert run in user("top")[0]
    # Nothing has started in them.
    assert "has no running pod" in user("shell", run, "--", "true", code=40)[1]
    assert user("stop", run, "--wait", "--timeout", "60s")[0] == f"{run}\n"
    assert namespace.pods() == []
    assert user("resume", run)[0] == f"{run}\n"
    user("prune", "slips-rec", "--done", "--keep", "0")
    user("delete", run, "--yes", "--wait", "--timeout", "60s")
    assert namespace.pods() == []


def test_automation_submits_and_looks_and_ends_nothing(namespace: Namespace, tmp_path: Path, job: Path) -> None:
    automation = account(namespace, tmp_path, "ocrfleet-automation")
    run = automation("submit", job)[0].strip()
    automation("submit", job, "--set", "placement.engine=auto")
    assert "No difference" in automation("diff", job)[0]
    for words in (("list",), ("status", run), ("top",)):
        assert run in automation(*words)[0]
    automation("events", run)
    assert "cannot delete" in automation("delete", run, "--yes", code=42)[1]
    assert [
        each["metadata"]["labels"]["ocrfleet.io/run"]
        for each in namespace.cluster.find("Job", namespace=namespace.name)
    ] == [run]


@pytest.mark.parametrize(("role", "enters"), [("ocrfleet-user", True), ("ocrfleet-automation", False)])
def test_who_may_enter_a_pod_and_who_may_read_secrets(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str, enters: bool
) -> None:
    account(namespace, tmp_path, role)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / f"{role}.kubeconfig"))
    cluster = Cluster()
    assert cluster.namespace == namespace.name
    assert [cluster.may(verb, POD, part="exec") for verb in ("get", "create")] == [enters, enters]
    assert cluster.may("get", POD, part="log")
    assert not any(cluster.may(verb, Kind("v1", "Secret")) for verb in ("get", "list", "create"))
    assert not any(cluster.may("delete", kind) for kind in (Kind("v1", "Service"), POD))
    # The binding is of a namespace, and reaches the object that is the namespace, no other and no list.
    assert name_of(cluster.get(NAMESPACE, namespace.name) or {}) == namespace.name
    with pytest.raises(AccessError):
        cluster.get(NAMESPACE, "default")
    assert not cluster.may("list", NAMESPACE)


def test_an_account_without_a_role_is_told_so(namespace: Namespace, tmp_path: Path, job: Path) -> None:
    nobody = account(namespace, tmp_path, None)
    nobody("submit", job, "--dry-run=client")
    for words in (("submit", job), ("diff", job), ("stop", "slips-rec"), ("delete", "slips-rec"), ("list",)):
        out, said = nobody(*words, code=42)
        assert out == ""
        assert said.startswith("error: The cluster refuses the request: ")
        assert "`kubectl auth can-i --list` shows your permissions." in said
    assert namespace.cluster.find("Service", namespace=namespace.name) == []


@pytest.fixture
def own_objects(namespace: Namespace) -> Iterator[None]:
    """The policy of manifests/components/own-objects, for the namespace."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/part-of": "ocrfleet"}
    metadata = {"name": namespace.name, "labels": labels}
    namespace.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    policies = list(yaml.safe_load_all(POLICY.read_text("utf-8")))
    for each in policies:
        namespace.cluster.apply(each)
    yield
    for each in policies:
        namespace.cluster.resource(each["kind"]).delete(name=each["metadata"]["name"])


@pytest.mark.usefixtures("own_objects")
def test_with_the_policy_a_user_changes_own_objects_only(
    namespace: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: Path
) -> None:
    database = headless("database")
    namespace.apply(database)
    user = account(namespace, tmp_path, "ocrfleet-user")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "ocrfleet-user.kubeconfig"))
    elsewhere = {**database, "spec": {"selector": {"app": "intruder"}}}
    said = _refusal(lambda: Cluster().apply(elsewhere, force=True, dry_run=True))
    assert "services database was not created by ocrfleet" in said
    with pytest.raises(SpecError, match="was not created by ocrfleet"):
        Cluster().apply(elsewhere, force=True)
    assert namespace.get("Service", "database")["spec"]["selector"] == {"app": "database"}
    run = user("submit", job)[0].strip()
    ours = {"name": JOB["name"], "annotations": {"team": "ocr"}}
    Cluster().apply({"apiVersion": "v1", "kind": "Service", "metadata": ours})
    assert namespace.get("Service", JOB["name"])["metadata"]["annotations"]["team"] == "ocr"
    user("delete", run, "--yes", "--wait", "--timeout", "60s")


def _refusal(action: Callable[[], object]) -> str:
    """Return why an action is refused, once it is: the API server tells nobody when it has read a policy."""
    until, pause = time.monotonic() + 60, threading.Event()
    while time.monotonic() < until:
        try:
            action()
        except SpecError as error:
            return str(error)
        pause.wait(0.2)
    raise AssertionError("nothing was refused for 60 s")
