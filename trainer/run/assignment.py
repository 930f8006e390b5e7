"""What a node was given to do, read from its work folder and its environment once."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from trainer import contract
from trainer.formats.yaml import parse_yaml
from trainer.run import precision
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir


@dataclass(frozen=True, kw_only=True)
class DeadlineSeconds:
    """How long a stage may be silent: `placement.deadlines`, in seconds."""

    rendezvous: float = float(runspec.seconds(contract.RENDEZVOUS_DEADLINE))
    """Until the nodes have met."""

    start: float = 300.0
    """Until the workers of nodes that have met are connected: they load Paddle and set up NCCL or gloo."""

    stall: float = float(runspec.seconds(contract.STALL_DEADLINE))
    """Between two events of a worker, once they have met."""

    stop: float = 120.0
    """From a wish to stop until the state is saved."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What this node was given to do."""

    name: str
    """The job file's name."""

    run: RunSpec
    """What to train."""

    run_id: str
    """`<name>-<h8>`."""

    work: WorkDir
    """The run's folder on this node."""

    topology: Topology
    """The gang, as this node sees it."""

    deadlines: DeadlineSeconds = field(default_factory=DeadlineSeconds)
    """How long a stage may be silent."""

    retries: int = 0
    """How often the gang meets again after a loss."""

    owner: str = ""
    """The cluster's object that this node's pod is of; "" for none."""

    rehearse: bool = True
    """Whether the run is rehearsed before it trains: `placement.rehearse`."""

    longest: float | None = None
    """Seconds that the run may take: `placement.deadlines.run`. None: not said."""

    image: str = ""
    """The trainer image with its digest; "" where none is used."""

    def variables(self, stage: str) -> dict[str, str]:
        """Return the environment variables by which the workers of a stage compute."""
        train = self.run.train
        return precision.environment(
            stage, precision=train.precision, deterministic=bool(train.deterministic), device=self.topology.device
        )

    @classmethod
    def read(cls, folder: Path, *, run_id: str, topology: Topology) -> "Assignment":
        """Read the folder's run.yaml, and the rest from the environment.

        Raises:
            SpecError: it is wrong; the message says where.
        """
        work = WorkDir(folder)
        name, run = runspec.read_run(work.run_file)
        placement = parse_yaml(work.run_file.read_text("utf-8"), source="run.yaml").get("placement") or {}
        given = placement.get("deadlines") or {}
        known = {key: float(runspec.seconds(given[key])) for key in ("rendezvous", "stall") if given.get(key)}
        return cls(
            name=name,
            run=run,
            run_id=run_id,
            work=work,
            topology=topology,
            deadlines=DeadlineSeconds(**known),
            retries=int(os.environ.get(contract.ENV_RETRIES, "0")),
            owner=os.environ.get(contract.ENV_OBJECT, ""),
            rehearse=placement.get("rehearse", True),
            longest=float(runspec.seconds(given["run"])) if given.get("run") else None,
        )
