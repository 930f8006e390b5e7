"""Where the API server has the objects of a kind."""

import pytest

from jobs.kube.kinds import JOB, NODE, POD, Kind


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (POD, "/api/v1/namespaces/n/pods/a"),
        (NODE, "/api/v1/nodes/a"),
        (JOB, "/apis/batch/v1/namespaces/n/jobs/a"),
        (Kind("networking.k8s.io/v1", "NetworkPolicy"), "/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/a"),
    ],
)
def test_a_kind_knows_where_its_objects_are(kind: Kind, path: str) -> None:
    assert kind.path(namespace="n", name="a") == path
