"""`ocrfleet run`."""

import argparse
import os
from pathlib import Path

from jobs.commands import options, show
from jobs.jobfile import model as jobfile
from jobs.local import plan
from trainer import contract


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Run the whole pipeline on this machine: fetch, prepare, rehearse, train, evaluate, export, verify, "
        "publish. Each node is a process, and each device one of its workers. Stages that are done are skipped, and a "
        "stopped run resumes. Ctrl-C saves a checkpoint and ends with 143; a second Ctrl-C within 5 s kills the run.\n"
        "Standard output has the run's id at the end, and nothing else.",
        examples="ocrfleet run job.yaml\n"
        "ocrfleet run job.yaml --nodes 2 --devices-per-node 1 --device cpu\n"
        "ocrfleet run job.yaml --set run.train.epochs=3 --metrics-port 9400\n"
        "ocrfleet run job.yaml --stage evaluate",
    )
    options.job_file(parser)
    parser.add_argument(
        "--nodes", type=options.positive, metavar="N", help="node processes (default: from the job file)"
    )
    parser.add_argument(
        "--devices-per-node",
        type=options.positive,
        metavar="D",
        help="workers of each node (default: from the job file)",
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "gpu"),
        help="what to train on (default: from the job file, else what this machine has)",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="parent of the folders of all runs (default: $OCRFLEET_WORKDIR, else .ocrfleet)",
    )
    parser.add_argument(
        "--stage",
        choices=contract.STAGES,
        metavar="STAGE",
        help="run only this stage, even if it is done; the stages before it must be done (default: all stages that "
        f"are not done). One of: {', '.join(contract.STAGES)}",
    )
    parser.add_argument(
        "--metrics-port",
        type=options.port,
        metavar="PORT",
        help="serve the Prometheus metrics of node 0 at this port, and those of node i at PORT + i (default: no "
        "metrics)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a job to its end."""
    job = jobfile.load(Path(arguments.job), sets=arguments.sets)
    workdir = arguments.workdir or Path(os.environ.get(contract.ENV_WORKDIR) or plan.DEFAULT_WORKDIR)
    planned = plan.plan(
        job,
        plan.Options(
            nodes=arguments.nodes,
            devices_per_node=arguments.devices_per_node,
            device=arguments.device,
            workdir=workdir,
            metrics_port=arguments.metrics_port,
            stage=arguments.stage,
        ),
    )
    for sentence in plan.announce(planned, device_given=bool(arguments.device or job.placement.device)):
        show.say(sentence)
    code = plan.run_local(planned, say=show.say)
    if code == contract.ExitCode.DONE:
        print(planned.run_id)
    return code
