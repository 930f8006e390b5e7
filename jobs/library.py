"""`from jobs import render, submit, wait`: the submitter for pipelines and notebooks.

Nothing is printed. An error is one of `trainer.errors.OcrfleetError`, whose message is what the command would print and
whose `exit_code` is the one that it would end with. A job is the path of a job file, or its fields as a mapping.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.engines import engine_of
from jobs.engines.status import Status
from jobs.jobfile import text as jobtext
from jobs.kube.client import Cluster
from jobs.kube.connection import ApiClient, borrow, connect
from jobs.kube.fields import name_of
from jobs.kube.kubeconfig import Target
from jobs.rendering.render import Rendered
from jobs.rendering.render import render as render_values
from jobs.runs import find, watch
from jobs.runs.engine_auto import render_auto
from jobs.runs.submit import send
from trainer.errors import TransientError
from trainer.formats.yaml import to_yaml
from trainer.telemetry.lines import Line

JobFile = str | os.PathLike[str] | Mapping[str, Any]
"""The path of a job file, or its fields."""


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A run on a cluster."""

    run_id: str
    """What `wait`, `ocrfleet watch` and the bucket call it."""

    name: str
    """The name of its object."""

    namespace: str
    engine: str
    """`job`, `jobset`, …"""

    changes: tuple[str, ...]
    """What was done with each object, such as `Job slips-rec-1a2b3c4d-5e6f: created`."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended."""

    run_id: str
    exit_code: int
    """0: its model is published. The others are listed in docs/reference/exit-codes.md."""

    reason: str
    """Why, and what to do next; empty where it succeeded."""

    status: Status
    """All that is known: phase, nodes, queue."""


def render(job: JobFile, *, sets: Sequence[str] = (), namespace: str | None = None) -> Rendered:
    """Return the Kubernetes objects of a job. No cluster is needed: the engine `auto` is rendered as `job`.

    Args:
        job: a job file's path, or its fields.
        sets: overrides as of `--set`, such as `run.train.epochs=3`.
        namespace: written into each object. None: the one who applies them chooses it.

    Raises:
        SpecError: the job was refused.
        OcrfleetError: there is no Helm.
    """
    return render_values(jobtext.without_auto(_values(job, sets)), namespace=namespace)


def submit(
    job: JobFile,
    *,
    sets: Sequence[str] = (),
    namespace: str | None = None,
    client: ApiClient | None = None,
    context: str | None = None,
) -> Submitted:
    """Create a job's objects on a cluster, and return at once. Submitting the same job again changes nothing.

    Args:
        job: a job file's path, or its fields.
        sets: overrides as of `--set`, such as `run.train.epochs=3`.
        namespace: None: that of the context, else `default`.
        client: an API client of the package `kubernetes`, for example of a pod's own account.
        context: of the kubeconfig, in place of a client. None: the current one.

    Raises:
        SpecError: the job was refused, by the chart or by the server.
        AccessError: the cluster refuses the credentials or a permission.
        TransientError: the API server does not respond.
    """
    cluster = _cluster(client, context, namespace)
    values = _values(job, sets)
    if jobtext.engine_named(values) == "auto":
        rendered, _ = render_auto(cluster, values)
    else:
        rendered = render_values(values, namespace=cluster.namespace)
    steps = send(cluster, rendered.objects)
    engine = engine_of(rendered.workload)
    return Submitted(
        run_id=rendered.run_id,
        name=name_of(rendered.workload),
        namespace=cluster.namespace,
        engine=engine.NAME if engine else "",
        changes=tuple(step.sentence for step in steps),
    )


def wait(
    run: str,
    *,
    namespace: str | None = None,
    client: ApiClient | None = None,
    context: str | None = None,
    timeout: float | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Outcome:
    """Block until a run has ended, through lost pods and restarts of the API server.

    Args:
        run: a run's id, its object's name, or a job's name for its newest run.
        namespace: None: that of the context, else `default`.
        client: an API client of the package `kubernetes`.
        context: of the kubeconfig, in place of a client. None: the current one.
        timeout: seconds. None: no limit.
        on_status: called with each new status.
        on_line: called with each line of the leader's log.

    Raises:
        NotFoundError: the namespace has no such run.
        AccessError: the cluster refuses the credentials or a permission.
        TransientError: the timeout expired, or the API server does not respond. The run continues.
    """
    cluster = _cluster(client, context, namespace)
    last: Status | None = None
    for seen in watch.Watching(cluster, find.find(cluster, run), timeout=timeout).seen():
        if isinstance(seen, Status):
            last = seen
            if on_status:
                on_status(seen)
        elif isinstance(seen, Line) and on_line:
            on_line(str(seen))
    if last is None:
        raise TransientError(f"Nothing is known of the run {run!r}. Wait again.")
    return Outcome(run_id=last.run, exit_code=watch.exit_code(last), reason=str(last.reason), status=last)


def _values(job: JobFile, sets: Sequence[str]) -> dict[str, Any]:
    source = to_yaml(dict(job)) if isinstance(job, Mapping) else Path(job)
    return jobtext.read(source, sets=sets)


def _cluster(client: ApiClient | None, context: str | None, namespace: str | None) -> Cluster:
    if client is not None and context is not None:
        raise ValueError("A client and a context exclude each other.")
    connection = borrow(client) if client is not None else connect(Target(context=context))
    return Cluster(connection, namespace=namespace)
