"""`ocrfleet check`."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from jobs.checks import dataset, objects
from jobs.commands import options, show
from jobs.commands.document import document
from jobs.commands.progress import count, transfer
from jobs.jobfile import model as jobfile
from jobs.jobfile import text as jobtext
from jobs.models import locations
from jobs.models.cache import Cache
from trainer.errors import OcrfleetError


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Check a job before it runs: the file and every override; whether the chart renders it; each label line "
        "and image of the dataset, which is downloaded into the cache; the dictionary; the batch size against the "
        "number of samples; access to the output, and whether it supports conditional writes. With -n, --context or "
        "another option that chooses a cluster or a user, also check the cluster: namespace, engine, permissions, the "
        "objects that the file names, quota, and by dry runs Pod Security and admission. Nothing is created there. "
        "With --rehearse, also do on this machine what a run does before it trains: on a few samples, two steps, "
        "an evaluation, the export, and reading it with paddleocr. "
        "Each finding is one line: ok, warn or error. The exit code is the one that the run would end with.",
        examples="ocrfleet check job.yaml\n"
        "ocrfleet check job.yaml --rehearse                   # also try each part\n"
        "ocrfleet check job.yaml -n team-ocr                  # also check the cluster\n"
        "ocrfleet check job.yaml --set run.data.train=file:///data/slips -o json",
    )
    options.job_file(parser)
    parser.add_argument(
        "--rehearse",
        action="store_true",
        help="also try each part of the run on a few samples, on this machine; nothing is written to run.output",
    )
    options.cluster(parser)
    options.cache(parser)
    options.output(parser, "yaml", "json")


def run(arguments: argparse.Namespace) -> int:
    """Print findings one by one, then the verdict."""
    findings: list[dataset.Finding] = []
    for finding in _findings(arguments):
        findings.append(finding)
        if arguments.output is None:
            print(f"{finding.level:5}  {finding.text}", flush=True)
    text, code = dataset.verdict(findings)
    if arguments.output:
        rows = [{"level": f.level, "text": f.text, "code": int(f.code)} for f in findings]
        document({"verdict": text, "code": int(code), "findings": rows}, arguments.output)
    else:
        print(text)
    return int(code)


def _findings(arguments: argparse.Namespace) -> Iterator[dataset.Finding]:
    try:
        values = jobtext.read(Path(arguments.job), sets=arguments.sets)
        job = jobfile.from_raw(values)
        yield dataset.Finding("ok", f"{arguments.job}: a job file, {job.name}")
        with_cluster = options.names_cluster(arguments)
        if not with_cluster:  # else the job is rendered for the cluster's engine
            yield from objects.check(values)
        tools = dataset.Tools(
            cache=Cache.choose(arguments.cache), transfer=transfer("fetch"), count=count("read", "images")
        )
        found = list[dataset.Finding]()
        for finding in dataset.preflight(job, tools):
            found.append(finding)
            yield finding
        # What has failed already would fail again.
        if arguments.rehearse and not any(finding.level == "error" for finding in found):
            from jobs.checks.rehearsal import rehearse

            yield from rehearse(
                job, data=lambda uri: locations.folder(uri, tools.cache, progress=tools.transfer), say=show.say
            )
        if with_cluster:
            from jobs.checks import cluster  # without a cluster, nothing of its client is loaded

            yield from cluster.check(job, options.connect(arguments))
    except OcrfleetError as error:
        yield from dataset.errors(error)
