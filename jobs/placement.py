"""The `placement`, `notify` and `schedule` parts of the job file: where a run goes, how big, and when.

The chart reads all of it. `ocrfleet run` reads `nodes`, `devicesPerNode`, `device` and `deadlines`, and
hands the rest on unread. Written as `trainer/runspec.py` is: each field says what, unit, and why this default.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from trainer.runspec import STRICT, WHOLE, Flag, spelled, words_of

Engine = Literal["job", "jobset", "trainjob", "volcano", "paddlejob", "auto"]
Device = Literal["gpu", "cpu"]

# As many digits as fit into 64 bits with their unit; Kubernetes refuses volumes of no size.
_QUANTITY: Final = (
    r"^([1-9][0-9]{0,17}|([1-9][0-9]{0,9}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])(Ki|k)|"
    r"([1-9][0-9]{0,6}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])(Mi|Gi|M|G)|"
    r"([1-9][0-9]{0,4}(\.[0-9]{1,3})?|0\.[0-9]{0,2}[1-9])(Ti|T))$"
)
_CRON: Final = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4})$"
_DNS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_IMAGE: Final = (
    r"^([0-9A-Za-z][-0-9A-Za-z.]*(:[0-9]+)?/)?([0-9a-z][-0-9a-z._]*/)*[0-9a-z]([-0-9a-z._]*[0-9a-z])?"
    r"(:[0-9A-Za-z_][-0-9A-Za-z_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
DOMAIN: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
WORD: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL: Final = rf"^({DOMAIN}/)?{WORD}$"
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_AMOUNT: Final = r"^([0-9]{1,15}|[0-9]{1,12}\.[0-9]{1,3})(m|Ki|Mi|Gi|Ti|k|M|G|T)?$"
_RESOURCE: Final = rf"^(cpu|memory|ephemeral-storage|{DOMAIN}/{WORD})$"
_TIME: Final = "^([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h)$"
_PAUSE: Final = "^([0-9]{1,5}[sm]|[0-9]{1,3}h)$"

Quantity = Annotated[str, spelled(_QUANTITY, "write a size as Kubernetes does, such as 512Mi or 50Gi")]
Cron = Annotated[str, spelled(_CRON, 'write five fields, minute hour day month weekday, such as "0 3 * * 0"')]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    spelled(_DNS, "the name of a Kubernetes object has lower-case letters, digits, '-' and '.'"),
]
TimeZone = Annotated[str, spelled("^[A-Za-z0-9_+/-]+$", "write a time zone by its IANA name, such as Asia/Shanghai")]
Image = Annotated[str, spelled(_IMAGE, "write an image as REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST")]
LabelName = Annotated[
    str,
    Field(max_length=253),
    spelled(_LABEL, "a label's name has letters, digits, '-', '_' and '.', with a domain and a slash before it or not"),
]
LabelValue = Annotated[
    str,
    spelled(
        _LABEL_VALUE, "a label's value has at most 63 letters, digits, '-', '_' and '.', and is quoted if a number"
    ),
]
Labels = Mapping[LabelName, LabelValue]
LabelledName = Annotated[str, Field(max_length=63), spelled(_DNS, words_of(_DNS))]
"""The name of an object that others are labelled with."""
Time = Annotated[str, spelled(_TIME, "write a time above nothing, such as 30s, 5m or 24h")]
Pause = Annotated[str, spelled(_PAUSE, "write a time such as 0m, 30s, 5m or 24h")]


spelled(_AMOUNT, "write an amount as Kubernetes does, such as 4, 500m or 16Gi")


def _amount(value: Any) -> Any:
    # A number or a text, as Kubernetes takes both; a union's refusal would name each kind in a sentence of its own.
    if isinstance(value, str):
        fits = re.fullmatch(_AMOUNT, value) is not None
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10**15
    if not fits:
        raise PydanticCustomError("amount", "{words}", {"words": words_of(_AMOUNT)})
    return value


Amount = Annotated[
    Any,
    AfterValidator(_amount),
    WithJsonSchema({"type": ["string", "number"], "pattern": _AMOUNT, "minimum": 0, "maximum": 10**15}),
]
ResourceName = Annotated[
    str,
    Field(max_length=253),
    spelled(_RESOURCE, "write cpu, memory, ephemeral-storage, or a device by its domain, such as example.com/fpga"),
]
Amounts = Mapping[ResourceName, Amount]
_UNITS: Final = {
    **{"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9)},
    **{"T": Decimal(10**12), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40)},
}


def _size(amount: object) -> float:
    digits, unit = re.fullmatch(r"([0-9.e+-]+?)([A-Za-z]*)", str(amount)).groups()  # type: ignore[union-attr]
    return float(Decimal(digits) * _UNITS[unit])


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
            if name in self.limits and _size(amount) > _size(self.limits[name]):
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

    rendezvous: Time = "30m"
    """For all nodes to be there at once. 30 minutes: an autoscaler may have to start machines."""

    stall: Time = "15m"
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
    """The Kubernetes kind that runs the pods. `job` needs nothing installed; `auto` asks the cluster at submit."""

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
        """Refuse two ways in at once, and a claim that not all nodes can mount."""
        if self.service_account and self.credentials_secret:
            raise ValueError(
                "placement has serviceAccount and credentialsSecret: the secret would hide the account's identity; "
                "choose one"
            )
        cache = self.storage.cache
        if self.nodes > 1 and cache.existing_claim and cache.access_mode != "ReadWriteMany":
            raise ValueError(
                f"placement.storage.cache.existingClaim is one volume for {self.nodes} nodes: if all of them can mount "
                "it, say so with placement.storage.cache.accessMode: ReadWriteMany; else use `ephemeral` or `emptyDir`"
            )
        limit, shared = self.resources.limits.get("memory"), self.storage.shared_memory
        if limit is not None and _size(limit) <= _size(shared):
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
