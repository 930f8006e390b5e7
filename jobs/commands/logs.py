"""`ocrfleet logs`."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from jobs.commands import options, show
from jobs.diagnosis.observe import observe
from jobs.engines import engine_of, runfile
from jobs.errors import UsageError
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of, run_of
from jobs.kube.kinds import POD
from jobs.kube.objects import Object
from jobs.runs import bucket_logs, find, pod_logs
from jobs.runs.pod_logs import Line
from trainer.errors import NotFoundError, OcrfleetError


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Show the logs of a run. They are read from its pods while these exist; otherwise, and with --attempt or "
        "--rank, from the run's bucket. With a job file instead of RUN no cluster is needed: runs of `ocrfleet "
        "run` also leave their logs in the bucket. The bucket is read with your own AWS credentials. With "
        "several nodes, each line begins with its node. A node's logs are uploaded when the node ends.",
        examples="ocrfleet logs slips-rec-1a2b3c4d\n"
        "ocrfleet logs slips-rec -f --tail 20         # the newest run of that name\n"
        "ocrfleet logs slips-rec-1a2b3c4d --rank 3    # one worker, from the bucket\n"
        "ocrfleet logs job.yaml --attempt 1 --node 0\n"
        "ocrfleet logs slips-rec-1a2b3c4d --from s3://ocr-models/slips-rec/",
    )
    parser.add_argument("name", metavar="RUN", help="a run's id, its object's name, a job's name, or a job file")
    parser.add_argument("--node", metavar="N", type=options.count, help="only this node (default: all)")
    parser.add_argument(
        "--rank", metavar="R", type=options.count, help="only this worker, counted over all nodes; read from the bucket"
    )
    parser.add_argument(
        "--attempt", metavar="A", type=options.positive, help="this attempt; read from the bucket (default: the last)"
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="print new lines, also of new pods, until the run ends"
    )
    parser.add_argument(
        "--tail", metavar="N", type=options.count, help="only the last N lines of each log (default: all)"
    )
    parser.add_argument("-p", "--previous", action="store_true", help="of each node's previous pod")
    parser.add_argument(
        "--from", metavar="URI", dest="source", help="the run's `run.output`: read from this bucket, without a cluster"
    )
    options.cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    """Show logs."""
    _check(arguments)
    if arguments.source:
        return _from_bucket(arguments, arguments.source, [arguments.name])
    if arguments.name.endswith((".yaml", ".yml", ".json")) or "/" in arguments.name:
        return _from_bucket(arguments, *bucket_logs.of_job_file(Path(arguments.name)))
    cluster = options.connect(arguments)
    workload = find.find(cluster, arguments.name)
    where = runfile.output(workload), [run_of(workload)]
    if arguments.rank is not None or arguments.attempt is not None:
        return _from_bucket(arguments, *where)
    if _from_pods(arguments, cluster, workload):
        return 0
    try:
        return _from_bucket(arguments, *where)
    except OcrfleetError as error:
        raise type(error)(f"{_why_none(cluster, workload)} {error}") from error


def _why_none(cluster: Cluster, workload: Object) -> str:
    status = observe(find.gather(cluster, workload, now=datetime.now(UTC)))
    return f"No pod of {status.run} has a log. The run is {status.phase}. {status.reason.text}".rstrip()


def _check(arguments: argparse.Namespace) -> None:
    if arguments.rank is not None and arguments.node is not None:
        raise UsageError("--node and --rank exclude each other: ranks are counted over all nodes.")
    kept = arguments.rank is not None or arguments.attempt is not None or arguments.source
    if kept and (arguments.follow or arguments.previous):
        raise UsageError(
            "-f and -p read logs of pods; --rank, --attempt and --from read logs in the bucket. Use one or the other."
        )


def _from_pods(arguments: argparse.Namespace, cluster: Cluster, workload: Object) -> bool:
    """Print the logs of the pods; return whether there was any."""
    engine = engine_of(workload)
    if engine is None:
        return False
    several = engine.size(workload) > 1 and arguments.node is None
    if arguments.follow and not arguments.previous:
        tailing = pod_logs.Tailing(cluster, workload, engine, tail=arguments.tail, node=arguments.node)
        return _show(tailing.lines(), several=several)
    pods, _ = cluster.find(POD, selector=engine.pod_selector(name_of(workload)))
    chosen = {rank: of for rank, of in pod_logs.by_rank(pods, engine).items() if arguments.node in (None, rank)}
    if arguments.previous:
        return _show(pod_logs.before(cluster, chosen, tail=arguments.tail), several=several)
    newest = {rank: of[0] for rank, of in chosen.items()}
    return _show(pod_logs.read(cluster, newest, tail=arguments.tail), several=several)


def _show(lines: Iterator[Line], *, several: bool) -> bool:
    found = False
    for line in lines:
        found = True
        print(f"[node {line.node}] {line.text}" if several else line.text, flush=True)
    return found


def _from_bucket(arguments: argparse.Namespace, output: str, runs: list[str]) -> int:
    if not output:
        raise NotFoundError(f"The object of {runs[0]} does not name its bucket. Name it with --from s3://…")
    found = [bucket_logs.kept(output, each) for each in runs]
    logs = next((each for each in found if each.files), found[0])
    if not logs.files:
        places = " or ".join(each.uri for each in found)
        raise NotFoundError(f"No log in {places} yet: a node uploads its log when it ends.")
    files = logs.choose(attempt=arguments.attempt, node=arguments.node, rank=arguments.rank)
    attempts = f"attempt {files[0].attempt} of {logs.attempts[-1]}"
    show.say(f"Logs of {attempts}, from {logs.uri}.")
    for file in files:
        for line in logs.lines(file, tail=arguments.tail):
            print(f"[{file.title}] {line}" if len(files) > 1 else line)
    return 0
