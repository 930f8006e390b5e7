"""`ocrfleet check` with a cluster: errors of a job there, found before it is submitted.

Dry runs show what the server's own admission would do. What this user may not read is reported.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from jobs.checks.dataset import Finding, errors
from jobs.diagnosis.admission import in_words
from jobs.diagnosis.capacity import in_unit, wanted
from jobs.engines import Engine, engine_of
from jobs.jobfile.model import TrainingJob, as_dict
from jobs.jobfile.text import with_engine
from jobs.kube.client import Cluster
from jobs.kube.fields import at, name_of, quantity
from jobs.kube.kinds import EVENT, NAMESPACE, POD, Kind, kind_of
from jobs.kube.objects import Object
from jobs.rendering.render import Rendered, render
from jobs.runs import submit
from jobs.runs.engine_auto import render_auto
from trainer.contract import ExitCode
from trainer.errors import AccessError, OcrfleetError


@dataclass(frozen=True, kw_only=True)
class _Asked:
    cluster: Cluster
    job: TrainingJob
    engine: Engine
    """The one of the job file; in place of `auto`, the one that the cluster has chosen."""

    rendered: Rendered


def check(job: TrainingJob, cluster: Cluster) -> Iterator[Finding]:
    """Check a job against a cluster; yield findings one by one."""
    try:
        there = _namespace(cluster)
        yield there
        if there.level == "error":
            return
        if job.placement.engine == "auto":
            rendered, chosen = render_auto(cluster, as_dict(job))
            yield Finding("ok", f"placement.engine: auto selects {chosen}")
        else:
            rendered = render(as_dict(job), namespace=cluster.namespace)
        engine = engine_of(rendered.workload)
        assert engine  # the chart makes objects of no other
        asked = _Asked(cluster=cluster, job=job, engine=engine, rendered=rendered)
    except OcrfleetError as error:
        yield from errors(error)
        return
    checks: tuple[Callable[[_Asked], Iterator[Finding]], ...] = (
        _engine,
        _rights,
        _named,
        _resolver,
        _quota,
        _pod,
        _admission,
    )
    for each in checks:
        try:
            yield from each(asked)
        except OcrfleetError as error:
            yield from errors(error)


def _namespace(cluster: Cluster) -> Finding:
    try:
        found = cluster.get(NAMESPACE, cluster.namespace)
    except AccessError:
        return _unread(f"the namespace {cluster.namespace}")
    if found is None:
        text = f"The namespace {cluster.namespace} does not exist: create it, or choose another with -n."
        return Finding("error", text, ExitCode.SPEC)
    return Finding("ok", f"cluster: {cluster.context}, namespace {cluster.namespace}")


def _engine(asked: _Asked) -> Iterator[Finding]:
    kind = kind_of(asked.rendered.workload)
    if asked.cluster.serves(kind):
        yield Finding("ok", f"placement.engine: the cluster serves {asked.engine.NAME} ({kind.version})")
    else:
        yield Finding(
            "error",
            f"placement.engine is {asked.engine.NAME!r}, but the cluster does not serve {kind.kind} of "
            f"{kind.version}: have an administrator install it, or set `auto`.",
            ExitCode.SPEC,
        )


_LOOK: Final = (("list", POD, ""), ("watch", POD, ""), ("get", POD, "log"), ("list", EVENT, ""))
"""Permissions for watching a run."""


def _rights(asked: _Asked) -> Iterator[Finding]:
    kinds = {kind_of(each) for each in asked.rendered.objects}
    mine = kind_of(asked.rendered.workload)
    submits = [(verb, kind, "") for kind in sorted(kinds, key=str) for verb in ("get", "create", "patch")]
    manages = [*_LOOK, *((verb, mine, "") for verb in ("list", "watch", "delete"))]
    for what, wants, level in (("submit", submits, "error"), ("watch and delete", manages, "warn")):
        lacks = [
            f"{verb} {kind.plural}{f'/{part}' if part else ''}"
            for verb, kind, part in wants
            if not asked.cluster.may(verb, kind, part=part)
        ]
        if not lacks:
            yield Finding("ok", f"permissions: you may {what} runs")
            continue
        text = (
            f"permissions: to {what} runs you need {', '.join(lacks)}. manifests/base has roles that an "
            "administrator can bind"
        )
        yield Finding("error", text, ExitCode.ACCESS) if level == "error" else Finding("warn", text)


def _named(asked: _Asked) -> Iterator[Finding]:
    """Look for objects that the job file names and others create."""
    placement, volcano = asked.job.placement, asked.engine.NAME == "volcano"
    names: list[tuple[str, Kind, str | None]] = [
        ("placement.serviceAccount", Kind("v1", "ServiceAccount"), placement.service_account),
        ("placement.credentialsSecret", Kind("v1", "Secret"), placement.credentials_secret),
        *(("placement.imagePullSecrets", Kind("v1", "Secret"), each) for each in placement.image_pull_secrets),
        (
            "placement.storage.cache.existingClaim",
            Kind("v1", "PersistentVolumeClaim"),
            placement.storage.cache.existing_claim,
        ),
    ]
    if placement.queue and not volcano:
        if version := asked.cluster.served("kueue.x-k8s.io"):
            names.append(("placement.queue", Kind(version, "LocalQueue"), placement.queue))
        workload = asked.rendered.workload
        if asked.cluster.serves(kind_of(workload)):
            # By a dry run: only administrators may read Kueue's configuration.
            held_back = asked.engine.suspended(asked.cluster.apply(workload, dry_run=True))
        else:
            held_back = True  # _engine says what is missing
        if not held_back:
            yield Finding(
                "warn",
                f"placement.queue: nothing holds back a {workload['kind']} in this namespace, so the run would "
                "start at once. Check that Kueue is installed and manages the namespace",
            )
    elif placement.priority:
        kind = Kind("scheduling.k8s.io/v1", "PriorityClass", namespaced=False)
        names.append(("placement.priority", kind, placement.priority))
    made = {(each["kind"], name_of(each)) for each in asked.rendered.objects}
    for field, kind, name in names:
        if name and (kind.kind, name) not in made:
            yield _there(asked.cluster, field, kind, name)


def _there(cluster: Cluster, field: str, kind: Kind, name: str) -> Finding:
    try:
        found = cluster.get(kind, name)
    except AccessError:
        return _unread(f"{field}: the {kind.kind} {name}")
    if found is None:
        text = f"{field} is {name!r}, but the {kind.kind} {name} does not exist: create it, or fix the name."
        return Finding("error", text, ExitCode.SPEC)
    return Finding("ok", f"{field}: the {kind.kind} {name} exists")


_RESOLVERS: Final = (("kube-system", "kube-dns"), ("openshift-dns", "dns-default"))
"""Namespace and name of the Service of a cluster's DNS: CoreDNS keeps the name of what was there before it."""


def _resolver(asked: _Asked) -> Iterator[Finding]:
    """Look whether the job's NetworkPolicy lets its pods reach the cluster's DNS."""
    reached = [
        (at(peer, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"), labels)
        for each in asked.rendered.objects
        if each["kind"] == "NetworkPolicy"
        for rule in at(each, "spec", "egress") or ()
        for peer in rule.get("to", ())
        if (labels := at(peer, "podSelector", "matchLabels"))
    ]
    if not reached:
        return
    add = "Add the addresses that pods resolve names at to chart.networkPolicy.dns.cidrs"
    for namespace, name in _RESOLVERS:
        try:
            found = asked.cluster.get(Kind("v1", "Service"), name, namespace=namespace)
        except AccessError:
            yield _unread(f"chart.networkPolicy: the Service {name} in {namespace}, the cluster's DNS")
            return
        if found is None:
            continue
        selector = at(found, "spec", "selector") or {}
        if any(where == namespace and labels.items() <= selector.items() for where, labels in reached):
            yield Finding("ok", f"chart.networkPolicy: pods reach the cluster's DNS, {name} in {namespace}")
        else:
            chosen = ", ".join(f"{label}={value}" for label, value in selector.items()) or "no pods"
            yield Finding(
                "warn",
                f"chart.networkPolicy: the cluster's DNS, {name} in {namespace}, selects {chosen}, which the policy "
                f"does not let pods reach. {add}",
            )
        return
    names = " and no ".join(f"{name} in {namespace}" for namespace, name in _RESOLVERS)
    yield Finding("warn", f"chart.networkPolicy: the cluster has no Service {names}, so its DNS is unknown. {add}")


def _quota(asked: _Asked) -> Iterator[Finding]:
    try:
        quotas, _ = asked.cluster.find(Kind("v1", "ResourceQuota"))
    except AccessError:
        yield _unread("the namespace's ResourceQuotas")
        return
    pod, nodes = _bare(asked), asked.job.placement.nodes
    for each in quotas:
        # Pods are scheduled by their requests, so quota for limits is not compared.
        hard = at(each, "status", "hard") or at(each, "spec", "hard") or {}
        short = []
        for key, amount in hard.items():
            resource = key.removeprefix("requests.")
            needs = nodes * (1.0 if resource in ("pods", "count/pods") else wanted(pod, resource))
            free = max(0.0, quantity(amount) - quantity(at(each, "status", "used", key) or 0))
            if needs > free and not key.startswith("limits."):
                short.append(
                    f"{key} has {in_unit(free, resource)} free, but {nodes} nodes need {in_unit(needs, resource)}"
                )
        if short:
            yield Finding("warn", f"quota: in the ResourceQuota {name_of(each)}, {'; '.join(short)}. Pods would wait")
        else:
            yield Finding("ok", f"quota: the ResourceQuota {name_of(each)} has room for {nodes} pods")


def _bare(asked: _Asked) -> Object:
    """Return a pod as every engine makes it, without a ServiceAccount that the job would create."""
    found = render(with_engine(as_dict(asked.job), "job"), namespace=asked.cluster.namespace).workload
    template = found["spec"]["template"]
    made = {name_of(each) for each in asked.rendered.objects if each["kind"] == "ServiceAccount"}
    spec = {key: value for key, value in template["spec"].items() if key != "serviceAccountName" or value not in made}
    metadata = {**template["metadata"], "name": f"{name_of(found)}-check", "namespace": asked.cluster.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _pod(asked: _Asked) -> Iterator[Finding]:
    """Try to create a pod by a dry run: Pod Security, quotas and limits act on pods only."""
    if not all(asked.cluster.may(verb, POD) for verb in ("create", "patch")):
        yield Finding(
            "warn",
            "pod: you may not create pods, so it is unknown whether Pod Security and quotas accept one",
        )
        return
    try:
        asked.cluster.apply(_bare(asked), dry_run=True)
    except OcrfleetError as error:
        reason = in_words(str(error).removesuffix("."))
        if reason is None:
            raise
        text = f"pod: {reason.text}. {reason.advice}".strip()
        # Quota that is used up now becomes free when other pods end.
        yield Finding("warn", text) if "exceeded quota" in str(error) else Finding("error", text, error.exit_code)
    else:
        yield Finding("ok", "pod: the server accepts one under Pod Security, quotas and limits (dry run)")


def _admission(asked: _Asked) -> Iterator[Finding]:
    if not asked.cluster.serves(kind_of(asked.rendered.workload)):
        return  # said already
    for step in submit.send(asked.cluster, asked.rendered.objects, dry_run=True):
        yield Finding("ok", f"admission: {step.sentence} (dry run)")


def _unread(what: str) -> Finding:
    return Finding("warn", f"{what}: not checked, because you may not read it")
