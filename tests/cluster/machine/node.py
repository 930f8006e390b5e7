"""A node: a process in namespaces of its own, in which containerd, the kubelet and kube-proxy run."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from tests.cluster.machine import control_groups, network
from tests.cluster.machine.certificates import AUTHORITY, certificate, key, kubeconfig
from tests.cluster.machine.layout import DNS_SERVICE, HERE, PODS, Node
from tests.cluster.machine.processes import ClusterError, run, start, wait_until

DISK: Final = "8G"
"""Size of the disk that a node's volumes are on; a sparse file."""


def start_node(node: Node, programs: Path, *, sandbox: str) -> None:
    """Start a node; it registers itself.

    Args:
        node: which.
        programs: the folder that the kubelet and kube-proxy are in.
        sandbox: the image that holds a pod's namespaces.

    Raises:
        ClusterError: it ended while it started.
    """
    _configure(node, sandbox=sandbox)
    join = " && ".join(f"echo $$ > {group}/cgroup.procs" for group in control_groups.make(node))
    unshare = "unshare --cgroup --mount --pid --uts --ipc --net --fork --kill-child --propagation private"
    script = f'{join} && exec {unshare} bash "$@"'
    arguments: list[str | Path] = [HERE / "node.sh", node.name, node.home, node.images, programs]
    process = start(node.name, ["bash", "-ec", script, "bash", *arguments], stdin=subprocess.PIPE)
    wait_until(f"{node.name} has namespaces", lambda: _is_apart(process.pid), process=process)
    network.connect(node, first_process(process.pid))
    assert process.stdin
    process.stdin.write(b"go\n")
    process.stdin.close()
    (node.home / "pid").write_text(str(process.pid), "ascii")
    socket = Path(f"/proc/{first_process(process.pid)}/root/run/containerd/containerd.sock")
    wait_until(f"{node.name} has containerd", socket.exists, process=process)


def inside(node: Node, *command: str | Path, deadline: float = 60, quiet: bool = False) -> str:
    """Run a program in a node, and give what it printed.

    Raises:
        ClusterError: it failed, or the node is not there.
    """
    pid = first_process(int((node.home / "pid").read_text("ascii")))
    spaces = ["nsenter", f"--target={pid}", "--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"]
    return run([*spaces, *command], deadline=deadline, quiet=quiet)


def first_process(pid: int) -> int:
    """Give this machine's number of the node's process 1, the only child of `unshare`.

    Raises:
        ClusterError: it has none.
    """
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()[0])
    except (OSError, IndexError) as error:
        raise ClusterError(f"The node whose first process was started by {pid} is gone.") from error


def _is_apart(pid: int) -> bool:
    try:
        return network.is_apart(first_process(pid))
    except (OSError, ClusterError):
        return False


def _configure(node: Node, *, sandbox: str) -> None:
    home = node.home
    for folder in (home / "log", home / "cni" / "net.d", node.images):
        folder.mkdir(parents=True, exist_ok=True)
    run(["truncate", f"--size={DISK}", home / "disk"])
    run(["mkfs.ext4", "-q", "-m", "0", home / "disk"])
    (home / "address").write_text(node.address, "ascii")
    (home / "resolv.conf").touch()
    shutil.copy(kubeconfig(node.name), home / "kubeconfig")
    (home / "containerd.toml").write_text(_CONTAINERD.format(sandbox=sandbox), "utf-8")
    (home / "cni" / "net.d" / "10-bridge.conflist").write_text(json.dumps(_pod_network(node)), "utf-8")
    (home / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(node)), "utf-8")
    (home / "kube-proxy.yaml").write_text(yaml.safe_dump(_KUBE_PROXY), "utf-8")


# No AppArmor here, and no right to lower an OOM score.
_CONTAINERD: Final = """\
version = 2
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox}"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "/usr/sbin/runc"
SystemdCgroup = false
"""


def _pod_network(node: Node) -> dict[str, Any]:
    ranges = {"type": "host-local", "ranges": [[{"subnet": node.pods}]], "routes": [{"dst": "0.0.0.0/0"}]}
    # No masquerading: the nodes and this machine have routes to all pods, and a policy must see who speaks.
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ranges}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(node: Node) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(AUTHORITY)}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate(f"{node.name}-serving")),
        "tlsPrivateKeyFile": str(key(f"{node.name}-serving")),
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": str(node.home / "resolv.conf"),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "serializeImagePulls": False,
        # Images come from an archive, not from a registry: one that is removed would not come back.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "5%", "memory.available": "100Mi"},
        "evictionPressureTransitionPeriod": "5s",
        "nodeStatusUpdateFrequency": "2s",
        "nodeLeaseDurationSeconds": 8,
    }


_KUBE_PROXY: Final = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "iptables",
    "clientConnection": {"kubeconfig": str(kubeconfig("kube-proxy"))},
    "clusterCIDR": PODS,
    # The table is the whole machine's; its size is not a node's to set.
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}
