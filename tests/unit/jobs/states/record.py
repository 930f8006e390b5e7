"""Record what a real API server says of runs in every state: `python -m tests.unit.jobs.states.record [NAME …]`.

Needs the cluster of `make cluster-up`. The objects are those of the chart in all that matters to a status (names,
labels, failure policy, exit codes), with the tiny image in place of the trainer's. Each state is one JSON file here.
"""

import json
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from jobs.diagnosis import kueue
from jobs.engines import engine_of
from jobs.kube.changes import Change
from tests.cluster.controllers import SERVES
from tests.cluster.kube import Cluster, Namespace, Object, condition, ended, ready
from tests.cluster.machine import addons, images, lifetime, programs
from tests.cluster.machine.addons import JOBSET, KUEUE, TRAINER, TRAINING_OPERATOR
from tests.cluster.machine.layout import KUBECONFIG
from tests.cluster.manifests import container, pod_spec

HERE: Final = Path(__file__).parent
RUN: Final = "lines-1a2b3c4d"
NAME: Final = f"{RUN}-9f0e"
LABELS: Final = {"ocrfleet.io/name": "lines", "ocrfleet.io/run": RUN, "app.kubernetes.io/name": "ocr-training"}
_STEPS: Final = {
    "JobSet": (("Job", "batch/v1"),),
    "TrainJob": (("JobSet", JOBSET.version), ("Job", "batch/v1")),
}
"""What controllers make between their object and its pods."""


class Recorder:
    """Makes objects in a namespace of their own, waits for what is said of them, and writes it down."""

    def __init__(self, cluster: Cluster, image: str) -> None:
        self.cluster, self.image = cluster, image

    @contextmanager
    def namespace(self, **labels: str) -> Iterator[Namespace]:
        made = Namespace(self.cluster, f"record-{secrets.token_hex(4)}")
        every = {"pod-security.kubernetes.io/enforce": "restricted", **labels}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.name, "labels": every}})
        made.wait("ServiceAccount", "default", bool)
        try:
            yield made
        finally:
            self.cluster.resource("Namespace").delete(name=made.name)

    def write(self, state: str, space: Namespace, kind: str, version: str) -> None:
        """Write the file of a state."""

        def found(kind: str, version: str) -> list[Object]:
            return self.cluster.find(kind, namespace=space.name, version=version)

        inner = [each for step in _STEPS.get(kind, ()) for each in found(*step)]
        queued = found("Workload", KUEUE.version) if state.startswith("kueue") else []
        mine = [each for each in queued if owner(each) in (NAME, *(one["metadata"]["name"] for one in inner))]
        engine = engine_of({"apiVersion": version, "kind": kind})
        assert engine
        pods = space.pods(engine.pod_selector(NAME))
        objects = {
            "workload": space.get(kind, NAME, version=version),
            "pods": pods,
            "inner": inner,
            "events": found("Event", "v1"),
            "queued": mine[0] if mine else None,
            "rivals": [each for each in queued if each not in mine],
            "machines": self.cluster.find("Node", version="v1"),
        }
        text = json.dumps(trimmed(objects), indent=1, sort_keys=True)
        text = text.replace(space.name, "ml").replace(self.image, "ocrfleet/trainer:0.1.0")
        text = re.sub(r"record-[0-9a-f]{8}", "ocrfleet-paddle", text)  # the runtime
        (HERE / f"{state}.json").write_text(text + "\n", "utf-8")
        print("wrote", state, flush=True)


def make(space: Namespace, change: Change) -> None:
    """Do what an engine says."""
    assert change.verb == "patch"
    space.cluster.resource(change.kind, change.version).patch(
        name=change.name,
        namespace=space.name,
        body=change.body,
        content_type="application/merge-patch+json",
    )


def rest(record: Recorder, state: str, body: Object) -> None:
    """Record a run that is paused while it runs, and see it run again when it is resumed."""
    kind, version = body["kind"], body["apiVersion"]
    engine = engine_of(body)
    assert engine
    with record.namespace() as space:
        made = space.apply(body)
        space.wait_pods(both_ready)
        make(space, engine.pause(made))
        space.wait(kind, NAME, lambda found: condition(found, "Suspended") == "True", version=version)
        space.wait_pods(lambda pods: all(map(ended, pods)))
        record.write(state, space, kind, version)
        make(space, engine.resume(made))
        space.wait_pods(lambda pods: both_ready([pod for pod in pods if not ended(pod)]))


def owner(found: Object) -> str:
    """Give the name of who owns an object."""
    return next((str(each["name"]) for each in found["metadata"].get("ownerReferences", [])), "")


DROPPED: Final = {
    "metadata": ("managedFields", "uid", "resourceVersion", "generation", "annotations", "finalizers", "generateName"),
    "status": (
        "hostIP",
        "hostIPs",
        "podIP",
        "podIPs",
        "qosClass",
        "images",
        "addresses",
        "daemonEndpoints",
        "features",
    ),
    "spec": ("volumes", "tolerations", "podCIDR", "podCIDRs", "securityContext", "serviceAccount"),
}
EVERYWHERE: Final = {
    "uid", "managedFields", "securityContext", "volumeMounts", "env", "nodeInfo", "containerID", "imageID",
    "controller-uid", "batch.kubernetes.io/controller-uid", "resourceVersion", "lastProbeTime", "features",
    "jobset.sigs.k8s.io/jobset-uid", "uncountedTerminatedPods", "user", "runtimeHandlers", "declaredFeatures",
}  # fmt: skip


def trimmed(found: Any) -> Any:
    """Leave out what no status is made of."""
    if isinstance(found, list):
        return [trimmed(each) for each in found]
    if not isinstance(found, dict):
        return found
    return {
        key: trimmed(
            {k: v for k, v in value.items() if k not in DROPPED[key]}
            if key in DROPPED and isinstance(value, dict)
            else value
        )
        for key, value in found.items()
        if key not in EVERYWHERE
    }


def job_spec(image: str, *arguments: str, pods: int = 2, pod: Object | None = None, **fields: Any) -> Object:
    """Give the specification of a Job as the chart's, in what its controller does with it."""
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 40, 41, 42, 43, 44, 45, 46, 47]}},
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [143]}},
    ]
    one = container(image, *arguments, name="trainer", terminationMessagePolicy="FallbackToLogsOnError")
    given = pod or {}
    one |= given.get("container", {})
    spec = pod_spec(one, **{key: value for key, value in given.items() if key != "container"})
    return {
        "completionMode": "Indexed",
        "completions": pods,
        "parallelism": pods,
        "backoffLimit": 16,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": rules},
        "successPolicy": {"rules": [{"succeededIndexes": "0"}]},
        "template": {"metadata": {"labels": LABELS}, "spec": spec},
        **fields,
    }


def job(spec: Object, *, name: str = NAME, queue: str = "") -> Object:
    if name != NAME:
        labels = LABELS | {"ocrfleet.io/run": name.rpartition("-")[0]}
        spec = spec | {"template": spec["template"] | {"metadata": {"labels": labels}}}
    labels = LABELS | ({"kueue.x-k8s.io/queue-name": queue} if queue else {})
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": labels}, "spec": spec}


def jobset(spec: Object) -> Object:
    body = {
        "network": {"enableDNSHostnames": False},
        "failurePolicy": {"maxRestarts": 0},
        "replicatedJobs": [{"name": "node", "replicas": 1, "template": {"spec": spec}}],
    }
    metadata = {"name": NAME, "labels": LABELS}
    return {"apiVersion": JOBSET.version, "kind": "JobSet", "metadata": metadata, "spec": body}


# -- what to wait for -------------------------------------------------------------------------------------------------


def over(found: Object) -> bool:
    return "True" in (condition(found, "Complete"), condition(found, "Failed"), condition(found, "Succeeded"))


def both_ready(pods: list[Object]) -> bool:
    return sum(map(ready, pods)) == 2


def waiting(reason: str) -> Callable[[list[Object]], bool]:
    def so(pods: list[Object]) -> bool:
        statuses = [each for pod in pods for each in pod.get("status", {}).get("containerStatuses") or []]
        return any((each.get("state") or {}).get("waiting", {}).get("reason") == reason for each in statuses)

    return so


def unschedulable(pods: list[Object]) -> bool:
    return any(condition(pod, "PodScheduled") == "False" for pod in pods)


def wait_event(space: Namespace, reason: str, deadline: int = 90) -> None:
    for event in space.cluster.resource("Event", "v1").watch(namespace=space.name, timeout=deadline):
        if event["raw_object"].get("reason") == reason:
            return
    raise AssertionError(f"no event {reason} within {deadline} s")


# -- the states of a Job ----------------------------------------------------------------------------------------------


def job_states(record: Recorder, wanted: Callable[[str], bool]) -> None:
    image = record.image
    gpu = {"container": {"resources": {"limits": {"nvidia.com/gpu": "4"}}}}
    secret_volume = {
        "volumes": [{"name": "credentials", "secret": {"secretName": "bucket"}}],
        "container": {"volumeMounts": [{"name": "credentials", "mountPath": "/etc/credentials"}]},
    }
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "bucket", "key": "key"}}}
    told: dict[str, tuple[Object, Callable[[Namespace], Any]]] = {
        "job-running": (job_spec(image, *SERVES), lambda s: s.wait_pods(both_ready)),
        "job-complete": (job_spec(image, "exit", "0"), lambda s: s.wait("Job", NAME, over)),
        "job-exit-41": (job_spec(image, "exit", "41"), lambda s: s.wait("Job", NAME, over)),
        "job-exit-46": (job_spec(image, "exit", "46"), lambda s: s.wait("Job", NAME, over)),
        "job-backoff": (job_spec(image, "exit", "75", backoffLimit=0), lambda s: s.wait("Job", NAME, over)),
        "job-deadline": (
            job_spec(image, *SERVES, activeDeadlineSeconds=8),
            lambda s: s.wait("Job", NAME, over),
        ),
        "job-no-gpu": (job_spec(image, *SERVES, pod=gpu), lambda s: s.wait_pods(unschedulable)),
        "job-never-pull": (
            job_spec("ocrfleet/absent:1", *SERVES, pod={"container": {"imagePullPolicy": "Never"}}),
            lambda s: s.wait_pods(waiting("ErrImageNeverPull")),
        ),
        "job-pull": (
            job_spec("registry.invalid/absent:1", *SERVES),
            lambda s: s.wait_pods(waiting("ImagePullBackOff"), deadline=120),
        ),
        "job-image-name": (
            job_spec("Not A Name", *SERVES),
            lambda s: s.wait_pods(waiting("InvalidImageName")),
        ),
        "job-secret-volume": (job_spec(image, *SERVES, pod=secret_volume), lambda s: wait_event(s, "FailedMount")),
        "job-secret-key": (
            job_spec(image, *SERVES, pod={"container": {"env": [key]}}),
            lambda s: s.wait_pods(waiting("CreateContainerConfigError")),
        ),
        "job-pod-security": (
            job_spec(image, *SERVES, pod={"hostNetwork": True}),
            lambda s: wait_event(s, "FailedCreate"),
        ),
        "job-account": (
            job_spec(image, *SERVES, pod={"serviceAccountName": "trainer"}),
            lambda s: wait_event(s, "FailedCreate"),
        ),
        "job-memory": (
            job_spec(
                image, "eat", "64", pods=1, backoffLimit=0,
                pod={"container": {"resources": {"limits": {"memory": "16Mi"}}}},
            ),
            lambda s: s.wait("Job", NAME, over),
        ),
    }  # fmt: skip
    for state, (spec, until) in told.items():
        if wanted(state):
            with record.namespace() as space:
                space.apply(job(spec))
                until(space)
                record.write(state, space, "Job", "batch/v1")
    if wanted("job-quota"):
        with record.namespace() as space:
            quota = {"hard": {"pods": "1"}}
            space.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": quota})
            space.wait("ResourceQuota", "team", lambda found: found.get("status", {}).get("hard"))
            space.apply(job(job_spec(image, *SERVES)))
            wait_event(space, "FailedCreate")
            space.wait_pods(lambda pods: any(map(ready, pods)))
            record.write("job-quota", space, "Job", "batch/v1")
    if wanted("job-suspended"):
        rest(record, "job-suspended", job(job_spec(image, *SERVES)))
    if wanted("job-evicted"):
        with record.namespace() as space:
            space.apply(job(job_spec(image, *SERVES, pod={"terminationGracePeriodSeconds": 30})))
            space.wait_pods(both_ready)
            first = space.pods()[0]["metadata"]["name"]
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": first}}
            space.cluster.core.create_namespaced_pod_eviction(first, space.name, body)
            space.wait("Pod", first, lambda found: condition(found, "DisruptionTarget") == "True")
            record.write("job-evicted", space, "Job", "batch/v1")


# -- the other engines ------------------------------------------------------------------------------------------------


def jobset_states(record: Recorder, wanted: Callable[[str], bool]) -> None:
    addons.install(JOBSET)
    image = record.image

    def terminal(found: Object) -> bool:
        return bool(found.get("status", {}).get("terminalState"))

    told: dict[str, tuple[Object, Callable[[Namespace], Any]]] = {
        "jobset-running": (jobset(job_spec(image, *SERVES)), lambda s: s.wait_pods(both_ready)),
        "jobset-complete": (jobset(job_spec(image, "exit", "0")), lambda s: s.wait("JobSet", NAME, terminal)),
        "jobset-exit-42": (jobset(job_spec(image, "exit", "42")), lambda s: s.wait("JobSet", NAME, terminal)),
    }
    for state, (body, until) in told.items():
        if wanted(state):
            with record.namespace() as space:
                space.apply(body)
                until(space)
                record.write(state, space, "JobSet", JOBSET.version)
    if wanted("jobset-suspended"):
        rest(record, "jobset-suspended", jobset(job_spec(image, *SERVES)))


def trainjob_states(record: Recorder, wanted: Callable[[str], bool]) -> None:
    for addon in (JOBSET, TRAINER):
        addons.install(addon)
    spec = job_spec(record.image, pod={"container": {"name": "node"}})
    for field in ("completions", "parallelism"):
        del spec[field]
    step = {"metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}, "spec": spec}
    runtime = {
        "mlPolicy": {"numNodes": 1},
        "template": {"spec": {"replicatedJobs": [{"name": "node", "template": step}]}},
    }
    name = f"record-{secrets.token_hex(4)}"
    record.cluster.apply(
        {"apiVersion": TRAINER.version, "kind": TRAINER.kind, "metadata": {"name": name}, "spec": runtime}
    )

    def trainjob(*arguments: str, **fields: Any) -> Object:
        body = {"runtimeRef": {"name": name}, "trainer": {"numNodes": 2, "args": list(arguments)}, **fields}
        metadata = {"name": NAME, "labels": LABELS}
        return {"apiVersion": TRAINER.version, "kind": "TrainJob", "metadata": metadata, "spec": body}

    try:
        for state, arguments, until in (
            ("trainjob-running", SERVES, None),
            ("trainjob-complete", ("exit", "0"), "Complete"),
            ("trainjob-exit-43", ("exit", "43"), "Failed"),
        ):
            if not wanted(state):
                continue
            with record.namespace() as space:
                space.apply(trainjob(*arguments))
                if until:
                    space.wait("TrainJob", NAME, lambda found, word=until: condition(found, word) == "True")
                else:
                    space.wait_pods(both_ready)
                record.write(state, space, "TrainJob", TRAINER.version)
        if wanted("trainjob-suspended"):
            rest(record, "trainjob-suspended", trainjob(*SERVES))
    finally:
        record.cluster.resource(TRAINER.kind, TRAINER.version).delete(name=name)


def paddlejob_states(record: Recorder, wanted: Callable[[str], bool]) -> None:
    addons.install(TRAINING_OPERATOR)

    def paddlejob(*arguments: str, **fields: Any) -> Object:
        spec = pod_spec(container(record.image, *arguments, name="paddle"), **fields)
        worker = {
            "replicas": 2,
            "restartPolicy": "Never",
            "template": {"metadata": {"labels": LABELS}, "spec": spec},
        }
        body = {"runPolicy": {"cleanPodPolicy": "None"}, "paddleReplicaSpecs": {"Worker": worker}}
        metadata = {"name": NAME, "labels": LABELS}
        return {"apiVersion": TRAINING_OPERATOR.version, "kind": "PaddleJob", "metadata": metadata, "spec": body}

    for state, arguments, until in (
        ("paddlejob-running", SERVES, None),
        ("paddlejob-succeeded", ("exit", "0"), "Succeeded"),
        ("paddlejob-exit-44", ("exit", "44"), "Failed"),
        ("paddlejob-deadline", SERVES, "Failed"),
    ):
        if not wanted(state):
            continue
        with record.namespace() as space:
            # On the pod: the operator (1.9.4) looks at a deadline of its own only when something else happens.
            limit = {"activeDeadlineSeconds": 8} if state == "paddlejob-deadline" else {}
            space.apply(paddlejob(*arguments, **limit))
            if until:
                space.wait("PaddleJob", NAME, lambda found, word=until: condition(found, word) == "True")
            else:
                space.wait_pods(both_ready)
                space.wait("PaddleJob", NAME, lambda found: condition(found, "Running") == "True")
            record.write(state, space, "PaddleJob", TRAINING_OPERATOR.version)
    if wanted("paddlejob-suspended"):
        rest(record, "paddlejob-suspended", paddlejob(*SERVES))


# -- under Kueue ------------------------------------------------------------------------------------------------------


@contextmanager
def queue(record: Recorder, space: Namespace, cpu: str) -> Iterator[None]:
    """A queue with so much quota, in the namespace."""
    name, version, cluster = space.name, KUEUE.version, record.cluster
    whole = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [
            {
                "coveredResources": ["cpu"],
                "flavors": [{"name": name, "resources": [{"name": "cpu", "nominalQuota": cpu}]}],
            }
        ],
    }
    for kind, spec in (("ResourceFlavor", {}), ("ClusterQueue", whole)):
        cluster.apply({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})
    local = {"metadata": {"name": "team"}, "spec": {"clusterQueue": name}}
    space.apply({"apiVersion": version, "kind": "LocalQueue", **local})
    space.wait("LocalQueue", "team", lambda found: condition(found, "Active") == "True", version=version)
    priority = {"apiVersion": version, "kind": "WorkloadPriorityClass", "metadata": {"name": name}, "value": 100}
    cluster.apply(priority)
    try:
        yield
    finally:
        for kind in ("ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass"):
            cluster.resource(kind, version).delete(name=name)


def wait_workload(space: Namespace, name: str, true: Callable[[Object], Any]) -> Any:
    for event in space.cluster.resource("Workload", KUEUE.version).watch(namespace=space.name, timeout=60):
        seen = event["raw_object"]
        if owner(seen) == name and (answer := true(seen)):
            return answer
    raise AssertionError(f"the Workload of {name}: not true within 60 s")


def kueue_states(record: Recorder, wanted: Callable[[str], bool]) -> None:
    for addon in (JOBSET, KUEUE):
        addons.install(addon)
    one = {"container": {"resources": {"requests": {"cpu": "100m"}}}}

    def gang(name: str = NAME, *, queue: str = "team", pods: int = 2) -> Object:
        return job(job_spec(record.image, *SERVES, pod=one, pods=pods), name=name, queue=queue)

    def unreserved(found: Object) -> bool:
        return condition(found, "QuotaReserved") == "False"

    with ExitStack() as stack:
        labels = {"ocrfleet.io/kueue": "true"}
        if wanted("kueue-waiting"):
            space = stack.enter_context(record.namespace(**labels))
            stack.enter_context(queue(record, space, "250m"))
            space.apply(gang("receipts-55667788-0a1b"))
            wait_workload(space, "receipts-55667788-0a1b", lambda found: condition(found, "Admitted") == "True")
            space.apply(gang())
            wait_workload(space, NAME, unreserved)
            record.write("kueue-waiting", space, "Job", "batch/v1")
        if wanted("kueue-too-large"):
            space = stack.enter_context(record.namespace(**labels))
            stack.enter_context(queue(record, space, "150m"))
            space.apply(gang())
            wait_workload(space, NAME, unreserved)
            record.write("kueue-too-large", space, "Job", "batch/v1")
        if wanted("kueue-no-queue"):
            space = stack.enter_context(record.namespace(**labels))
            space.apply(gang(queue="nobody"))
            wait_workload(space, NAME, unreserved)
            record.write("kueue-no-queue", space, "Job", "batch/v1")
        if wanted("kueue-running") or wanted("kueue-stopped"):
            space = stack.enter_context(record.namespace(**labels))
            stack.enter_context(queue(record, space, "250m"))
            space.apply(gang())
            space.wait_pods(both_ready)
            wait_workload(space, NAME, lambda found: condition(found, "PodsReady") != "False")
            record.write("kueue-running", space, "Job", "batch/v1")
            queued = wait_workload(space, NAME, lambda found: found)
            make(space, kueue.pause(queued))
            space.wait_pods(lambda pods: all(map(ended, pods)))
            wait_workload(space, NAME, unreserved)
            record.write("kueue-stopped", space, "Job", "batch/v1")
            make(space, kueue.resume(queued))
            space.wait_pods(lambda pods: both_ready([pod for pod in pods if not ended(pod)]))
        if wanted("kueue-preempted"):
            space = stack.enter_context(record.namespace(**labels))
            stack.enter_context(queue(record, space, "250m"))
            space.apply(gang())
            space.wait_pods(both_ready)
            strong = gang("urgent-99aabbcc-2c3d")
            strong["metadata"]["labels"]["kueue.x-k8s.io/priority-class"] = space.name
            space.apply(strong)
            wait_workload(space, "urgent-99aabbcc-2c3d", lambda found: condition(found, "Admitted") == "True")
            wait_workload(space, NAME, unreserved)
            record.write("kueue-preempted", space, "Job", "batch/v1")


def main() -> None:
    """Record the states that are named, or all."""
    names = sys.argv[1:]
    lifetime.up()
    cluster = Cluster(str(KUBECONFIG), local=True)
    image = images.of_program(programs.build({"tiny": programs.CONTROL["tiny"]}) / "tiny")
    images.import_everywhere(image)
    record = Recorder(cluster, image.name)

    def wanted(state: str) -> bool:
        return not names or any(state.startswith(name) for name in names)

    for states in (job_states, jobset_states, trainjob_states, paddlejob_states, kueue_states):
        engine = states.__name__.removesuffix("_states")
        if not names or any(name.startswith(engine) for name in names):
            states(record, wanted)


if __name__ == "__main__":
    main()
