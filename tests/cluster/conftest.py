"""A real cluster for the whole session, and a namespace in it for each test.

It is the one of `make cluster-up`, brought up when it is not there; or, with OCRFLEET_TEST_KUBECONFIG, one of yours.
What that one lacks, the skipped tests say by name.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import pytest

from examples.local_s3 import Server, local_s3
from tests.cluster import evidence, manifests
from tests.cluster.kube import Cluster, Namespace, Object
from tests.cluster.machine import images, lifetime, programs, trainer_image
from tests.cluster.machine.images import Image
from tests.cluster.machine.layout import CACHE, HERE, HOST, KUBECONFIG
from tests.cluster.machine.processes import ClusterError
from tests.cluster.skips import GIVEN, fail_in_ci
from tests.proxy import Proxy

IMAGES: Final = {"trainer": trainer_image.trainer_image, "tinytrainer": trainer_image.tiny_trainer_image}
"""What builds the image of a fixture."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "builds(*what): addons and programs that are built before the first test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take the cluster down behind all others."""
    items.sort(key=lambda item: item.path.name == "test_lifetime.py")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build all that the chosen tests need: it takes minutes, which no test's time limit allows for."""
    chosen = [item for item in session.items if item.path.is_relative_to(HERE.parent)]
    if not chosen or session.config.option.collectonly or os.environ.get(GIVEN):
        return
    marks = (mark for item in chosen for mark in item.iter_markers("builds"))
    fixtures = {name for item in chosen for name in getattr(item, "fixturenames", ())}
    try:
        programs.build(programs.CONTROL)
        for what in {each.name: each for mark in marks for each in mark.args}.values():
            what.build()
        for name in sorted(IMAGES.keys() & fixtures):
            _built(name)
    except ClusterError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep what a failure leaves in its namespace, and name the folder in the report; in CI a skip is a failure."""
    report: pytest.TestReport = yield  # type: ignore[misc, assignment]
    fail_in_ci(report)
    namespace = getattr(item, "funcargs", {}).get("namespace")
    if report.when == "call" and report.failed and namespace:
        report.sections.append(("kept of the cluster", str(evidence.keep(namespace, item.name))))
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster."""
    if given := os.environ.get(GIVEN):
        return Cluster(given, local=False)
    lifetime.up()
    return Cluster(str(KUBECONFIG), local=True)


@pytest.fixture(scope="session")
def tiny(cluster: Cluster) -> str:
    """Name of the small image that most tests run; see tests/cluster/programs/tiny."""
    image = images.of_program(programs.build({"tiny": programs.CONTROL["tiny"]}) / "tiny")
    if cluster.local:
        # It is another one when its program has changed since the cluster came up.
        images.import_everywhere(image)
    elif not _runs(cluster, image.name):
        pytest.skip(f"this cluster lacks the image {image.name}: give it {image.archive}, such as by `kind load`")
    return image.name


@pytest.fixture(scope="session")
def trainer(cluster: Cluster) -> str:
    """Name of the trainer's image, for tests in which Paddle counts; both nodes have it."""
    return _imported(cluster, "trainer")


@pytest.fixture(scope="session")
def tinytrainer(cluster: Cluster) -> str:
    """Name of the image of tests/tinytrainer, for runs in which Paddle does not count; both nodes have it."""
    return _imported(cluster, "tinytrainer")


@pytest.fixture
def hands(cluster: Cluster) -> None:
    """For tests that hurt a node: skipped on a cluster whose nodes are not ours."""
    if not cluster.local:
        pytest.skip("this cluster lacks nodes that may be hurt: it is not the one of `make cluster-up`")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A new namespace, in which only pods run that Pod Security `restricted` lets through."""
    made = Namespace(cluster, f"test-{secrets.token_hex(4)}")
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.name, "labels": labels}})
    made.wait("ServiceAccount", "default", bool)
    made.wait("ConfigMap", "kube-root-ca.crt", bool)
    yield made
    cluster.resource("Namespace").delete(name=made.name)


@pytest.fixture(scope="session")
def s3_outside(cluster: Cluster) -> Iterator[Server]:
    """A real S3 server outside of the cluster, that its pods reach."""
    host = HOST if cluster.local else os.environ.get("OCRFLEET_TEST_HOST")
    if not host:
        pytest.skip(
            "this cluster lacks a way to S3 here: set OCRFLEET_TEST_HOST to this machine's address in its network"
        )
    with local_s3(host=host) as server:
        yield server


@pytest.fixture
def proxy_outside(s3_outside: Server) -> Iterator[Proxy]:
    """A line to that server that is slow, fails or breaks when it is told to."""
    host = s3_outside.endpoint.removeprefix("http://").partition(":")[0]
    with closing(Proxy(s3_outside.endpoint, host=host)) as made:
        yield made


def _built(name: str) -> Image:
    lifetime.install(trainer_image.PACKAGES)
    return IMAGES[name](CACHE)


def _imported(cluster: Cluster, name: str) -> str:
    if not cluster.local:
        pytest.skip(f"this cluster lacks the image of the {name}")
    image = _built(name)
    images.import_everywhere(image)
    return image.name


def _runs(cluster: Cluster, image: str) -> bool:
    """Tell whether a cluster has an image, by a pod that may not pull it."""
    name = f"has-image-{secrets.token_hex(4)}"
    body = manifests.pod(name, image, "echo", "here")
    body["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    cluster.apply(body, namespace="default")

    def known(pod: Object) -> str | None:
        status = (pod.get("status", {}).get("containerStatuses") or [{}])[0].get("state") or {}
        return "yes" if "terminated" in status else (status.get("waiting") or {}).get("message")

    try:
        return cluster.wait("Pod", name, known, namespace="default") == "yes"
    finally:
        cluster.core.delete_namespaced_pod(name, "default")
