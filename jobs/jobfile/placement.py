"""The `placement`, `notify` and `schedule` parts of the job file: where a run goes, how big, and when.

The chart reads all of it. `ocrfleet run` reads `nodes`, `devicesPerNode`, `device`, `retries`, `deadlines` and
`rehearse`. As in `trainer/run/spec.py`, each field has its meaning, its unit and the reason for its default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from jobs.jobfile.fieldtypes import (
    Amount,
    Cron,
    Image,
    LabelledName,
    Labels,
    ObjectName,
    Pause,
    Quantity,
    RequestName,
    ResourceName,
    Time,
    TimeZone,
)
from trainer import contract
from trainer.run.spec import STRICT, WHOLE, Flag

Engine = Literal["job", "jobset", "trainjob", "volcano", "paddlejob", "auto"]
Device = Literal["gpu", "cpu"]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Resources:
    """CPU, memory and other resources of a pod. Devices are added from `devicesPerNode`."""

    requests: Mapping[RequestName, Amount] = Field(default_factory=dict)
    """Resource requests of a pod, such as `cpu: 4, memory: 16Gi`. Empty: the chart's defaults for a device."""

    limits: Mapping[ResourceName, Amount] = Field(default_factory=dict)
    """Resource limits of a pod. Empty: the memory limit equals the request, and CPU has no limit."""

    def __post_init__(self) -> None:
        """Refuse GPUs, which have a field of their own."""
        if "nvidia.com/gpu" in self.limits:
            raise ValueError(
                "placement.resources.limits has nvidia.com/gpu: it is set from placement.devicesPerNode; remove it"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Cache:
    """Where a node keeps the dataset: one of three kinds of volume. Unset: an `emptyDir` of 50Gi."""

    empty_dir: Quantity | None = None
    """Size limit of a folder on the node's disk. It is deleted with the pod."""

    ephemeral: Quantity | None = None
    """Size of a volume that is created and deleted with the pod; for nodes with small disks."""

    storage_class: ObjectName | None = None
    """Storage class of `ephemeral`. Unset: the cluster's default."""

    existing_claim: ObjectName | None = None
    """An existing PersistentVolumeClaim. With several nodes, all of them must be able to mount it."""

    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """Access mode of `ephemeral` or `existingClaim`. ReadWriteMany: several nodes can mount the claim."""

    def __post_init__(self) -> None:
        """Refuse two places at once."""
        places = {"emptyDir": self.empty_dir, "ephemeral": self.ephemeral, "existingClaim": self.existing_claim}
        given = [name for name, value in places.items() if value is not None]
        if len(given) > 1:
            raise ValueError(f"placement.storage.cache has {' and '.join(given)}: choose one")
        if self.storage_class and not self.ephemeral:
            raise ValueError("placement.storage.cache.storageClass needs `ephemeral`, which is not set")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Storage:
    """Disk and shared memory of a pod."""

    cache: Cache = Field(default_factory=Cache)
    """Where a node keeps the dataset."""

    scratch: Quantity = "20Gi"
    """Disk for checkpoints, the export and logs. 20Gi holds the three newest checkpoints of the largest recipe."""

    shared_memory: Quantity = "8Gi"
    """Size of /dev/shm, through which readers pass samples to a worker; what is in it counts towards the pod's memory
    limit. Kubernetes' default of 64Mi is too small. Each device needs 2 × readers + 2 batches. If that does not fit,
    fewer readers work, and the log says how much all of them need.
    """


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Deadlines:
    """How long a run waits before it fails with a reason."""

    rendezvous: Time = contract.RENDEZVOUS_DEADLINE
    """How long to wait for all nodes. 30 minutes: an autoscaler may have to start machines."""

    stall: Time = contract.STALL_DEADLINE
    """The longest time without progress: no step, image or byte. 15 minutes is longer than any evaluation pauses."""

    run: Time = "24h"
    """The longest duration of a run, without its time in a queue. A forgotten run costs at most a day."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Debug:
    """For debugging a run that fails."""

    hold_on_failure: Pause = "0m"
    """How long a failed pod is kept for inspection. 0m: it is not kept, since it would hold its devices."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Placement:
    """Where a run goes and how big it is."""

    engine: Engine = "job"
    """The Kubernetes kind that runs the pods. `job` needs nothing else installed. `auto` asks the cluster at submit.
    `volcano` is untested: no test has run it under Volcano's controller.
    """

    nodes: Annotated[int, Field(ge=1, le=1000), WHOLE] = 1
    """Number of pods that train together; under `ocrfleet run`, of node processes."""

    devices_per_node: Annotated[int, Field(ge=1, le=64), WHOLE] = 1
    """Devices of each node. Each has one worker process."""

    device: Device | None = None
    """`gpu` (untested; needs an image of `make image-gpu`) or `cpu`. Unset: `gpu` on a cluster; under `ocrfleet run`,
    what this machine has.
    """

    image: Image | None = None
    """The trainer image in your registry. Required on a cluster. There is no default: a cluster pulls a name without a
    registry from a public one, where anyone can publish it. `ocrfleet run` does not use it.
    """

    image_pull_secrets: tuple[ObjectName, ...] = ()
    """Secrets for the registry of the image."""

    resources: Resources = Field(default_factory=Resources)
    """CPU, memory and other resources of a pod."""

    node_selector: Labels = Field(default_factory=dict)
    """Labels that a node must have."""

    tolerations: tuple[Mapping[str, Any], ...] = ()
    """Taints that the pods tolerate, as in a pod's `tolerations`."""

    queue: LabelledName | None = None
    """A Kueue LocalQueue, or a Volcano queue with engine `volcano`. Unset: no queue."""

    priority: LabelledName | None = None
    """A PriorityClass, or in a Kueue queue a WorkloadPriorityClass. Unset: the cluster's default."""

    retries: Annotated[int, Field(ge=0, le=100), WHOLE] = 3
    """Attempts of all nodes after the first, counted in the bucket. 3 survives a night with several preemptions."""

    retry: Annotated[int, Field(ge=0, lt=2**31), WHOLE] = 0
    """Increase it by one to restart the same run from its checkpoint, after the cause of a final failure is fixed."""

    storage: Storage = Field(default_factory=Storage)
    """Disk and shared memory of a pod."""

    service_account: ObjectName | None = None
    """A ServiceAccount with workload identity for the buckets. Unset: the chart creates one without permissions."""

    credentials_secret: ObjectName | None = None
    """A Secret that is mounted as an AWS credentials file. Never put keys into the job file."""

    deadlines: Deadlines = Field(default_factory=Deadlines)
    """How long a run waits before it fails with a reason."""

    rehearse: Flag = True
    """Try each part of the run on a few samples before it trains, so that a configuration that cannot be evaluated or
    exported fails in the first minute. Once a run.
    """

    debug: Debug = Field(default_factory=Debug)
    """For debugging a run that fails."""

    def __post_init__(self) -> None:
        """Refuse two kinds of credentials, and a claim that not all nodes can mount."""
        if self.service_account and self.credentials_secret:
            raise ValueError(
                "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; "
                "choose one"
            )
        cache = self.storage.cache
        if self.nodes > 1 and cache.existing_claim and cache.access_mode != "ReadWriteMany":
            raise ValueError(
                f"placement.storage.cache.existingClaim is one volume for {self.nodes} nodes: if all of them can "
                "mount it, set placement.storage.cache.accessMode: ReadWriteMany; otherwise use `ephemeral` or "
                "`emptyDir`"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Notify:
    """Notification at the end of a run. Not available yet: `check` and `render` refuse it."""

    webhook_secret: ObjectName | None = None
    """A Secret with the key `url`, for one POST request when a run ends. Unset: no notification."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Schedule:
    """Scheduled training by a CronJob. Not available yet: `check` and `render` refuse it."""

    cron: Cron | None = None
    """When to train, in the five fields of cron. Unset: once, now."""

    time_zone: TimeZone = "Etc/UTC"
    """The time zone of `cron`, by its IANA name."""

    skip_if_unchanged: Flag = True
    """Skip a run if the dataset is the one that the last published model was trained on."""

    suspend_after_failures: Annotated[int, Field(ge=1), WHOLE] = 3
    """Consecutive failed runs after which the schedule is suspended. 3: fewer may be bad luck."""
