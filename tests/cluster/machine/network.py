"""The bridge that stands for a network, and the cables of the nodes."""

import json
from pathlib import Path

from tests.cluster.machine.layout import BRIDGE, HOST, LAN, NODES, Node
from tests.cluster.machine.processes import run


def lay_bridge() -> None:
    """Make the bridge, with this machine's address on it."""
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "add", f"{HOST}/{LAN.partition('/')[2]}", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])


def connect(node: Node, pid: int) -> None:
    """Give a node its cable, its addresses and its routes to the others' pods.

    Args:
        node: the node.
        pid: a process in its network namespace.
    """
    run(["ip", "link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "link", "set", node.link, "master", BRIDGE, "up"])
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net", "ip"]
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "address", "add", f"{node.address}/{LAN.partition('/')[2]}", "dev", "eth0"])
    run([*inside, "link", "set", "eth0", "up"])
    for other in NODES:
        if other != node:
            run([*inside, "route", "add", other.pods, "via", other.address])
    run(["ip", "route", "replace", node.pods, "via", node.address])


def cut(node: Node) -> None:
    """Pull a node's cable."""
    run(["ip", "link", "set", node.link, "down"])


def mend(node: Node) -> None:
    """Put it back."""
    run(["ip", "link", "set", node.link, "up"])


def remove() -> None:
    """Remove the bridge and the cables; the routes go with them."""
    for name in interfaces():
        run(["ip", "link", "delete", name], quiet=True)


def interfaces() -> list[str]:
    """Give those of the cluster's interfaces that this machine has."""
    wanted = {BRIDGE, *(node.link for node in NODES)}
    return [link["ifname"] for link in json.loads(run(["ip", "-json", "link"])) if link["ifname"] in wanted]


def is_apart(pid: int) -> bool:
    """Tell whether a process has a network of its own, not this machine's."""
    own, its = (Path(f"/proc/{who}/ns/net").readlink() for who in ("self", pid))
    return own != its
