"""Writes the runtime of engine `trainjob` from the chart: what a TrainJob of ours leaves unsaid.

A TrainJob names a runtime, which is a JobSet's template, and may patch some of its fields. The chart lets it say all
that it may. So the runtime needs only what no patch may carry (how a Job counts, fails and ends; restartPolicy, ports
and the like), and a newer chart seldom wants a newer runtime. Beside that it has what holds for every run (not root,
a file system that is read-only, rank and run.yaml from the pod's own labels and annotations), so that whoever reads it
sees how the pods run, and a TrainJob that another hand has written runs no other way.

It is rendered from engine `jobset`, and so there is one pod template. Of the jobs it is the largest: its limit on
failed pods is the highest that the chart writes, since one runtime serves runs of every size.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from docs.chart import LEAST
from jobs.jobfile import model as jobfile
from jobs.rendering.manifests import Object
from jobs.rendering.render import render
from trainer.formats.yaml import to_yaml

FILE: Final = Path(__file__).parents[1] / "manifests" / "components" / "trainjob-runtime" / "runtime.yaml"
HEAD: Final = "# Written by docs/runtime.py from the chart, and says there why; `make verify` writes it again.\n"
LARGEST: Final = {"device": "cpu", "nodes": 1000, "retries": 100}


def write() -> None:
    """Write the file."""
    FILE.write_text(HEAD + to_yaml(runtime()), "utf-8", newline="\n")


def runtime() -> Object:
    """Give the ClusterTrainingRuntime."""
    trainjob = _workload("trainjob")
    jobset = _workload("jobset")["spec"]
    (node,) = jobset["replicatedJobs"]
    job = node["template"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    container = {
        **_without(container, "image", "resources"),
        "name": node["name"],
        "env": [each for each in trainjob["spec"]["trainer"]["env"] if "valueFrom" in each],
        "volumeMounts": [each for each in container["volumeMounts"] if each["name"] == "run"],
    }
    pod = {
        # JobSet gives its pods a domain of their own.
        **_without(pod, "serviceAccountName", "subdomain"),
        "containers": [container],
        "volumes": [each for each in pod["volumes"] if each["name"] == "run"],
    }
    job = {**_without(job, "activeDeadlineSeconds", "completions", "parallelism"), "template": {"spec": pod}}
    # Kubeflow Trainer fills in the step and the container of these names.
    step = {"metadata": {"labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}}, "spec": job}
    jobset = {
        **_without(jobset, "network", "suspend"),
        "replicatedJobs": [{**node, "template": step}],
    }
    reference = trainjob["spec"]["runtimeRef"]
    return {
        "apiVersion": trainjob["apiVersion"],
        "kind": reference["kind"],
        "metadata": {"name": reference["name"], "labels": {"app.kubernetes.io/part-of": "ocrfleet"}},
        # No framework: ocrfleet starts Paddle itself.
        "spec": {"mlPolicy": {"numNodes": 1}, "template": {"spec": jobset}},
    }


def _workload(engine: str) -> Object:
    job = jobfile.load(to_yaml({**LEAST, "placement": {**LEAST["placement"], **LARGEST, "engine": engine}}))
    return render(jobfile.as_dict(job)).workload


def _without(whole: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in whole.items() if name not in names}
