"""The `placement`, `notify` and `schedule` parts of the job file: where a run goes, how big, and when.

The chart reads all of it. `ocrfleet run` reads `nodes`, `devicesPerNode`, `device` and `deadlines`, and
hands the rest on unread. Written as `trainer/run/spec.py` is: each field says what, unit, and why this default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from jobs.jobfile.fieldtypes import (
    Amounts,
    Cron,
    Image,
    LabelledName,
    Labels,
    ObjectName,
    Pause,
    Quantity,
    Time,
    TimeZone,
    size,
)
from jobs.jobfile.reserved import refuse_twice
from trainer import contract
from trainer.run.spec import STRICT, WHOLE, Flag

Engine = Literal["job", "jobset", "trainjob", "volcano", "paddlejob", "auto"]
Device = Literal["gpu", "cpu"]


def _check_device(name: str, amount: str | float) -> None:
    if name == "nvidia.com/gpu":
        raise ValueError(
            f"placement.resources.limits has {name}: it is added from placement.devicesPerNode; leave it out"
        )
    if name.startswith("requests."):
        raise ValueError(f"placement.resources.limits has {name}: write the device's own name, without `requests.`")
    whole = amount.isdecimal() if isinstance(amount, str) else float(amount).is_integer()
    if "/" in name and not whole:
        raise ValueError(f"placement.resources.limits.{name} is {amount}: devices are counted in whole numbers")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Resources:
    """What a pod asks of its node and what it may take. The devices are added."""

    requests: Amounts = Field(default_factory=dict)
    """What must be free on a node, such as `cpu: 4, memory: 16Gi`. Empty: what the chart thinks right for a device."""

    limits: Amounts = Field(default_factory=dict)
    """What it may take. Empty: memory as requested, and as much of the cores as there is."""

    def __post_init__(self) -> None:
        """Refuse what Kubernetes would."""
        for name, amount in self.requests.items():
            if "/" in name:
                raise ValueError(
                    f"placement.resources.requests has {name}: a device is asked for as a limit; "
                    "move it to placement.resources.limits"
                )
            if name in self.limits and size(amount) > size(self.limits[name]):
                raise ValueError(
                    f"placement.resources.requests.{name} is more than placement.resources.limits.{name}: "
                    "a pod may take what it asks for; raise the limit, or ask for less"
                )
        for name, amount in self.limits.items():
            _check_device(name, amount)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cache:
    """Where a node keeps the dataset: one of three places. None named: an `emptyDir` of 50Gi."""

    empty_dir: Quantity | None = None
    """A folder on the node's own disk, at most so large. Gone with the pod."""

    ephemeral: Quantity | None = None
    """A volume of that size, made for the pod and gone with it; for nodes with small disks."""

    storage_class: ObjectName | None = None
    """Storage class of `ephemeral`. Unset: the cluster's default."""

    existing_claim: ObjectName | None = None
    """A PersistentVolumeClaim that is there already; with several nodes one that all of them can mount."""

    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """Of `ephemeral` and `existingClaim`. ReadWriteMany says that several nodes can mount the claim."""

    def __post_init__(self) -> None:
        """Refuse two places at once."""
        places = {"emptyDir": self.empty_dir, "ephemeral": self.ephemeral, "existingClaim": self.existing_claim}
        given = [name for name, value in places.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"placement.storage.cache has {' and '.join(given)}: choose one")
        if self.storage_class and not self.ephemeral:
            raise ValueError("placement.storage.cache.storageClass is for `ephemeral`, which is not set")
        if self.access_mode != "ReadWriteOnce" and not (self.ephemeral or self.existing_claim):
            raise ValueError(
                "placement.storage.cache.accessMode is for `ephemeral` and `existingClaim`, and neither is set"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Storage:
    """Disk and shared memory of a pod."""

    cache: Cache = Field(default_factory=Cache)
    """Where the dataset is kept."""

    scratch: Quantity = "20Gi"
    """Disk for checkpoints, the export and logs. 20Gi holds the three newest states of the largest recipe."""

    shared_memory: Quantity = "8Gi"
    """Size of /dev/shm, through which readers hand samples to a worker. The runtime's own 64Mi is too little."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Deadlines:
    """How long a run waits before it says what is wrong."""

    rendezvous: Time = contract.RENDEZVOUS_DEADLINE
    """For all nodes to be there at once. 30 minutes: an autoscaler may have to start machines."""

    stall: Time = contract.STALL_DEADLINE
    """Without a step, an image or a byte of progress. 15 minutes is more than the slowest evaluation is silent."""

    run: Time = "24h"
    """For the whole run, the time in a queue apart. A forgotten run costs a day at most."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Debug:
    """For looking into a run that fails."""

    hold_on_failure: Pause = "0m"
    """How long a failed pod stays to be looked at. 0m: not at all, since it holds its devices."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Placement:
    """Where a run goes and how big it is."""

    engine: Engine = "job"
    """The Kubernetes kind that runs the pods. `job` needs nothing else installed. `auto` asks the cluster at submit.
    `volcano` is untested: no test has run it under Volcano's controller.
    """

    nodes: Annotated[int, Field(ge=1, le=1000), WHOLE] = 1
    """Pods, or node processes under `ocrfleet run`, that train together."""

    devices_per_node: Annotated[int, Field(ge=1, le=64), WHOLE] = 1
    """Devices of each node; one worker process a device."""

    device: Device | None = None
    """`gpu` or `cpu`. Unset: gpu on a cluster; under `ocrfleet run` what this machine has, and it says which."""

    image: Image | None = None
    """The trainer image. Unset: the chart's own, of the same version. Not used by `ocrfleet run`."""

    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets of the registry that the image comes from."""

    resources: Resources = Field(default_factory=Resources)
    """What a pod asks of its node and what it may take."""

    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""

    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Taints that the pods tolerate, as Kubernetes has them."""

    queue: LabelledName | None = None
    """A Kueue LocalQueue, or a Volcano queue with engine `volcano`. Unset: no queue."""

    priority: LabelledName | None = None
    """A PriorityClass, or with a queue of Kueue its WorkloadPriorityClass. Unset: the cluster's default."""

    retries: Annotated[int, Field(ge=0, le=100), WHOLE] = 3
    """Attempts of the whole gang after the first, counted in the bucket. 3 outlasts a bad night of preemptions."""

    retry: Annotated[int, Field(ge=0, lt=2**31), WHOLE] = 0
    """Raise it by one to start the same run again, from its checkpoint, after a final failure was mended."""

    storage: Storage = Field(default_factory=Storage)
    """Disk and shared memory of a pod."""

    service_account: ObjectName | None = None
    """A ServiceAccount with workload identity for the buckets. Unset: the chart makes one without rights."""

    credentials_secret: ObjectName | None = None
    """A Secret mounted as an AWS credentials file. Keys never stand in this file."""

    deadlines: Deadlines = Field(default_factory=Deadlines)
    """How long a run waits before it says what is wrong."""

    debug: Debug = Field(default_factory=Debug)
    """For looking into a run that fails."""

    def __post_init__(self) -> None:
        """Refuse two ways in at once, a secret twice, and a claim that not all nodes can mount."""
        if self.service_account and self.credentials_secret:
            raise ValueError(
                "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; "
                "choose one"
            )
        refuse_twice(self.image_pull_secrets, "placement.imagePullSecrets")
        cache = self.storage.cache
        if self.nodes > 1 and cache.existing_claim and cache.access_mode != "ReadWriteMany":
            raise ValueError(
                f"placement.storage.cache.existingClaim is one volume for {self.nodes} nodes: if all of them can mount "
                "it, say so with placement.storage.cache.accessMode: ReadWriteMany; else use `ephemeral` or `emptyDir`"
            )
        limit, shared = self.resources.limits.get("memory"), self.storage.shared_memory
        if limit is not None and size(limit) <= size(shared):
            raise ValueError(
                f"placement.storage.sharedMemory is {shared}, but placement.resources.limits.memory is {limit}: "
                "/dev/shm is in memory and counts in the limit. Raise the limit, or take less."
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Notify:
    """Who is told when a run ends."""

    webhook_secret: ObjectName | None = None
    """A Secret with the key `url`: one POST there when a run ends. Unset: nobody is told."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """Training again and again, by a CronJob."""

    cron: Cron | None = None
    """When, in cron's five fields. Unset: once, at once."""

    time_zone: TimeZone = "Etc/UTC"
    """The zone that `cron` is read in, by its IANA name."""

    skip_if_unchanged: Flag = True
    """End at once when the dataset is the one that the last published model was trained on."""

    suspend_after_failures: Annotated[int, Field(ge=1), WHOLE] = 3
    """Failed runs in a row after which the schedule is suspended. 3 tells a fault from bad luck."""

    def __post_init__(self) -> None:
        """Refuse a schedule that has no time."""
        known = self.__pydantic_fields__  # type: ignore[attr-defined]
        given = [field.alias for name, field in known.items() if getattr(self, name) != field.default]
        if self.cron is None and given:
            raise ValueError(f"schedule.cron is missing: without it schedule.{given[0]} has no meaning")
