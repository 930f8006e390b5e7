"""Where everything of the cluster is: addresses, names and paths."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PROGRAMS: Final = HERE.parent / "programs"
"""The Go module: its go.mod has every version."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ocrfleet" / "cluster"
"""What is slow to make and good to keep: built programs and images, and the nodes' own copies of images."""

STATE: Final = CACHE / "state"
"""What there is only while the cluster is up."""

KUBECONFIG: Final = STATE / "admin.kubeconfig"
LOGS: Final = STATE / "logs"
MARK: Final = "OCRFLEET_CLUSTER"
"""A variable in the environment of each process that the cluster starts, by which they are found again."""

BRIDGE: Final = "ocrf0"
HOST: Final = "10.250.0.1"
"""This machine, as nodes and pods see it: the API server is here, and S3."""

LAN: Final = "10.250.0.0/24"
PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
DNS_SERVICE: Final = "10.96.0.10"
API: Final = f"https://{HOST}:6443"


@dataclass(frozen=True)
class Node:
    """A node: a name, and what follows from its number."""

    number: int

    @property
    def name(self) -> str:
        """Its host name, and the name of its object."""
        return f"node{self.number}"

    @property
    def address(self) -> str:
        """Its address on the bridge."""
        return f"10.250.0.{10 + self.number}"

    @property
    def pods(self) -> str:
        """The range of its pods' addresses."""
        return f"10.244.{self.number}.0/24"

    @property
    def link(self) -> str:
        """This machine's end of its cable."""
        return f"ocrf-{self.name}"

    @property
    def home(self) -> Path:
        """Its configuration and state."""
        return STATE / self.name

    @property
    def images(self) -> Path:
        """Its containerd's own folder, which outlives the cluster."""
        return CACHE / "nodes" / self.name


NODES: Final = (Node(1), Node(2))
