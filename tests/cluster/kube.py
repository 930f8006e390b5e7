"""Talk to the API server in a test's words: apply, and wait for what it says next."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import kubernetes
import urllib3
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic.exceptions import ResourceNotFoundError
from kubernetes.stream import portforward, stream

from tests.objects import Object

T = TypeVar("T")
_OWN = {"Job": "batch/v1", "Event": "v1"}
"""Versions of kinds that Kubernetes shares with others (Volcano has Jobs), where none is said."""


class Cluster:
    """A cluster, by its kubeconfig."""

    def __init__(self, kubeconfig: str, *, local: bool) -> None:
        """Connect.

        Args:
            kubeconfig: path of the file.
            local: it is the one of `make cluster-up`, so that its nodes can be hurt.
        """
        self.kubeconfig, self.local = kubeconfig, local
        self.client = kubernetes.config.new_client_from_config(kubeconfig)
        self.core = kubernetes.client.CoreV1Api(self.client)
        self._dynamic = kubernetes.dynamic.DynamicClient(self.client)

    def resource(self, kind: str, version: str | None = None) -> Any:
        """Give the API of a kind, such as `Pod`, `Job` or `Workload`."""
        version = version or _OWN.get(kind)
        wanted = {"kind": kind, **({"api_version": version} if version else {})}
        try:
            return self._dynamic.resources.get(**wanted)
        except ResourceNotFoundError:
            self._dynamic.resources.invalidate_cache()
            return self._dynamic.resources.get(**wanted)

    def has(self, kind: str, version: str) -> bool:
        """Tell whether the API server knows a kind."""
        try:
            return bool(self.resource(kind, version))
        except ResourceNotFoundError:
            return False

    def get(self, kind: str, name: str, *, namespace: str | None = None, version: str | None = None) -> Object:
        """Give an object."""
        found: Object = self.resource(kind, version).get(name=name, namespace=namespace).to_dict()
        return found

    def find(
        self, kind: str, *, namespace: str | None = None, version: str | None = None, labels: str = ""
    ) -> list[Object]:
        """Give all objects of a kind."""
        found = self.resource(kind, version).get(namespace=namespace, label_selector=labels or None)
        return [item.to_dict() for item in found.items]

    def apply(self, manifest: Object | str, *, namespace: str | None = None) -> Object:
        """Apply an object from the server's side, and give it as the server has it."""
        body: Object = yaml.safe_load(manifest) if isinstance(manifest, str) else manifest
        resource = self.resource(body["kind"], body["apiVersion"])
        done = resource.server_side_apply(
            body=body, name=body["metadata"]["name"], namespace=namespace, field_manager="test", force_conflicts=True
        )
        return dict(done.to_dict())

    def wait(
        self,
        kind: str,
        name: str,
        true: Callable[[Object], T | None],
        *,
        namespace: str | None = None,
        deadline: float = 60,
        version: str | None = None,
    ) -> T:
        """Watch an object until something is true of it; give what `true` gave.

        Args:
            kind: of the object.
            name: of the object, which need not be there yet.
            true: is given the object after each change.
            namespace: where it is.
            deadline: seconds until that is a failure.
            version: its API's group and version, where the kind alone could be another's.

        Raises:
            AssertionError: it did not come true; the text has the object's last state.
        """
        until, last = time.monotonic() + deadline, "it never was there"
        while (seconds := until - time.monotonic()) > 0:
            watching = self.resource(kind, version).watch(
                namespace=namespace, field_selector=f"metadata.name={name}", timeout=max(1, int(seconds))
            )
            for event in watching:
                seen = event["raw_object"]
                if event["type"] == "DELETED":
                    seen = {}
                if answer := true(seen):
                    return answer
                last = json.dumps(seen.get("status"), indent=1) if seen else "it is gone"
                if time.monotonic() > until:
                    break
        raise AssertionError(f"{kind} {name}: not true within {deadline:.0f} s. Its last state:\n{last}")

    def watch_pods(
        self, namespace: str, true: Callable[[list[Object]], T | None], *, labels: str = "", deadline: float = 60
    ) -> T:
        """Watch the pods of a namespace until something is true of all of them together.

        Raises:
            AssertionError: it did not come true.
        """
        until, pods = time.monotonic() + deadline, dict[str, Object]()
        while (seconds := until - time.monotonic()) > 0:
            pods.clear()
            for event in self.resource("Pod", "v1").watch(
                namespace=namespace, label_selector=labels or None, timeout=max(1, int(seconds))
            ):
                seen = event["raw_object"]
                if event["type"] == "DELETED":
                    pods.pop(seen["metadata"]["uid"], None)
                else:
                    pods[seen["metadata"]["uid"]] = seen
                if answer := true(list(pods.values())):
                    return answer
                if time.monotonic() > until:
                    break
        states = {pod["metadata"]["name"]: pod["status"].get("phase") for pod in pods.values()}
        raise AssertionError(f"Pods of {namespace}: not true within {deadline:.0f} s. Their last states: {states}")


@dataclass(frozen=True)
class Namespace:
    """A namespace that a test has for itself."""

    cluster: Cluster
    name: str

    def apply(self, manifest: Object | str) -> Object:
        """Apply an object in it."""
        return self.cluster.apply(manifest, namespace=self.name)

    def get(self, kind: str, name: str, *, version: str | None = None) -> Object:
        """Give an object of it."""
        return self.cluster.get(kind, name, namespace=self.name, version=version)

    def wait(
        self,
        kind: str,
        name: str,
        true: Callable[[Object], T | None],
        *,
        deadline: float = 60,
        version: str | None = None,
    ) -> T:
        """Watch an object of it; see `Cluster.wait`."""
        return self.cluster.wait(kind, name, true, namespace=self.name, deadline=deadline, version=version)

    def pods(self, labels: str = "") -> list[Object]:
        """Give its pods."""
        return self.cluster.find("Pod", namespace=self.name, version="v1", labels=labels)

    def wait_pods(self, true: Callable[[list[Object]], T | None], *, labels: str = "", deadline: float = 60) -> T:
        """Watch its pods; see `Cluster.watch_pods`."""
        return self.cluster.watch_pods(self.name, true, labels=labels, deadline=deadline)

    def delete(self, kind: str, name: str, *, version: str | None = None, grace: int | None = None) -> None:
        """Delete an object, and what it owns."""
        options = {"propagationPolicy": "Background", **({} if grace is None else {"gracePeriodSeconds": grace})}
        self.cluster.resource(kind, version).delete(name=name, namespace=self.name, body=options)

    def logs(self, pod: str, **options: Any) -> str:
        """Give what a pod has printed."""
        # The client (36.0) would give the text of a bytes object.
        read = self.cluster.core.read_namespaced_pod_log
        return bytes(read(pod, self.name, _preload_content=False, **options).data).decode()

    def follow(self, pod: str, beginning: str, *, deadline: float = 60) -> None:
        """Read what a running pod prints until a line begins so.

        Raises:
            AssertionError: it has ended before, or not said so in time.
        """
        read = self.cluster.core.read_namespaced_pod_log
        answer = read(pod, self.name, follow=True, _preload_content=False, _request_timeout=deadline)
        until, said = time.monotonic() + deadline, b""
        try:
            for block in answer.stream(1 << 16, decode_content=False):
                said += block
                if any(line.startswith(beginning) for line in said.decode(errors="replace").splitlines()):
                    return
                if time.monotonic() > until:
                    break
        except urllib3.exceptions.HTTPError:
            pass
        finally:
            answer.close()
        raise AssertionError(
            f"{pod} has not said {beginning!r} within {deadline:.0f} s:\n{said.decode(errors='replace')}"
        )

    def execute(self, pod: str, *command: str) -> str:
        """Run a command in a pod, and give what it printed."""
        call = self.cluster.core.connect_get_namespaced_pod_exec
        wanted = {"stdout": True, "stderr": True, "stdin": False, "tty": False}
        line = stream(call, pod, self.name, command=list(command), **wanted, _preload_content=False)
        try:
            line.run_forever(timeout=60)
            return str(line.read_all())
        finally:
            line.sock.shutdown()  # the client only says goodbye

    @contextmanager
    def forward(self, pod: str, port: int) -> Iterator[Any]:
        """Give a socket to a pod's port, through the API server."""
        call = self.cluster.core.connect_get_namespaced_pod_portforward
        line = portforward(call, pod, self.name, ports=str(port))
        try:
            yield line.socket(port)
        finally:
            line.close()
            for thread in threading.enumerate():
                if thread.name.startswith("Kubernetes port forward proxy"):
                    thread.join(10)
            line.websocket.shutdown()  # the client's thread leaves it open


def ready(found: Object) -> bool:
    """Tell whether an object has the condition Ready."""
    return condition(found, "Ready") == "True"


def condition(found: Object, name: str) -> str | None:
    """Give the status of an object's condition."""
    conditions: list[Mapping[str, str]] = found.get("status", {}).get("conditions") or []
    return next((each["status"] for each in conditions if each["type"] == name), None)


def ended(pod: Object) -> bool:
    """Tell whether a pod has come to its end, good or bad."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def exit_code(pod: Object) -> int | None:
    """Give the exit code of a pod's only container; None while it has none."""
    for status in pod.get("status", {}).get("containerStatuses") or []:
        if over := (status.get("state") or {}).get("terminated"):
            return int(over["exitCode"])
    return None


__all__ = ["ApiException", "Cluster", "Namespace", "Object", "condition", "ended", "exit_code", "ready"]
