"""Where a process stands in the gang: ranks, nodes, devices and who leads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from trainer import contract
from trainer.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Topology:
    """The shape of a run, as one of its nodes sees it."""

    node_rank: int = 0
    """This node's place, 0 to `nodes` - 1."""

    nodes: int = 1
    """How many nodes train together."""

    devices_per_node: int = 1
    """Worker processes on each node; one a device."""

    device: str = "cpu"
    """`cpu` or `gpu`."""

    hosts: tuple[str, ...] = ("127.0.0.1",)
    """Host name of each node, in rank order."""

    port: int = 29400
    """Where the supervisors meet; the workers listen on ports after it."""

    leader_address: str | None = None
    """The address at which this node reached node 0. Paddle resolves a name once, and fails if DNS is down then."""

    attempt: int = 0
    """The workers' attempt. Consecutive attempts use different ports, since an old worker may linger."""

    @property
    def world_size(self) -> int:
        """Number of workers over all nodes."""
        return self.nodes * self.devices_per_node

    @property
    def leader(self) -> bool:
        """Whether this node runs the stages that need only one node."""
        return self.node_rank == 0

    def rank(self, local_rank: int) -> int:
        """Return the global rank of a worker of this node."""
        return self.node_rank * self.devices_per_node + local_rank

    @property
    def _first_port(self) -> int:
        return self.port + 1 + self.attempt % 2 * (self.world_size + 1)

    @property
    def master(self) -> str:
        """`host:port` where Paddle's store of the gang listens."""
        return f"{self.leader_address or self.hosts[0]}:{self._first_port}"

    @property
    def endpoints(self) -> list[str]:
        """`host:port` of every worker in rank order; ports differ even when nodes share a host."""
        return [
            f"{self.hosts[rank // self.devices_per_node]}:{self._first_port + 1 + rank}"
            for rank in range(self.world_size)
        ]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> "Topology":
        """Read the contract's environment names.

        Raises:
            SpecError: a number is invalid, or the number of hosts is not the number of nodes.
        """
        try:
            nodes = int(environ.get(contract.ENV_NODES, "1"))
            topology = cls(
                node_rank=int(environ.get(contract.ENV_NODE_RANK, "0")),
                nodes=nodes,
                devices_per_node=int(environ.get(contract.ENV_DEVICES, "1")),
                device=environ.get(contract.ENV_DEVICE, "cpu"),
                hosts=_hosts(environ.get(contract.ENV_HOSTS, ",".join(["127.0.0.1"] * nodes)), nodes),
                port=int(environ.get(contract.ENV_PORT, "29400")),
            )
        except ValueError as error:
            raise SpecError(f"An OCRFLEET_* variable of the node is not a number: {error}.") from error
        if len(topology.hosts) != nodes:
            raise SpecError(
                f"{contract.ENV_HOSTS} names {len(topology.hosts)} hosts, but {contract.ENV_NODES} is {nodes}."
            )
        return topology


def _hosts(text: str, nodes: int) -> tuple[str, ...]:
    """Read names that are listed, or one with `*` where a node's rank belongs."""
    if "*" in text:
        return tuple(text.replace("*", str(rank)) for rank in range(nodes))
    return tuple(text.split(","))
