"""The flags that kubectl has for each command, over what the kubeconfig says."""

from pathlib import Path
from typing import Any

import pytest

from tests.kubectl.differences import LOOPBACK, NO_SCHEME
from tests.kubectl.login import login
from tests.kubectl.server import Answer, Request
from tests.kubectl.world import CLUSTER, TOKEN, Case, config, judge

TWO: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "a",
    "clusters": [
        {"name": "a", "cluster": {"server": "https://127.0.0.1:<a-port>", "certificate-authority-data": "<ca>"}},
        {"name": "b", "cluster": {"server": "https://127.0.0.1:<b-port>", "certificate-authority-data": "<ca>"}},
    ],
    "users": [
        {"name": "a", "user": {"token": "s3cr3t-a"}},
        {"name": "b", "user": {"token": "s3cr3t-b", "as": "robot"}},
    ],
    "contexts": [
        {"name": "a", "context": {"cluster": "a", "user": "a"}},
        {"name": "b", "context": {"cluster": "b", "user": "b", "namespace": "of-b"}},
        {"name": "gone", "context": {"cluster": "gone", "user": "gone"}},
    ],
}
GONE = {**CLUSTER, "server": "https://127.0.0.1:1"}


def two(*flags: str) -> dict[str, Any]:
    return {"files": {"config": TWO}, "flags": flags}


def silent(request: Request, names: Any) -> Answer | None:
    """Answer what lists objects only when the program has given up."""
    if "/namespaces/" not in request.path:
        return None
    names.gone.wait()
    return Answer(drops=True)


CASES = [
    Case(id="--context", **two("--context", "b")),
    Case(id="--context with an equals sign", **two("--context=b")),
    Case(id="--context that is missing", **two("--context", "none"), works=False),
    Case(id="--context whose cluster is missing", **two("--context", "gone"), works=False),
    Case(id="--context that is empty", **two("--context", "")),
    Case(id="--cluster", **two("--cluster", "b")),
    Case(id="--cluster that is missing", **two("--cluster", "none"), works=False),
    Case(id="--user", **two("--user", "b")),
    Case(id="--user that is missing", **two("--user", "none"), works=False),
    Case(
        id="--cluster and --user for a context of neither", **two("--context", "gone", "--cluster", "b", "--user", "a")
    ),
    Case(
        id="--cluster and --user without a context",
        flags=("--cluster", "c", "--user", "c"),
        files={"config": {**config(), "contexts": [], "current-context": ""}},
    ),
    Case(id="--context, --cluster and --user", **two("--context", "b", "--cluster", "a", "--user", "a")),
    Case(id="--server", cluster=GONE, flags=("--server", "https://127.0.0.1:<port>")),
    Case(
        id="--server with another scheme",
        cluster=GONE,
        flags=("--server", "http://127.0.0.1:<plain-port>"),
        difference=LOOPBACK,
    ),
    Case(
        id="--server without a scheme", cluster=GONE, flags=("--server", "127.0.0.1:<plain-port>"), difference=NO_SCHEME
    ),
    Case(
        id="--server drops the name of the certificate",
        cluster={**GONE, "tls-server-name": "other.test"},
        flags=("--server", "https://127.0.0.1:<port>"),
    ),
    Case(
        id="--server keeps the proxy",
        cluster={**GONE, "proxy-url": "http://<proxy>"},
        flags=("--server", "https://api.test:<port>"),
    ),
    Case(
        id="--server of a kubeconfig without one",
        cluster={"certificate-authority-data": "<ca>"},
        flags=("--server", "https://127.0.0.1:<port>"),
    ),
    Case(
        id="--server without a kubeconfig",
        env={"KUBECONFIG": None},
        flags=("--server", "http://127.0.0.1:<plain-port>"),
    ),
    Case(id="--server that is no address", flags=("--server", "https://["), works=False),
    Case(
        id="--kubeconfig",
        files={"other": config(user={"token": "s3cr3t-other"})},
        flags=("--kubeconfig", "<folder>/other"),
    ),
    Case(
        id="--kubeconfig alone, whatever KUBECONFIG has",
        files={"other": {"apiVersion": "v1", "kind": "Config"}},
        flags=("--kubeconfig", "<folder>/other"),
        works=False,
    ),
    Case(id="--kubeconfig from the current folder", env={"KUBECONFIG": None}, flags=("--kubeconfig", "config")),
    Case(id="--kubeconfig that is missing", flags=("--kubeconfig", "<folder>/gone"), works=False),
    Case(id="--kubeconfig that is a folder", flags=("--kubeconfig", "<folder>"), works=False),
    Case(
        id="--kubeconfig with two files is one name",
        files={"other": config()},
        flags=("--kubeconfig", "<folder>/config:<folder>/other"),
        works=False,
    ),
    Case(
        id="--kubeconfig with a tilde", files={"home/config": config()}, flags=("--kubeconfig", "~/config"), works=False
    ),
    Case(id="--kubeconfig that is empty is KUBECONFIG", flags=("--kubeconfig", "")),
    Case(id="--as", flags=("--as", "robot")),
    Case(id="--as and --as-group", flags=("--as", "robot", "--as-group", "ocr", "--as-group=night")),
    Case(id="--as-group with a comma is one group", flags=("--as", "robot", "--as-group", "ocr,night")),
    Case(id="--as-group without --as", flags=("--as-group", "ocr"), works=False),
    Case(
        id="--as over the kubeconfig's",
        user={"token": TOKEN, "as": "other", "as-groups": ["a"], "as-uid": "7"},
        flags=("--as", "robot"),
    ),
    Case(
        id="--as-group over the kubeconfig's",
        user={"token": TOKEN, "as": "other", "as-groups": ["a"]},
        flags=("--as-group", "ocr"),
    ),
    Case(id="--as that is empty", user={"token": TOKEN, "as": "other"}, flags=("--as", "")),
    Case(id="--as with a program that logs in", **login(), flags=("--as", "robot")),
    Case(id="--as of a service account", flags=("--as", "system:serviceaccount:ml:robot")),
    Case(id="-n", context={"namespace": "other"}, flags=("-n", "team-ocr")),
    Case(id="--namespace", context={"namespace": "other"}, flags=("--namespace=team-ocr",)),
    Case(id="-n with --context", **two("--context", "b", "-n", "team-ocr")),
    Case(id="--request-timeout that is long enough", flags=("--request-timeout", "1m")),
    Case(
        id="--request-timeout of a server that is silent",
        flags=("--request-timeout", "1s"),
        answers=silent,
        works=False,
    ),
    Case(id="--request-timeout in seconds", flags=("--request-timeout", "1"), answers=silent, works=False),
    Case(
        id="--request-timeout of parts of a second", flags=("--request-timeout", "500ms"), answers=silent, works=False
    ),
    Case(id="--request-timeout of zero is none", flags=("--request-timeout", "0")),
    Case(id="--request-timeout that is no time", flags=("--request-timeout", "soon"), works=False),
    Case(
        id="all flags",
        **two(
            "--context",
            "a",
            "--cluster",
            "b",
            "--user",
            "b",
            "--as",
            "x",
            "--as-group",
            "y",
            "-n",
            "z",
            "--request-timeout",
            "30s",
            "--kubeconfig",
            "<folder>/config",
            "--server",
            "https://127.0.0.1:<c-port>",
        ),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_flags_are_those_of_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
