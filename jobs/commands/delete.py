"""`ocrfleet delete` and `ocrfleet prune`."""

import argparse
from datetime import UTC, datetime

from jobs.commands import options, show
from jobs.diagnosis.observe import observe
from jobs.engines import runfile
from jobs.errors import UsageError
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of, run_of
from jobs.kube.kinds import kind_of
from jobs.kube.objects import Object
from jobs.rendering import manifests
from jobs.runs import find, wait
from jobs.runs import prune as pruning
from trainer.errors import NotFoundError


def add_delete(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `delete`."""
    options.command(
        parser,
        run=delete,
        text="Delete a run's objects and pods from the cluster: all of them for a run's id, or one for an object's "
        "name. The bucket is not touched: published models, checkpoints and logs stay, and the same job file, "
        "submitted again, continues from the last checkpoint. A run with running pods is refused: stop it first, "
        "or use --yes. The Service, ServiceAccount and NetworkPolicy belong to the job's name and stay for its "
        "next run.",
        examples="ocrfleet delete slips-rec-1a2b3c4d\n"
        "ocrfleet delete slips-rec-1a2b3c4d-9f0e       # one object of that run\n"
        "ocrfleet delete slips-rec-1a2b3c4d --yes --wait",
    )
    parser.add_argument("name", metavar="RUN", help="a run's id, or its object's name")
    parser.add_argument(
        "--yes", action="store_true", help="also delete a running run; its pods write a checkpoint first"
    )
    parser.add_argument("--wait", action="store_true", help="return when its pods are gone (default: return at once)")
    options.cluster(parser)


def add_prune(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `prune`."""
    options.command(
        parser,
        run=prune,
        text="Delete the objects of a job's finished runs, except the newest N. Runs that have not finished and "
        "buckets are never touched.",
        examples="ocrfleet prune slips-rec --done --keep 5 --dry-run\nocrfleet prune slips-rec --done --keep 5",
    )
    parser.add_argument("job_name", metavar="NAME", help="the job's name")
    parser.add_argument("--done", action="store_true", required=True, help="only finished runs (required)")
    parser.add_argument(
        "--keep", metavar="N", type=options.count, required=True, help="number of finished runs to keep"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be deleted, and delete nothing")
    options.cluster(parser)


def delete(arguments: argparse.Namespace) -> int:
    """Delete a run's objects."""
    cluster = options.connect(arguments)
    now = datetime.now(UTC)
    chosen = [find.gather(cluster, each, now=now, whole=False) for each in _chosen(cluster, arguments.name)]
    busy = [status for each in chosen if pruning.trains(status := observe(each))]
    if busy and not arguments.yes:
        raise UsageError(
            f"{busy[0].name} is {busy[0].phase} and its pods are running. `ocrfleet stop {busy[0].run}` ends them and "
            "keeps the run; --yes deletes it anyway."
        )
    for each in chosen:
        cluster.delete(kind_of(each.workload), name_of(each.workload))
        print(f"{manifests.name_of(each.workload)} deleted")
    run = run_of(chosen[0].workload)
    where = runfile.output(chosen[0].workload)
    show.say(
        f"The data of {run} in its bucket{f', {where},' if where else ''} stays. The same job file, submitted again, "
        "continues from the last checkpoint, or finds the model already published."
    )
    for each in chosen if arguments.wait else ():
        show.say(f"Waiting until the pods of {name_of(each.workload)} are gone.")
        wait.wait(cluster, each, lambda status, pods: status is None and not pods, timeout=arguments.timeout)
    return 0


def prune(arguments: argparse.Namespace) -> int:
    """Delete the objects of old runs."""
    cluster = options.connect(arguments)
    found = find.workloads(cluster, name=arguments.job_name)
    if not found:
        raise NotFoundError(
            f"The namespace {cluster.namespace} has no run of the job {arguments.job_name!r}. `ocrfleet list` "
            "shows all runs."
        )
    old = pruning.prunable(found, keep=arguments.keep, now=datetime.now(UTC))
    for each in old:
        if not arguments.dry_run:
            cluster.delete(kind_of(each), name_of(each))
        print(f"{manifests.name_of(each)} deleted{' (dry run)' if arguments.dry_run else ''}")
    if not old:
        show.say(f"Nothing to delete: {arguments.job_name} has at most {arguments.keep} finished runs.")
    return 0


def _chosen(cluster: Cluster, word: str) -> list[Object]:
    found = find.find(cluster, word)
    if name_of(found) == word:
        return [found]
    if run_of(found) != word:
        raise UsageError(f"{word} is the name of a job: name one of its runs, such as {run_of(found)}, the newest.")
    return find.workloads(cluster, run=word)
