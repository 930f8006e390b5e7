"""Who reaches whom: what a NetworkPolicy opens and closes is seen by trying it."""

import threading
import time

import pytest

from tests.cluster.kube import Cluster, Namespace, Object, ready
from tests.cluster.machine import policies
from tests.cluster.manifests import pod

DEADLINE = 30.0
"""Seconds until a policy must hold; enforcing it is asynchronous, and tells nobody when it is done."""


def need_policies(cluster: Cluster, namespace: Namespace, image: str) -> None:
    """Enforce policies; a cluster that is not ours does that by itself, or the test is skipped.

    Raises:
        ClusterError: the enforcer does not come up on our own cluster.
    """
    if cluster.local:
        policies.install()
    elif reason := not_enforced(namespace, image):
        pytest.skip(f"NetworkPolicy: not enforced here: {reason}")


def not_enforced(namespace: Namespace, image: str) -> str | None:
    """Try a policy out with two pods, and give the reason why it counts for nothing; None when it counts."""
    for name, arguments in {"trial-answers": ("serve", "8080"), "trial-asks": ()}.items():
        namespace.apply(pod(name, image, *arguments))
    url = f"http://{address(namespace, 'trial-answers')}:8080"
    address(namespace, "trial-asks")
    assert_open(namespace, "trial-asks", url)
    namespace.apply(policy("trial", {"app": "trial-answers"}, ingress=[]))
    if _closes(namespace, "trial-asks", url):
        return None
    return f"{DEADLINE:.0f} s after a policy was made that denies it, one pod still reaches the other"


def policy(name: str, of: dict[str, str], **rules: list[Object]) -> Object:
    """Give a policy.

    Args:
        name: of the object.
        of: labels of the pods that it is about.
        rules: what it lets through, as `ingress`, `egress` or both; the rest of that direction is denied.
    """
    spec = {"podSelector": {"matchLabels": of}, "policyTypes": [way.capitalize() for way in rules], **rules}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec}


def address(namespace: Namespace, name: str) -> str:
    """Give a pod's address, once it is ready."""
    return str(namespace.wait("Pod", name, lambda seen: seen["status"]["podIP"] if ready(seen) else None))


def assert_open(namespace: Namespace, name: str, url: str) -> None:
    """Have a pod ask until it gets an answer.

    Raises:
        AssertionError: there is none within the deadline.
    """
    assert _answered(said := _ask(namespace, name, url, patience=DEADLINE)), said


def assert_closed(namespace: Namespace, name: str, url: str) -> None:
    """Have a pod ask until it gets no answer any more.

    Raises:
        AssertionError: it still gets one after the deadline.
    """
    assert _closes(namespace, name, url), f"{name} still reaches {url} after {DEADLINE:.0f} s"


def _closes(namespace: Namespace, name: str, url: str) -> bool:
    until, pause = time.monotonic() + DEADLINE, threading.Event()
    while _answered(_ask(namespace, name, url, patience=0)):
        if time.monotonic() > until:
            return False
        pause.wait(0.2)
    return True


def _ask(namespace: Namespace, name: str, url: str, *, patience: float) -> str:
    return namespace.execute(name, "/tiny", "get", url, str(patience))


def _answered(said: str) -> bool:
    """Tell an answer from an error of the network; anything else is a failure of the test."""
    assert said, "`tiny get` said nothing"
    refused = said.startswith("tiny: Get ")
    assert refused or not said.startswith("tiny:"), said
    return not refused
