"""The `chart` part of the job file: settings that a platform team makes once for its clusters.

Only the chart reads it; `ocrfleet run` checks it and uses none of it. As in `jobs/jobfile/placement.py`, each field
has its meaning, its unit and the reason for its default.
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
    GroupId,
    Guid,
    LabelName,
    Labels,
    NoProxy,
    ObjectName,
    Port,
    ProxyUrl,
    Quantity,
    Region,
    RoleArn,
    StoreUrl,
    Time,
    UserId,
    VariableName,
)
from jobs.jobfile.reserved import FROM_ELSEWHERE, refuse_reserved
from trainer.run.spec import STRICT, WHOLE, Flag

Objects = tuple[Mapping[str, Any], ...]
"""Objects that are passed on unchanged. `jobs/kube/schema.py` checks them when a job is rendered."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class S3Egress:
    """Addresses and ports of the object store. A NetworkPolicy cannot use host names."""

    cidrs: tuple[Cidr, ...] = ("0.0.0.0/0",)
    """Address ranges. Default: all of IPv4, since the ranges of AWS change. An empty list blocks every store."""

    ports: tuple[Port, ...] = (443,)
    """TCP ports. The port of `chart.endpoint.url` is added."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class DnsEgress:
    """Resolvers besides the pods of the cluster's DNS: `k8s-app: kube-dns` in kube-system, and those of OpenShift."""

    cidrs: tuple[Cidr, ...] = ("169.254.0.0/16", "fe80::/10")
    """Address ranges. Default: link-local, for NodeLocal DNSCache and the resolvers of AWS and Google Cloud. Another
    resolver needs its address here; `0.0.0.0/0` and `::/0` allow all."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MetricsFrom:
    """Who may read the metrics port: pods that match both selectors."""

    namespace_selector: Mapping[str, Any] | None = None
    """Label selector of namespaces. Unset: the job's own namespace."""

    pod_selector: Mapping[str, Any] | None = None
    """Label selector of pods. Unset: all pods of these namespaces."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class NetworkPolicy:
    """Network traffic of the pods: allowed are their peers, DNS and the object store."""

    enabled: Flag = True
    """Create a NetworkPolicy. It has an effect if the cluster's network enforces policies."""

    dns: DnsEgress = Field(default_factory=DnsEgress)
    """Resolvers that the pods may ask."""

    s3: S3Egress = Field(default_factory=S3Egress)
    """Addresses and ports of the object store."""

    metrics_from: MetricsFrom = Field(default_factory=MetricsFrom)
    """Who may read the metrics port. With neither selector set: only the pods of the run."""

    extra_egress: Objects = ()
    """More egress rules, as in a NetworkPolicy; for example for a proxy."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PodMonitor:
    """A PodMonitor, for a Prometheus of the Prometheus operator."""

    enabled: Flag = False
    """Create a PodMonitor. Its CRD must be installed."""

    labels: Labels = Field(default_factory=dict)
    """Labels by which a Prometheus finds the PodMonitor."""

    interval: Time = "30s"
    """Time between two scrapes. 30s: at least one step of any recipe."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class PodMonitoring:
    """A PodMonitoring, for Google Cloud's managed Prometheus."""

    enabled: Flag = False
    """Create a PodMonitoring. Its CRD must be installed."""

    interval: Time = "30s"
    """Time between two scrapes."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Identity:
    """Workload identity: how the pods get access to the buckets without keys."""

    preset: Literal["none", "aws-irsa", "aws-pod-identity", "gke", "azure"] = "none"
    """The cloud's mechanism; sets annotations, labels and egress rules. `none`: the ServiceAccount stays as it is."""

    role: RoleArn | None = None
    """The IAM role for `aws-irsa`."""

    account: GoogleAccount | None = None
    """The Google service account for `gke`. Unset: the Kubernetes ServiceAccount itself has the permissions."""

    client_id: Guid | None = None
    """The client id of the managed identity for `azure`."""

    def __post_init__(self) -> None:
        """Refuse a preset without its field, and a field without its preset."""
        needs = {"aws-irsa": ("role", self.role), "azure": ("clientId", self.client_id)}
        field, value = needs.get(self.preset, ("", "-"))
        if not value:
            raise ValueError(f"chart.identity.{field} is missing: the preset {self.preset} needs it")
        of = {"role": ("aws-irsa", self.role), "account": ("gke", self.account), "clientId": ("azure", self.client_id)}
        for field, (preset, value) in of.items():
            if value and preset != self.preset:
                raise ValueError(
                    f"chart.identity.{field} belongs to the preset {preset}, but the preset is {self.preset}"
                )


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ServiceAccount:
    """The ServiceAccount of the pods, if `placement.serviceAccount` is unset."""

    create: Flag = True
    """Create the ServiceAccount."""

    name: ObjectName | None = None
    """Its name. Unset: the job's name, or with `create: false` the namespace's `default`."""

    annotations: Mapping[LabelName, str] = Field(default_factory=dict)
    """Annotations of the created ServiceAccount, in addition to those of `chart.identity`."""

    automount_token: Flag = False
    """Mount a token for the API server. Training does not need one."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Proxy:
    """The proxy for access to the object store.

    Whoever may read pods sees it. `chart.extraEnv` takes a URL with a password from a Secret: HTTPS_PROXY with
    `valueFrom.secretKeyRef`.
    """

    http: ProxyUrl | None = None
    """Proxy for http URLs; sets HTTP_PROXY."""

    https: ProxyUrl | None = None
    """Proxy for https URLs; sets HTTPS_PROXY."""

    no_proxy: tuple[NoProxy, ...] = ()
    """Hosts and domains to reach without a proxy; sets NO_PROXY. The pods' own hosts are added."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class CaBundle:
    """Custom certificate authorities, in addition to the public ones."""

    config_map: ObjectName | None = None
    """A ConfigMap with PEM certificates. Unset: only the authorities in the image."""

    key: FileName = "ca.crt"
    """The key in the ConfigMap."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Endpoint:
    """An object store other than AWS."""

    url: StoreUrl | None = None
    """Its address; sets AWS_ENDPOINT_URL. Unset: AWS."""

    region: Region | None = None
    """The region for signing requests; sets AWS_REGION. Unset: from the AWS configuration of the account."""

    addressing: Literal["path", "virtual", "auto"] = "auto"
    """The bucket's name in requests: in the path, or in the host name. auto: in the host name on AWS, else in the path.

    `virtual` needs DNS names for all buckets. Some stores, such as Alibaba Cloud OSS, take nothing else.
    """


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Rdma:
    """RDMA network cards, for traffic between nodes that bypasses the kernel."""

    resource: DeviceName | None = None
    """The resource name of the cards. Unset: TCP.

    Pinning memory needs the capability IPC_LOCK, which only Pod Security `privileged` allows in a namespace.
    """

    count: Annotated[int, Field(ge=1, le=64), WHOLE] = 1
    """Cards per pod."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Topology:
    """Placement of the pods close to each other."""

    key: LabelName | None = None
    """A node label, such as that of a rack: all pods of a run go to nodes with the same value. Unset: any nodes."""

    required: Flag = False
    """Wait until such nodes are free. false: prefer them."""

    def __post_init__(self) -> None:
        """Refuse `required` without a key."""
        if self.required and not self.key:
            raise ValueError("chart.topology.required needs chart.topology.key, which is not set")


@dataclass(frozen=True, kw_only=True, config=STRICT)
class SecurityContext:
    """User and groups of the pods' processes. `none` leaves a field out: the cluster chooses, as OpenShift does.

    The other fields are fixed: they are what Pod Security `restricted` requires.
    """

    run_as_user: UserId = 65532
    """The user, by number. The image works under any, but never as root."""

    run_as_group: GroupId = 65532
    """The group, by number. If it is left out, the image's group applies, or what the cluster sets."""

    fs_group: GroupId = 65532
    """The group that owns mounted files, so that tokens and secrets can be read. Default: the image's group."""

    supplemental_groups: tuple[Annotated[int, Field(ge=1, lt=2**31), WHOLE], ...] = ()
    """Additional groups, such as that of a file share."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EnvVar:
    """One environment variable."""

    name: VariableName
    """Its name."""

    value: str | None = None
    """Its value."""

    value_from: Mapping[str, Any] | None = None
    """The source of its value, as in a pod's `valueFrom`."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Chart:
    """Settings that a platform team makes once for its clusters."""

    image_pull_policy: Literal["IfNotPresent", "Always", "Never"] = "IfNotPresent"
    """When a node pulls the image. IfNotPresent assumes that a tag never moves."""

    log_format: Literal["text", "json"] = "text"
    """What the pods log: sentences, or a JSON object a line for a log collector."""

    endpoint: Endpoint = Field(default_factory=Endpoint)
    """An object store other than AWS."""

    identity: Identity = Field(default_factory=Identity)
    """Workload identity: how the pods get access to the buckets without keys."""

    service_account: ServiceAccount = Field(default_factory=ServiceAccount)
    """The ServiceAccount of the pods, if `placement.serviceAccount` is unset."""

    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy)
    """What may speak to the pods, and to whom they may."""

    pod_monitor: PodMonitor = Field(default_factory=PodMonitor)
    """A PodMonitor, for a Prometheus of the Prometheus operator."""

    pod_monitoring: PodMonitoring = Field(default_factory=PodMonitoring)
    """A PodMonitoring, for Google Cloud's managed Prometheus."""

    proxy: Proxy = Field(default_factory=Proxy)
    """The proxy for access to the object store."""

    ca_bundle: CaBundle = Field(default_factory=CaBundle)
    """Custom certificate authorities."""

    security_context: SecurityContext = Field(default_factory=SecurityContext)
    """User and groups of the pods' processes."""

    rdma: Rdma = Field(default_factory=Rdma)
    """RDMA network cards, for traffic between nodes that bypasses the kernel."""

    topology: Topology = Field(default_factory=Topology)
    """Placement of the pods close to each other."""

    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """Affinity of the pods, as in a pod's `affinity`."""

    tmp: Quantity = "1Gi"
    """Size of /tmp. 1Gi is enough, since nothing large is written there."""

    pod_labels: Labels = Field(default_factory=dict)
    """Additional labels of the pods. Labels of ocrfleet cannot be changed."""

    pod_annotations: Mapping[LabelName, str] = Field(default_factory=dict)
    """Additional annotations of the pods. Annotations of ocrfleet cannot be changed."""

    extra_env: tuple[EnvVar, ...] = ()
    """Additional environment variables. Workers get those of known families only, such as `NCCL_` and `FLAGS_`."""

    extra_volumes: Objects = ()
    """Additional volumes, as in a pod's `volumes`. Sizes are passed on as written: write 2Gi, not 2048Mi."""

    extra_volume_mounts: Objects = ()
    """Additional mounts, as in a container's `volumeMounts`."""

    def __post_init__(self) -> None:
        """Refuse names that ocrfleet or an engine sets, and keys in plain text."""
        refuse_reserved(self.pod_labels, "chart.podLabels")
        refuse_reserved(self.pod_annotations, "chart.podAnnotations")
        refuse_reserved(self.pod_monitor.labels, "chart.podMonitor.labels")
        refuse_reserved(self.service_account.annotations, "chart.serviceAccount.annotations")
        refuse_reserved(
            [each.name for each in self.extra_env if not (each.value_from and each.name in FROM_ELSEWHERE)],
            "chart.extraEnv",
        )
