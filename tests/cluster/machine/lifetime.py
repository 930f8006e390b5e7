"""Bring the cluster up, take it down, and say what is left of it."""

import fcntl
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.cluster.machine import certificates, control_groups, images, network, processes, programs
from tests.cluster.machine.control import start_control_plane
from tests.cluster.machine.layout import CACHE, HERE, KUBECONFIG, NODES, STATE
from tests.cluster.machine.node import start_node
from tests.cluster.machine.processes import ClusterError, run, say

PACKAGES: Final = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ipset": "ipset",
    "iproute2": "ip",
    "util-linux": "nsenter",
    "e2fsprogs": "mkfs.ext4",
}
"""Debian's packages that nodes are made of, and a program by which each is known to be there."""

_CONTROL_PLANE: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
_OF_A_NODE: Final = ("unshare", "containerd", "kubelet", "kube-proxy")


def up() -> None:
    """Bring the cluster up; one that is up already stays as it is.

    Raises:
        ClusterError: this machine can't, or a part failed.
    """
    if os.geteuid() != 0:
        raise ClusterError("Nodes are made of namespaces, mounts and control groups: run this as root.")
    control_groups.hierarchies()
    with _alone():
        if not is_up():
            _down()
            _up()


def _up() -> None:
    install(PACKAGES)
    built = programs.build(programs.CONTROL)
    begun = time.monotonic()
    tiny, coredns = (images.of_program(built / name) for name in ("tiny", "coredns"))
    STATE.mkdir(parents=True, mode=0o711)
    certificates.issue()
    network.lay_bridge()
    say("starting the control plane ...")
    start_control_plane(built)
    for node in NODES:
        say(f"starting {node.name} ...")
        start_node(node, built, sandbox=tiny.name)
    for image in (tiny, coredns):
        images.import_everywhere(image)
    apply((HERE / "dns.yaml").read_text("utf-8").replace("$(coredns)", coredns.name))
    kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=60s")
    kubectl("--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
    say(f"two nodes are ready after {time.monotonic() - begun:.0f} s")


def is_up() -> bool:
    """Tell whether all parts run, and both nodes are ready."""
    running = Counter(processes.name_of(pid) for pid in processes.ours())
    # The API server would go on calling a node ready for some seconds after it has gone.
    parts = {**dict.fromkeys(_CONTROL_PLANE, 1), **dict.fromkeys(_OF_A_NODE, len(NODES))}
    if programs.missing(["kubectl"]) or any(running[name[:15]] < count for name, count in parts.items()):
        return False
    asked = ["wait", "node", "--all", "--for=condition=Ready", "--timeout=5s", "--request-timeout=5s"]
    answer = run([programs.folder() / "kubectl", f"--kubeconfig={KUBECONFIG}", *asked], quiet=True)
    return answer.count("condition met") == len(NODES)


def down() -> None:
    """Take down whatever there is of it; what is slow to make is kept.

    Raises:
        ClusterError: something does not go.
    """
    with _alone():
        _down()
    if found := left():
        raise ClusterError("This is left: " + ", ".join(found))


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until nobody else brings it up or takes it down."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _down() -> None:
    processes.end_all()
    network.remove()
    for node in NODES:
        control_groups.remove(node)
    shutil.rmtree(STATE, ignore_errors=True)


def left() -> list[str]:
    """Name what there still is of a cluster; none when it is down."""
    mounts = Path("/proc/self/mounts").read_text("utf-8").splitlines()
    return [
        *(f"process {pid}" for pid in processes.ours()),
        *(f"interface {name}" for name in network.interfaces()),
        *(f"control group {group}" for node in NODES for group in control_groups.left(node)),
        *(f"mount {line.split()[1]}" for line in mounts if str(CACHE) in line),
        *(f"state {path}" for path in (STATE,) if path.exists()),
    ]


def kubectl(*arguments: str, given: str | None = None) -> str:
    """Run kubectl as the administrator, and give what it printed.

    Raises:
        ClusterError: it failed.
    """
    return run([programs.folder() / "kubectl", f"--kubeconfig={KUBECONFIG}", *arguments], given=given, deadline=300)


def apply(manifests: str) -> None:
    """Apply manifests, as YAML, from the server's side.

    Raises:
        ClusterError: the API server refuses one.
    """
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", given=manifests)


def install(packages: dict[str, str]) -> None:
    """Install Debian's packages that are not there yet; their services are not started.

    Args:
        packages: names, and a program by which each is known to be there.

    Raises:
        ClusterError: apt can't.
    """
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    wanted = [name for name, program in packages.items() if not shutil.which(program, path=path)]
    if not wanted:
        return
    if not shutil.which("apt-get"):
        raise ClusterError(f"These are missing, and there is no apt-get to install them: {', '.join(wanted)}.")
    say(f"installing {', '.join(wanted)} ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *wanted]):
        command = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            raise ClusterError(f"`{' '.join(command)}` failed:\n{done.stderr.strip()[-2000:]}")
