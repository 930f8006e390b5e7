"""`ocrfleet check`."""

import argparse
from itertools import chain
from typing import TYPE_CHECKING

from jobs.commands import options, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.checks.dataset import Finding
    from jobs.jobfile.model import TrainingJob


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "check",
        run=run,
        summary="say what a run would stumble over",
        text="Check a job before it runs: the file and every override; each label line and image of the dataset, "
        "which is fetched into the cache; the dictionary; the batch against the samples; access to the output and its "
        "conditional writes. With --cluster, --context or -n the cluster is asked, too: namespace, engine, rights, "
        "what the file names, quota, and by dry runs Pod Security and admission; nothing is made there. Each finding "
        "is a line: ok, warn or error. Ends with the code that a run would end with.",
        examples="ocrfleet check job.yaml\n"
        "ocrfleet check job.yaml -n team-ocr                  # and that of the cluster\n"
        "ocrfleet check job.yaml --set run.data.train=file:///data/slips -o json",
    )
    options.job_file(parser)
    parser.add_argument(
        "--cluster",
        action="store_true",
        help="ask the cluster, too (default: when --context or -n is given)",
    )
    options.cluster(parser)
    options.cache(parser)
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Print findings as they come, then the verdict."""
    from jobs.checks import dataset
    from jobs.models.cache import Cache
    from trainer.errors import SpecError

    findings: list[dataset.Finding] = []
    try:
        job = options.read_job(arguments)
    except SpecError as error:
        coming = dataset.errors(error)
    else:
        findings.append(dataset.Finding("ok", f"{arguments.job}: a job file, {job.name}"))
        _show(findings[0], arguments.output)
        tools = dataset.Tools(
            cache=Cache.choose(arguments.cache), transfer=show.transfer("fetch"), count=show.count("read", "images")
        )
        coming = dataset.preflight(job, tools)
        if arguments.cluster or arguments.context or arguments.namespace:
            coming = chain(coming, _of_cluster(job, arguments))
    for finding in coming:
        findings.append(finding)
        _show(finding, arguments.output)
    text, code = dataset.verdict(findings)
    if arguments.output:
        rows = [{"level": f.level, "text": f.text, "code": int(f.code)} for f in findings]
        show.document({"verdict": text, "code": int(code), "findings": rows}, arguments.output)
    else:
        print(text)
    return int(code)


def _of_cluster(job: "TrainingJob", arguments: argparse.Namespace) -> "Iterator[Finding]":
    from jobs.checks import cluster, dataset
    from trainer.errors import OcrfleetError

    try:
        yield from cluster.check(job, options.connect(arguments))
    except OcrfleetError as error:
        yield from dataset.errors(error)


def _show(finding: "Finding", output: str | None) -> None:
    if output is None:
        print(f"{finding.level:5}  {finding.text}", flush=True)
