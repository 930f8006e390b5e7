"""The objects that tests make, as short as they can be said."""

from typing import Any

from tests.cluster.kube import Object

RESTRICTED: Object = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""A container's security context that Pod Security `restricted` lets through."""


def container(image: str, *arguments: str, **fields: Any) -> Object:
    """Give a container; `fields` are its own fields, as Kubernetes has them."""
    given = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "args": list(arguments)}
    return {**given, "securityContext": RESTRICTED, **fields}


def pod_spec(first: Object, **fields: Any) -> Object:
    """Give the specification of a pod that is not started again and ends at once when it is told to."""
    return {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [first], **fields}


def pod(name: str, image: str, *arguments: str, labels: dict[str, str] | None = None, **fields: Any) -> Object:
    """Give a pod of one container; `fields` are the pod's."""
    metadata = {"name": name, "labels": labels or {"app": name}}
    spec = pod_spec(container(image, *arguments), **fields)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def headless(name: str, labels: dict[str, str] | None = None) -> Object:
    """Give a Service that only gives its pods names."""
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": labels or {"app": name}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def deployment(name: str, replicas: int, template: Object) -> Object:
    """Give a Deployment, its pods spread over the nodes."""
    labels = {"app": name}
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": labels},
    }
    whole = {**template, "restartPolicy": "Always", "topologySpreadConstraints": [spread]}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": whole},
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def on(node: str) -> Object:
    """Give the field that puts a pod on a node."""
    return {"nodeSelector": {"kubernetes.io/hostname": node}}
