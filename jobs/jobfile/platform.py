"""The `chart` part of the job file: what a platform team sets once for its clusters, and no author of a job.

Only the chart reads it; `ocrfleet run` checks it as it checks the rest, and uses none of it. Written as
`jobs/jobfile/placement.py` is: each field says what, unit, and why this default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from jobs.jobfile.fieldtypes import (
    Cidr,
    DeviceName,
    FileName,
    GoogleAccount,
    Guid,
    LabelName,
    Labels,
    NoProxy,
    ObjectName,
    Port,
    Quantity,
    Region,
    RoleArn,
    StoreUrl,
    Time,
    Url,
    VariableName,
)
from jobs.jobfile.reserved import (
    ALWAYS,
    ANNOTATIONS,
    BARE,
    IDENTITY,
    LABELS,
    MOUNTS,
    VARIABLES,
    VOLUMES,
    refuse_own,
    refuse_twice,
)
from trainer.run.spec import STRICT, WHOLE, Flag

Objects = tuple[Mapping[str, Any], ...]
"""Objects that are handed on as they are; what they may hold is Kubernetes' affair."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class S3Egress:
    """Where the object store is. A NetworkPolicy knows no host names, so by address and port."""

    cidrs: tuple[Cidr, ...] = ("0.0.0.0/0",)
    """Ranges of addresses. All of IPv4: AWS publishes its own, and they change. None: no object store at all."""

    ports: tuple[Port, ...] = (443,)
    """TCP ports. That of `chart.endpoint.url` is added."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MetricsFrom:
    """Who may read the metrics port: pods that both selectors name."""

    namespace_selector: Mapping[str, Any] | None = None
    """Namespaces, as Kubernetes selects by labels. Unset: the job's own."""

    pod_selector: Mapping[str, Any] | None = None
    """Pods, as Kubernetes selects by labels. Unset: all pods of these namespaces."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkPolicy:
    """What may speak to the pods, and to whom they may: their peers, DNS and the object store."""

    enabled: Flag = True
    """Make a NetworkPolicy. It holds where the cluster's network enforces one."""

    s3: S3Egress = Field(default_factory=S3Egress)
    """Where the object store is."""

    metrics_from: MetricsFrom = Field(default_factory=MetricsFrom)
    """Who may read the metrics port. Neither selector set: nobody but the pods of the run."""

    extra_egress: Objects = ()
    """More rules of egress, as Kubernetes has them; for a proxy or a webhook's host."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PodMonitor:
    """For a Prometheus of the Prometheus operator."""

    enabled: Flag = False
    """Make a PodMonitor; its kind must be installed."""

    labels: Labels = Field(default_factory=dict)
    """Labels of the PodMonitor, by which a Prometheus finds it."""

    interval: Time = "30s"
    """Time between two scrapes. 30s: a step or more of any recipe."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PodMonitoring:
    """For Google Cloud's managed Prometheus."""

    enabled: Flag = False
    """Make a PodMonitoring; its kind must be installed."""

    interval: Time = "30s"
    """Time between two scrapes."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Identity:
    """Workload identity: how the pods get rights on the buckets without keys."""

    preset: Literal["none", "aws-irsa", "aws-pod-identity", "gke", "azure"] = "none"
    """The cloud's way; it sets annotations, labels and the policy's egress. `none`: the account is used as it is."""

    role: RoleArn | None = None
    """The IAM role, with `aws-irsa`."""

    account: GoogleAccount | None = None
    """The Google service account, with `gke`. Unset: rights are given to the Kubernetes account itself."""

    client_id: Guid | None = None
    """The client id of the managed identity, with `azure`."""

    def __post_init__(self) -> None:
        """Refuse a preset without what it needs, and what no preset reads."""
        needs = {"aws-irsa": ("role", self.role), "azure": ("clientId", self.client_id)}
        field, value = needs.get(self.preset, ("", "-"))
        if not value:
            raise ValueError(f"chart.identity.{field} is missing: the preset {self.preset} needs it")
        of = {"role": ("aws-irsa", self.role), "account": ("gke", self.account), "clientId": ("azure", self.client_id)}
        for field, (preset, value) in of.items():
            if value and preset != self.preset:
                raise ValueError(f"chart.identity.{field} is for the preset {preset}, and the preset is {self.preset}")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ServiceAccount:
    """The account of the pods, where `placement.serviceAccount` names none."""

    create: Flag = True
    """Make the account."""

    name: ObjectName | None = None
    """Its name. Unset: the job's name; with `create: false` the namespace's `default`."""

    annotations: Mapping[LabelName, str] = Field(default_factory=dict)
    """Annotations of the account that is made, beside those of `chart.identity`."""

    automount_token: Flag = False
    """Mount a token for the API server. Training needs none."""

    def __post_init__(self) -> None:
        """Refuse to make what every namespace has."""
        if self.create and self.name == "default":
            raise ValueError(
                "chart.serviceAccount.name is default, which every namespace has: set `create: false` beside it"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Proxy:
    """The proxy through which the object store is reached."""

    http: Url | None = None
    """For http URLs; the variable HTTP_PROXY."""

    https: Url | None = None
    """For https URLs; the variable HTTPS_PROXY."""

    no_proxy: tuple[NoProxy, ...] = ()
    """Hosts and domains to reach without it; the variable NO_PROXY. The pods' own are added."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CaBundle:
    """Certificate authorities of one's own, beside the well-known ones."""

    config_map: ObjectName | None = None
    """A ConfigMap with the certificates, as PEM. Unset: the image's own authorities."""

    key: FileName = "ca.crt"
    """The key in it."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endpoint:
    """An object store that is not AWS."""

    url: StoreUrl | None = None
    """Its address; the variable AWS_ENDPOINT_URL. Unset: AWS."""

    region: Region | None = None
    """The region that requests are signed for; the variable AWS_REGION. Unset: as the account's configuration says."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rdma:
    """Network cards for traffic between nodes past the kernel."""

    resource: DeviceName | None = None
    """The cards' name as a resource of a node. Unset: TCP.

    Pinning memory takes the capability IPC_LOCK, which only a namespace of Pod Security `privileged` grants.
    """

    count: Annotated[int, Field(ge=1, le=64), WHOLE] = 1
    """Cards of each pod."""

    def __post_init__(self) -> None:
        """Refuse the GPU, which is no card of the network."""
        if self.resource and self.resource.startswith("requests."):
            raise ValueError(
                f"chart.rdma.resource is {self.resource}: write the device's own name, without `requests.`"
            )
        if self.resource == "nvidia.com/gpu":
            raise ValueError(
                "chart.rdma.resource is nvidia.com/gpu: name the network cards; GPUs are placement.devicesPerNode"
            )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Topology:
    """Pods that are near one another."""

    key: LabelName | None = None
    """A label of nodes; all pods of a run go where its value is the same, such as a rack's. Unset: anywhere."""

    required: Flag = False
    """Wait until that can be had. false: near if possible."""

    def __post_init__(self) -> None:
        """Refuse nearness without a measure."""
        if self.required and not self.key:
            raise ValueError("chart.topology.required is for chart.topology.key, which is not set")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SecurityContext:
    """Groups of the pods' processes. The rest is what Pod Security `restricted` asks for, and is not for choice."""

    fs_group: Annotated[int, Field(ge=1, lt=2**31), WHOLE] = 65532
    """The group of mounted files; the image's own. Identity tokens and secrets are read by it."""

    supplemental_groups: tuple[Annotated[int, Field(ge=1, lt=2**31), WHOLE], ...] = ()
    """More groups, such as that of a file share."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvVar:
    """One variable of the environment."""

    name: VariableName
    """Its name."""

    value: str | None = None
    """Its value."""

    value_from: Mapping[str, Any] | None = None
    """Where its value is, as Kubernetes has it."""

    def __post_init__(self) -> None:
        """Refuse what would change a run's place in its gang, or put a key where everybody reads it."""
        if self.name.startswith(("OCRFLEET_", "PADDLE_")):
            raise ValueError(f"chart.extraEnv has {self.name}: such variables are set by ocrfleet alone")
        if self.name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            raise ValueError(f"chart.extraEnv has {self.name}: keys are in a Secret, see placement.credentialsSecret")
        if self.name in VARIABLES:
            raise ValueError(f"chart.extraEnv has {self.name}: it is set from {VARIABLES[self.name]}")
        if self.value and self.value_from is not None:
            raise ValueError(f"chart.extraEnv has {self.name} with value and valueFrom: choose one")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Chart:
    """What a platform team sets once for its clusters."""

    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When a node pulls the image. IfNotPresent: a tag never moves."""

    endpoint: Endpoint = Field(default_factory=Endpoint)
    """An object store that is not AWS."""

    identity: Identity = Field(default_factory=Identity)
    """Workload identity: how the pods get rights on the buckets without keys."""

    service_account: ServiceAccount = Field(default_factory=ServiceAccount)
    """The account of the pods, where `placement.serviceAccount` names none."""

    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy)
    """What may speak to the pods, and to whom they may."""

    pod_monitor: PodMonitor = Field(default_factory=PodMonitor)
    """For a Prometheus of the Prometheus operator."""

    pod_monitoring: PodMonitoring = Field(default_factory=PodMonitoring)
    """For Google Cloud's managed Prometheus."""

    proxy: Proxy = Field(default_factory=Proxy)
    """The proxy through which the object store is reached."""

    ca_bundle: CaBundle = Field(default_factory=CaBundle)
    """Certificate authorities of one's own."""

    security_context: SecurityContext = Field(default_factory=SecurityContext)
    """Groups of the pods' processes."""

    rdma: Rdma = Field(default_factory=Rdma)
    """Network cards for traffic between nodes past the kernel."""

    topology: Topology = Field(default_factory=Topology)
    """Pods that are near one another."""

    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """Affinity of the pods, as Kubernetes has it."""

    tmp: Quantity = "1Gi"
    """Size of /tmp. 1Gi: nothing large is written there."""

    pod_labels: Labels = Field(default_factory=dict)
    """More labels of the pods; those of ocrfleet itself stay as they are."""

    pod_annotations: Mapping[LabelName, str] = Field(default_factory=dict)
    """More annotations of the pods; those of ocrfleet itself stay as they are."""

    extra_env: tuple[EnvVar, ...] = ()
    """More variables of the environment."""

    extra_volumes: Objects = ()
    """More volumes of the pods, as Kubernetes has them."""

    extra_volume_mounts: Objects = ()
    """Where they are mounted, as Kubernetes has it."""

    def __post_init__(self) -> None:
        """Refuse what would take the place of something of ocrfleet's own, and what is there twice."""
        refuse_own(self.pod_labels, "chart.podLabels", (*LABELS, *BARE, "azure.workload.identity/use"))
        refuse_own(self.pod_annotations, "chart.podAnnotations")
        refuse_own(self.pod_monitor.labels, "chart.podMonitor.labels", LABELS)
        refuse_own(self.service_account.annotations, "chart.serviceAccount.annotations", IDENTITY)
        if sum(len(f"{name}{value}".encode()) for name, value in self.pod_annotations.items()) > ANNOTATIONS:
            raise ValueError("chart.podAnnotations are larger than 32 KiB: beside run.yaml a pod has no place for more")
        refuse_twice([each.name for each in self.extra_env], "chart.extraEnv")
        refuse_twice(
            [str(each["name"]) for each in self.extra_volumes if each.get("name")], "chart.extraVolumes", VOLUMES
        )
        paths = [str(each["mountPath"]) for each in self.extra_volume_mounts if each.get("mountPath")]
        refuse_twice([path.rstrip("/") for path in paths], "chart.extraVolumeMounts", MOUNTS)
        known = {*ALWAYS, *(str(each.get("name")) for each in self.extra_volumes)}
        for each in self.extra_volume_mounts:
            if (name := str(each.get("name"))) not in known:
                raise ValueError(
                    f"chart.extraVolumeMounts has the volume {name}, which is not in chart.extraVolumes: add it there"
                )
