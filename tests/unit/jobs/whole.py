"""A recorded state, all of it, on the fake API server: what its reason names is there, too."""

from typing import Any

from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.states.read import recorded

KUEUE = "kueue.x-k8s.io/v1beta2"


def put(api: ApiServer, state: str, *, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    """Let the server have every object of a state, machines and rivals too; give the workload."""
    objects = recorded(state)
    workload: dict[str, Any] = objects["workload"]
    workload["metadata"] |= metadata
    queued = [objects["queued"]] if objects["queued"] else []
    lists = [objects[key] for key in ("inner", "pods", "events", "machines", "rivals")]
    for each in (workload, *queued, *(one for some in lists for one in some)):
        named = [*each["metadata"].get("ownerReferences", ()), *filter(None, [each.get("involvedObject")])]
        for one in named:
            one["uid"] = f"{one['kind']}-{one['name']}"  # recordings have none
        each["metadata"]["uid"] = f"{each['kind']}-{each['metadata']['name']}"
        api.put({"apiVersion": "v1", **each}, namespace=namespace)
    if queued:
        api.groups["kueue.x-k8s.io"] = KUEUE
        team = {"apiVersion": KUEUE, "kind": "LocalQueue", "metadata": {"name": "team"}}
        api.put({**team, "spec": {"clusterQueue": "ml"}}, namespace=namespace)
    return workload
