"""Following: what is there, through restarts of the server and states that it has forgotten."""

import threading
import time

import pytest

from jobs.kube.client import Cluster
from jobs.kube.informer import Collection, Following
from jobs.kube.kinds import NODE, POD, Kind
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.kube.pods import pod
from trainer.errors import AccessError, OcrfleetError, TransientError


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.kube.informer._PAUSES", (0.01,))


def names(following: Following, collection: str = "pods") -> list[str]:
    return sorted(each["metadata"]["name"] for each in following.now(collection) or ())


def until(following: Following, wanted: list[str]) -> None:
    end = time.monotonic() + 10
    while names(following) != wanted:
        assert time.monotonic() < end, names(following)
        following.wait(1)


def test_following_outlives_restarts_and_forgetting(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    with Following(cluster, {"pods": Collection(kind=POD)}) as following:
        assert following.wait(10)
        assert names(following) == ["a"]
        api.cut()
        api.put(pod("b"))
        until(following, ["a", "b"])
        # Gone while nobody watched, and the history with it.
        api.next = [Answer(503, "starting")]
        with api.changed:
            api.cuts += 1
            api._drop(POD.path(namespace="default", name="a"))
            api.version += 1
            api.forgotten = api.version
            api.changed.notify_all()
        until(following, ["b"])
        assert following.away_since is None


def test_following_gives_up_a_server_that_stays_away(api: ApiServer, cluster: Cluster) -> None:
    with Following(cluster, {"pods": Collection(kind=POD)}, patience=0.2) as following:
        following.wait(10)
        api.next = [Answer(503, "gone for good")] * 10_000
        api.cut()
        with pytest.raises(TransientError):
            until(following, ["never"])


def test_a_server_is_back_when_it_answers_though_nothing_changes(api: ApiServer, cluster: Cluster) -> None:
    with Following(cluster, {"pods": Collection(kind=POD)}) as following:
        following.wait(10)
        began = time.monotonic()
        api.next = [Answer(503, "starting")] * 10_000
        api.cut()
        assert following.wait(10)
        since = following.away_since
        assert since is not None
        assert began <= since <= time.monotonic()
        api.next = []
        while following.away_since is not None:
            assert following.wait(10), "the server answers again, and nobody was told"


def test_a_wait_returns_when_its_time_is_over_and_what_was_seen_is_no_change(api: ApiServer, cluster: Cluster) -> None:
    api.put(pod("a"))
    with Following(cluster, {"pods": Collection(kind=POD)}) as following:
        assert following.wait() is True
        assert following.wait(0) is False
        api.put(pod("b"))
        assert following.wait() is True
        assert names(following) == ["a", "b"]


def test_nothing_is_followed_once_it_is_closed(api: ApiServer, cluster: Cluster) -> None:
    with Following(cluster, {"closed": Collection(kind=POD)}) as following:
        assert following.wait(10)
        (thread,) = (each for each in threading.enumerate() if each.name == "follow-closed")
    api.put(pod("a"))
    thread.join(10)
    assert not thread.is_alive()
    assert names(following, "closed") == []


@pytest.mark.parametrize(("everywhere", "seen"), [(False, ["a"]), (True, ["a", "b"])])
def test_other_namespaces_are_followed_when_that_is_asked_for(
    everywhere: bool, seen: list[str], api: ApiServer, cluster: Cluster
) -> None:
    collection = Collection(kind=POD, everywhere=everywhere) if everywhere else Collection(kind=POD)
    api.put(pod("b"), namespace="other")
    api.put(pod("a"))
    with Following(cluster, {"pods": collection}) as following:
        assert following.wait(10)
        assert names(following) == seen


def test_following_asks_a_server_that_is_away_less_and_less(
    api: ApiServer, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has just started has all its clients back at once."""
    monkeypatch.setattr("jobs.kube.informer._PAUSES", pauses := (0.01, 0.02, 0.05))
    with Following(cluster, {"pods": Collection(kind=POD)}) as following:
        following.wait(10)
        waited = list[float]()
        monkeypatch.setattr(following._closed, "wait", waited.append)
        api.next = [Answer(503, "starting")] * 5
        api.cut()
        until(following, [])
        while following.away_since is not None or len(waited) < 5:
            assert following.wait(10)
        assert tuple(waited[:5]) == (*pauses, pauses[-1], pauses[-1])


def test_an_answer_that_no_retry_can_help_ends_it(api: ApiServer, cluster: Cluster) -> None:
    api.next = [Answer(400, "no such selector")]
    with (
        Following(cluster, {"pods": Collection(kind=POD)}) as following,
        pytest.raises(OcrfleetError, match="no such selector"),
    ):
        following.wait()


def test_what_is_not_needed_may_be_refused_or_missing(api: ApiServer, cluster: Cluster) -> None:
    api.refused.add(("list", "nodes"))
    kueue = Kind("kueue.x-k8s.io/v1beta2", "Workload")
    wanted = {
        "pods": Collection(kind=POD),
        "nodes": Collection(kind=NODE, needed=False),
        "workloads": Collection(kind=kueue, needed=False),
    }
    with Following(cluster, wanted) as following:
        assert following.wait(10)
        assert [following.now(name) for name in wanted] == [[], None, None]
    with Following(cluster, {"nodes": Collection(kind=NODE)}) as following, pytest.raises(AccessError):
        following.wait()
