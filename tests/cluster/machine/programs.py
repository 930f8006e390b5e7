"""Build the cluster's programs from their Go modules, once for each set of versions."""

import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.cluster.machine.layout import CACHE, PROGRAMS
from tests.cluster.machine.processes import ClusterError, say

CONTROL: Final = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "coredns": "./coredns",
    "tiny": "./tiny",
}
"""What every cluster has: program and package."""

JOBSET: Final = {"jobset": "sigs.k8s.io/jobset"}
KUEUE: Final = {"kueue": "sigs.k8s.io/kueue/cmd/kueue"}
TRAINER: Final = {"trainer-controller-manager": "github.com/kubeflow/trainer/v2/cmd/trainer-controller-manager"}

ALL: Final = {**CONTROL, **JOBSET, **KUEUE, **TRAINER}

_OWN: Final = tuple(name for name, package in ALL.items() if package.startswith("./"))
"""Programs whose source is here: an edit of one builds it anew, and no other."""


def go() -> Path:
    """Give the Go that `make` installs beside Python, so that every machine builds with the same one.

    Raises:
        ClusterError: it is not there.
    """
    found = Path(sysconfig.get_path("scripts")) / "go"
    if not found.exists():
        raise ClusterError(f"{found} is missing: `make cluster-up` installs it.")
    return found


def folder() -> Path:
    """Return where programs of these versions are."""
    return CACHE / "programs" / _digest(PROGRAMS / name for name in ("go.mod", "go.sum"))


def missing(wanted: Iterable[str]) -> list[str]:
    """Return those that are not built yet, or not from the source that is here."""
    return [name for name in wanted if not (folder() / name).exists() or (name in _OWN and _is_outdated(name))]


def _is_outdated(name: str) -> bool:
    stamp = _stamp(name)
    return not stamp.exists() or stamp.read_text("ascii") != _source_of(name)


def _stamp(name: str) -> Path:
    """Return the file that says of which source a program of our own was built."""
    return folder() / f"{name}.source"


def _source_of(name: str) -> str:
    return _digest(path for path in sorted((PROGRAMS / name).rglob("*")) if path.is_file())


def _digest(files: Iterable[Path]) -> str:
    content = "".join(f"{path.name}\0{path.read_text('utf-8')}\0" for path in files)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def build(packages: dict[str, str]) -> Path:
    """Build what is missing, and give the folder of the programs.

    Args:
        packages: names of programs, and where their `main` is.

    Raises:
        ClusterError: Go fails.
    """
    target = folder()
    wanted = missing(packages)
    if not wanted:
        return target
    target.mkdir(parents=True, exist_ok=True)
    for other in target.parent.iterdir():
        if other != target:
            shutil.rmtree(other)  # of other versions
    for name in wanted:
        say(f"building {name} ({wanted.index(name) + 1} of {len(wanted)}; the first one takes minutes) ...")
        with tempfile.TemporaryDirectory(dir=target, prefix=".build-") as scratch:
            made = Path(scratch) / name
            call_go("build", "-trimpath", "-ldflags", _flags(), "-o", str(made), packages[name])
            made.rename(target / name)
        if name in _OWN:
            _stamp(name).write_text(_source_of(name), "ascii")
    return target


def version(module: str) -> str:
    """Give the version of a module that go.mod asks for, such as `v1.36.2`."""
    found = json.loads(call_go("mod", "edit", "-json"))
    return str(next(required["Version"] for required in found["Require"] if required["Path"] == module))


def source(module: str) -> Path:
    """Give the folder where Go has put a module's files; they are read-only."""
    return Path(json.loads(call_go("mod", "download", "-json", f"{module}@{version(module)}"))["Dir"])


def _flags() -> str:
    """No tables for debuggers, and the version that Kubernetes' programs say they are."""
    value = version("k8s.io/kubernetes")
    major, minor = value.removeprefix("v").split(".")[:2]
    facts = {"gitVersion": value, "gitMajor": major, "gitMinor": minor}
    places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(["-s -w", *(f"-X {place}.{name}={value}" for place in places for name, value in facts.items())])


def call_go(*arguments: str) -> str:
    """Run Go in the module of the programs, and give what it printed.

    Raises:
        ClusterError: it failed.
    """
    kept = ("PATH", "HOME", "GOPROXY", "GOSUMDB", "GOMODCACHE", "GOCACHE", "GOPRIVATE", "SSL_CERT_FILE")
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    environment = {name: os.environ[name] for name in (*kept, *proxies) if name in os.environ}
    done = subprocess.run(
        [str(go()), *arguments],
        cwd=PROGRAMS,
        env={**environment, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode:
        raise ClusterError(f"`go {' '.join(arguments)}` failed:\n{(done.stderr + done.stdout).strip()[-3000:]}")
    return done.stdout
