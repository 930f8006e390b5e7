"""Which files are read, how several are merged, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubectl.differences import DOCUMENTS, NAMESPACE, PROMPT
from tests.kubectl.world import CLUSTER, TOKEN, Case, Link, config, date, judge

EMPTY = {"apiVersion": "v1", "kind": "Config"}
OTHER = {**CLUSTER, "server": "https://127.0.0.1:<b-port>"}


def files(*names: str) -> dict[str, str | None]:
    """Return an environment that names these files of the case."""
    return {"KUBECONFIG": ":".join(f"<folder>/{name}" for name in names)}


def changed(**parts: Any) -> dict[str, Any]:
    """Return the files of a case whose kubeconfig has these parts in place of the usual ones."""
    return {"files": {"config": {**config(), **{key.replace("_", "-"): value for key, value in parts.items()}}}}


def user(token: str, *, name: str = "c") -> dict[str, Any]:
    return {"name": name, "user": {"token": token}}


CASES = [
    Case(id="a kubeconfig"),
    Case(id="a kubeconfig in JSON", files={"config": json.dumps(config())}),
    Case(
        id="a kubeconfig without KUBECONFIG is in the home folder",
        env={"KUBECONFIG": None},
        files={"home/.kube/config": config()},
    ),
    Case(id="an empty KUBECONFIG is the home folder's", env={"KUBECONFIG": ""}, files={"home/.kube/config": config()}),
    Case(
        id="a tilde in KUBECONFIG is not the home folder",
        env={"KUBECONFIG": "~/.kube/config"},
        files={"home/.kube/config": config()},
        works=False,
    ),
    Case(id="a KUBECONFIG that is not there", env=files("gone"), works=False),
    Case(
        id="a KUBECONFIG that is not there, beside the home folder's",
        env=files("gone"),
        files={"home/.kube/config": config()},
        works=False,
    ),
    Case(id="a KUBECONFIG that is a folder", env=files("folder"), files={"folder": None}, works=False),
    Case(id="a KUBECONFIG that leads through a file", env=files("config/config"), works=False),
    Case(id="a KUBECONFIG from the current folder", env={"KUBECONFIG": "pki/../config"}, files={"pki": None}),
    Case(
        id="a KUBECONFIG of separators alone",
        env={"KUBECONFIG": "::"},
        files={"home/.kube/config": config()},
        works=False,
    ),
    Case(id="an empty kubeconfig", files={"config": ""}, works=False),
    Case(id="a kubeconfig of a comment", files={"config": "# nothing\n"}, works=False),
    Case(id="a kubeconfig that is not YAML", files={"config": "a: [s3cr3t"}, works=False),
    Case(id="a kubeconfig that is a list", files={"config": "[]"}, works=False),
    Case(id="a kubeconfig that is a word", files={"config": "s3cr3t"}, works=False),
    Case(id="a kubeconfig with tabs", files={"config": "a:\n\tb: s3cr3t"}, works=False),
    Case(id="a kubeconfig that is not text", files={"config": "\x00\x01s3cr3t"}, works=False),
    Case(id="a kubeconfig with a byte order mark", files={"config": "\ufeff" + yaml.safe_dump(config())}),
    Case(
        id="a kubeconfig of two documents",
        files={"config": yaml.safe_dump(config()) + "---\n" + yaml.safe_dump(EMPTY)},
        difference=DOCUMENTS,
    ),
    Case(
        id="a kubeconfig with an anchor",
        files={"config": yaml.dump((lambda m: {**config(cluster=m, user={"token": TOKEN})})(dict(CLUSTER)))},
    ),
    Case(
        id="a kubeconfig with a key twice",
        files={"config": yaml.safe_dump(config()) + "current-context: gone\n"},
        works=False,
    ),
    Case(id="a kubeconfig without kind and version", **changed(kind=None, apiVersion=None)),
    Case(id="a kubeconfig of another kind", **changed(kind="Deployment"), works=False),
    Case(id="a kubeconfig of another version", **changed(apiVersion="v2"), works=False),
    Case(id="parts that are not known", **changed(colours=["blue"], preferences={"colors": True}, extensions=[])),
    Case(
        id="parts that are null",
        files={"config": {**EMPTY, "clusters": None, "users": None, "contexts": None}},
        works=False,
    ),
    Case(id="clusters that are no list", **changed(clusters={"c": {}}), works=False),
    Case(id="no current context", **changed(current_context=""), works=False),
    Case(id="a current context that is missing", **changed(current_context="gone"), works=False),
    Case(id="a context without a cluster", **changed(contexts=[{"name": "c", "context": {"user": "c"}}]), works=False),
    Case(
        id="a context without a user",
        **changed(contexts=[{"name": "c", "context": {"cluster": "c"}}]),
        works=False,
        difference=PROMPT,
    ),
    Case(id="a context of nothing", **changed(contexts=[{"name": "c"}]), works=False),
    Case(id="a context whose cluster is missing", **changed(clusters=[]), works=False),
    Case(id="a context whose user is missing", **changed(users=[]), works=False),
    Case(id="a user of nothing", **changed(users=[{"name": "c"}]), works=False, difference=PROMPT),
    Case(id="a cluster of nothing", **changed(clusters=[{"name": "c"}]), works=False),
    Case(
        id="a cluster without a server",
        **changed(clusters=[{"name": "c", "cluster": {"certificate-authority-data": "<ca>"}}]),
        works=False,
    ),
    Case(
        id="two clusters of one name",
        **changed(clusters=[{"name": "c", "cluster": CLUSTER}, {"name": "c", "cluster": OTHER}]),
        works=False,
    ),
    Case(id="two users of one name", **changed(users=[user(TOKEN), user("s3cr3t-2")]), works=False),
    Case(id="two contexts of one name", **changed(contexts=config()["contexts"] * 2), works=False),
    Case(
        id="two users of one name that nobody uses",
        **changed(users=[user(TOKEN), *[user("s3cr3t", name="b")] * 2]),
        works=False,
    ),
    Case(
        id="a broken user that nobody uses",
        **changed(users=[user(TOKEN), {"name": "b", "user": {"token": "a", "username": "b"}}]),
    ),
    Case(
        id="a user with an empty name",
        **changed(users=[user(TOKEN, name="")], contexts=[{"name": "c", "context": {"cluster": "c", "user": ""}}]),
    ),
    Case(id="a name that is a number", **changed(users=[{"name": 7, "user": {"token": TOKEN}}]), works=False),
    Case(id="the namespace of the context", context={"namespace": "team-ocr"}),
    Case(id="a namespace that looks like a date", context={"namespace": date(2024, 1, 1)}),
    Case(id="a namespace that is a number", context={"namespace": 7}, works=False),
    Case(id="a namespace that is a number in quotes", context={"namespace": "7"}),
    Case(id="a namespace that is true", context={"namespace": True}, works=False),
    Case(id="a namespace that is null", context={"namespace": None}),
    Case(
        id="a namespace that is none",
        context={"namespace": "Team_OCR"},
        difference=NAMESPACE,
    ),
    Case(id="a namespace that climbs", context={"namespace": "../default"}, works=False, difference=NAMESPACE),
    Case(
        id="several files are one",
        env=files("clusters", "users", "contexts"),
        files={
            "clusters": {**EMPTY, "clusters": config()["clusters"]},
            "users": {**EMPTY, "users": config()["users"]},
            "contexts": {**EMPTY, "contexts": config()["contexts"], "current-context": "c"},
        },
    ),
    Case(
        id="of two users of one name in two files the first counts",
        env=files("first", "config"),
        files={"first": {**EMPTY, "users": [user("s3cr3t-first")]}},
    ),
    Case(
        id="of two clusters of one name in two files the first counts",
        env=files("first", "config"),
        files={"first": {**EMPTY, "clusters": [{"name": "c", "cluster": OTHER}]}},
    ),
    Case(
        id="of two contexts of one name in two files the first counts",
        env=files("first", "config"),
        context={"namespace": "second"},
        files={
            "first": {
                **EMPTY,
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c", "namespace": "first"}}],
            }
        },
    ),
    Case(
        id="entries of one name are not mixed",
        env=files("first", "config"),
        works=False,
        files={
            "first": {
                **EMPTY,
                "users": [{"name": "c", "user": {"username": "me"}}],
                "clusters": [{"name": "c", "cluster": {"server": CLUSTER["server"]}}],
            }
        },
    ),
    Case(
        id="of two current contexts the first counts",
        env=files("first", "config"),
        files={"first": config(name="b", user={"token": "s3cr3t-b"}, context={"namespace": "b"})},
    ),
    Case(
        id="missing and empty files among several",
        env=files("gone", "empty", "config", "gone-too"),
        files={"empty": ""},
    ),
    Case(id="a broken file among several", env=files("broken", "config"), files={"broken": "a: ["}, works=False),
    Case(id="a broken file after a good one", env=files("config", "broken"), files={"broken": "a: ["}, works=False),
    Case(id="a folder among several", env=files("folder", "config"), files={"folder": None}, works=False),
    Case(id="empty names among several", env={"KUBECONFIG": ":<folder>/config:"}),
    Case(id="a file twice", env=files("config", "config")),
    Case(
        id="paths begin at the folder of their file",
        env=files("a/config", "b/config"),
        files={
            "a/config": {
                **EMPTY,
                "clusters": [
                    {"name": "c", "cluster": {"server": CLUSTER["server"], "certificate-authority": "ca.pem"}}
                ],
            },
            "a/ca.pem": "<pem-ca>",
            "b/config": {**config(user={"tokenFile": "../tokens/t"}), "clusters": []},
            "tokens/t": "s3cr3t-filed",
        },
    ),
    Case(
        id="paths of a linked kubeconfig begin at the link",
        env=files("links/config"),
        files={
            "links/config": Link("../real/config"),
            "links/token": "s3cr3t-of-the-link",
            "real/config": config(user={"tokenFile": "token"}),
            "real/token": "s3cr3t-of-the-file",
        },
    ),
    Case(id="a path behind a link", user={"tokenFile": "token"}, files={"token": Link("real"), "real": "s3cr3t-filed"}),
    Case(
        id="a path with a tilde is not the home folder's",
        user={"tokenFile": "~/token"},
        files={"home/token": "s3cr3t"},
        works=False,
    ),
    Case(
        id="a path with a variable is a path",
        user={"tokenFile": "$HOME/token"},
        files={"home/token": "s3cr3t"},
        works=False,
    ),
    Case(id="a kubeconfig that nobody may read", env=files("gone/config"), works=False),
    Case(
        id="the environment of a pod without its account",
        env={"KUBECONFIG": None, "KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"},
        works=False,
    ),
    Case(
        id="the environment of a pod beside a kubeconfig",
        env={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_kubeconfigs_are_read_as_by_kubectl(case: Case, tmp_path: Path) -> None:
    judge(case, tmp_path)
