"""A write to the API server, as data."""

from jobs.kube.changes import patch


def test_a_patch_names_the_object_and_carries_only_what_changes() -> None:
    found = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "spec": {"suspend": False}}
    change = patch(found, {"spec": {"suspend": True}})
    assert (change.verb, change.version, change.kind, change.name) == ("patch", "batch/v1", "Job", "a")
    assert change.body == {"spec": {"suspend": True}}
