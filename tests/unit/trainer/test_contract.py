"""What a node's outside may rely on."""

import pytest

from trainer import contract
from trainer.run.topology import Topology


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_a_gang_uses_as_many_ports_as_the_contract_says(devices: int) -> None:
    """Two attempts of workers, each with a store of its own, and the port at which the supervisors meet."""
    used = {29400}
    for attempt in (1, 2, 3, 4):
        at = Topology(devices_per_node=devices, port=29400, attempt=attempt)
        used |= {int(place.rpartition(":")[2]) for place in (at.master, *at.endpoints)}
    assert used == set(range(29400, 29400 + contract.ports(devices)))


def test_the_stages_of_a_gang_are_stages() -> None:
    assert set(contract.GANG_STAGES) < set(contract.STAGES)
