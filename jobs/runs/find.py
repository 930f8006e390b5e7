"""The runs of one namespace or of all: their objects, found by run id, object name or job name."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from jobs.diagnosis import kueue
from jobs.diagnosis.observe import observe
from jobs.engines import ENGINES, engine_of, jobset, trainjob, volcano
from jobs.engines.status import Observed, Phase
from jobs.kube import projections
from jobs.kube.client import Cluster, MissingKindError
from jobs.kube.fields import RUN_LABEL, at, label, moment, name_of, run_of, several, text
from jobs.kube.kinds import EVENT, JOB, NODE, POD, Kind, kind_of
from jobs.kube.objects import Object
from trainer.errors import AccessError, NotFoundError

NAME_LABEL: Final = "ocrfleet.io/name"
"""The label with a job's name."""


def workloads(
    cluster: Cluster, *, name: str | None = None, run: str | None = None, everywhere: bool = False
) -> list[Object]:
    """Return the objects of all engines, the oldest first; kinds that the cluster lacks have none.

    Args:
        cluster: where.
        name: of this job only.
        run: of this run only.
        everywhere: in all namespaces.

    Raises:
        AccessError: not one of the kinds may be read.
    """
    selector = ",".join([f"{RUN_LABEL}={run}" if run else RUN_LABEL, *([f"{NAME_LABEL}={name}"] if name else [])])
    refused: list[AccessError] = []

    def one(kind: Kind) -> list[Object]:
        try:
            found, _ = cluster.find(kind, selector=selector, everywhere=everywhere, shape=projections.Whole)
        except MissingKindError:
            return []
        except AccessError as error:
            refused.append(error)
            return []
        # A Job that a JobSet or Kueue has made is part of another engine's object.
        owners = [{text(owner, "kind") for owner in several(each, "metadata", "ownerReferences")} for each in found]
        return [each for each, by in zip(found, owners, strict=True) if not by & names]

    kinds = [Kind(each.VERSION, each.KIND) for each in ENGINES.values()]
    names = {each.kind for each in kinds}
    with ThreadPoolExecutor(len(kinds)) as pool:
        found = [each for some in pool.map(one, kinds) for each in some]
    if len(refused) == len(kinds):
        raise refused[0]
    return sorted(found, key=_made)


def find(cluster: Cluster, word: str) -> Object:
    """Return the object that a word names.

    Args:
        cluster: where.
        word: an object's name; a run's id: its newest object that no newer one has superseded; or a job's name: that of
            its newest run.

    Raises:
        NotFoundError: there is none; the sentence names the nearest.
    """
    every = workloads(cluster)
    for fits in _MEANINGS:
        if found := [each for each in every if fits(each, word)]:
            holding = [each for each in found if not _superseded(each)]
            return (holding or found)[-1]
    from trainer.run.spec import nearest  # which takes long to import; a TAB must not wait for it

    known = {word for each in every for word in (name_of(each), run_of(each), label(each, NAME_LABEL)) if word}
    hint = nearest(word, sorted(known)) if len(known) < _NAMED else " `ocrfleet list` shows all runs."
    raise NotFoundError(
        f"The namespace {cluster.namespace} has no run {word!r}." + (hint if known else " It has no runs at all.")
    )


_NAMED: Final = 12
"""The most names that a message lists when none is similar."""

_MEANINGS: Final[tuple[Callable[[Object, str], bool], ...]] = (
    lambda each, word: name_of(each) == word,
    lambda each, word: run_of(each) == word,
    lambda each, word: label(each, NAME_LABEL) == word,
)


def gather(cluster: Cluster, workload: Object, *, now: datetime, whole: bool = True) -> Observed:
    """Read all objects of a run's status; what may not be read is left out.

    Args:
        cluster: where.
        workload: the run's object.
        now: the time.
        whole: with what explains why it waits: events, rivals, machines and the pods on them.

    Raises:
        AccessError: `whole`, and its pods may not be read: it would seem to have none.
    """
    engine = engine_of(workload)
    if engine is None:
        return Observed(workload=workload, now=now)
    selector = engine.pod_selector(name_of(workload))
    pods = cluster.find(POD, selector=selector)[0] if whole else _read(cluster, POD, selector=selector) or []
    inner = _inner(cluster, workload)
    queued = _queued(cluster, {_uid(each) for each in (workload, *inner)})
    observed = Observed(workload=workload, now=now, pods=pods, inner=inner, queued=queued)
    if not whole:
        return observed
    mine = {_uid(each) for each in (workload, *inner, *pods, *([queued] if queued else []))}
    return replace(
        observed,
        events=[each for each in _read(cluster, EVENT) or () if text(each, "involvedObject", "uid") in mine],
        rivals=_rivals(cluster, queued) if queued else (),
        machines=_read(cluster, NODE),
        neighbours=_read(cluster, POD, everywhere=True),
    )


def gather_all(cluster: Cluster, *, now: datetime, everywhere: bool = False) -> list[Observed]:
    """Read all runs, the oldest first, with one call for each kind; events, rivals and machines are left out.

    Args:
        cluster: where.
        now: the time.
        everywhere: of all namespaces.

    Raises:
        AccessError: not one of the engines' kinds may be read, or there are runs whose pods may not, without which no
            run's state is known.
    """
    with ThreadPoolExecutor(len(ENGINES)) as pool:
        # Pods are most of it: they are asked for beside the runs that they are of.
        pods = pool.submit(cluster.find, POD, selector=RUN_LABEL, everywhere=everywhere, shape=projections.Pod)
        queued = pool.submit(_all_queued, cluster, everywhere=everywhere)
        found = workloads(cluster, everywhere=everywhere)
        if not found:
            return []
        engines = {each and each.NAME for each in map(engine_of, found)}
        kinds: list[tuple[Kind, str]] = []
        if engines & {jobset.NAME, trainjob.NAME}:
            kinds.append((JOB, jobset.pod_selector("").removesuffix("=")))
        if trainjob.NAME in engines:
            kinds.append((Kind(jobset.VERSION, jobset.KIND), ""))
        if volcano.NAME in engines:
            kinds.append((_POD_GROUP, ""))
        read = [
            pool.submit(_read, cluster, kind, selector=one, everywhere=everywhere, shape=projections.Whole)
            for kind, one in kinds
        ]
        of = _by_label(pods.result()[0])
        owned = _by_owner(each for objects in (queued, *read) for each in objects.result() or ())
    return [_gathered(each, of, owned, now=now) for each in found]


def _gathered(
    workload: Object, of: Mapping[tuple[str, str], list[Object]], owned: dict[str, list[Object]], *, now: datetime
) -> Observed:
    engine = engine_of(workload)
    pods = of.get((_namespace(workload), engine.pod_selector(name_of(workload))), []) if engine else []
    below = owned.pop(_uid(workload), [])
    for each in below:  # which grows: a TrainJob has a JobSet, and that has Jobs
        below += owned.pop(_uid(each), [])
    queued = next((each for each in below if text(each, "kind") == kueue.KIND), None)
    inner = [each for each in below if text(each, "kind") != kueue.KIND]
    return Observed(workload=workload, now=now, pods=pods, inner=inner, queued=queued)


def _by_label(pods: Iterable[Object]) -> dict[tuple[str, str], list[Object]]:
    """Return pods by namespace and label, as the selectors of engines have it: `job-name=lines-1a2b3c4d`."""
    found: dict[tuple[str, str], list[Object]] = {}
    keys = {engine.pod_selector("").removesuffix("=") for engine in ENGINES.values()}
    for pod in pods:
        labels = at(pod, "metadata", "labels") or {}
        for key in keys & labels.keys():
            found.setdefault((_namespace(pod), f"{key}={labels[key]}"), []).append(pod)
    return found


def _by_owner(objects: Iterable[Object]) -> dict[str, list[Object]]:
    found: dict[str, list[Object]] = {}
    for each in objects:
        for uid in {text(owner, "uid") for owner in several(each, "metadata", "ownerReferences")} - {""}:
            found.setdefault(uid, []).append(each)
    return found


def _read(
    cluster: Cluster, kind: Kind, *, selector: str = "", fields: str = "", everywhere: bool = False, shape: Any = None
) -> list[Object] | None:
    try:
        return cluster.find(kind, selector=selector, fields=fields, everywhere=everywhere, shape=shape)[0]
    except (AccessError, MissingKindError):
        return None


def _inner(cluster: Cluster, workload: Object) -> list[Object]:
    """Return what controllers have made between an object and its pods."""
    kind, name = text(workload, "kind"), name_of(workload)
    if (kind, kind_of(workload).group) == (volcano.KIND, "batch.volcano.sh"):
        return [each for each in _read(cluster, _POD_GROUP) or () if _owned(each, {_uid(workload)})]
    if kind not in (jobset.KIND, trainjob.KIND):
        return []
    # Both controllers put the JobSet's name on its Jobs; a TrainJob's JobSet has the TrainJob's name.
    sets = _read(cluster, Kind(jobset.VERSION, jobset.KIND), fields=f"metadata.name={name}")
    jobs = _read(cluster, JOB, selector=jobset.pod_selector(name))
    return [*((sets or ()) if kind == trainjob.KIND else ()), *(jobs or ())]


def _queued(cluster: Cluster, owners: set[str]) -> Object | None:
    """Return the Workload of Kueue that one of these owns."""
    found = _read(cluster, kind) or [] if (kind := _workload_kind(cluster)) else []
    return next((each for each in found if _owned(each, owners)), None)


def _all_queued(cluster: Cluster, *, everywhere: bool) -> list[Object] | None:
    kind = _workload_kind(cluster)
    return _read(cluster, kind, everywhere=everywhere, shape=projections.Whole) if kind else None


def _rivals(cluster: Cluster, queued: Object) -> list[Object]:
    """Return what else holds quota of the same ClusterQueue, of all namespaces where these may be read."""
    kind = _workload_kind(cluster)
    queue = text(queued, "status", "admission", "clusterQueue")
    if kind and not queue:
        local = _read(cluster, Kind(kind.version, "LocalQueue"))
        wanted = text(queued, "spec", "queueName")
        queue = next((text(each, "spec", "clusterQueue") for each in local or () if name_of(each) == wanted), "")
    if not kind or not queue:
        return []
    found = _read(cluster, kind, everywhere=True)
    if found is None:
        found = _read(cluster, kind) or []
    return [
        each
        for each in found
        if text(each, "status", "admission", "clusterQueue") == queue and _uid(each) != _uid(queued)
    ]


_POD_GROUP: Final = Kind("scheduling.volcano.sh/v1beta1", "PodGroup")


def _workload_kind(cluster: Cluster) -> Kind | None:
    version = cluster.served("kueue.x-k8s.io")
    return Kind(version, kueue.KIND) if version else None


def _owned(found: Object, owners: set[str]) -> bool:
    return any(text(each, "uid") in owners - {""} for each in several(found, "metadata", "ownerReferences"))


def _superseded(found: Object) -> bool:
    return observe(Observed(workload=found, now=datetime.now(UTC))).phase is Phase.SUPERSEDED


def _uid(found: Object) -> str:
    return text(found, "metadata", "uid")


def _namespace(found: Object) -> str:
    return text(found, "metadata", "namespace")


def _made(found: Object) -> datetime:
    return moment(found, "metadata", "creationTimestamp") or datetime.min.replace(tzinfo=UTC)
