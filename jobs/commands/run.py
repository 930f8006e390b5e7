"""`ocrfleet run`."""

import argparse
import os
from pathlib import Path

from jobs.commands import options, show
from trainer import contract


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "run",
        run=run,
        summary="train, verify and publish on this machine",
        text="Run the whole pipeline on this machine: fetch, prepare, train, evaluate, export, verify, publish. "
        "Each node is a process, each device a worker of it. What is done already is not done again; a run that was "
        "stopped goes on. Ctrl-C saves a checkpoint and ends with 143, twice within 5 s kills.\n"
        "At the end the run's id is on standard output, and nothing else.",
        examples="ocrfleet run job.yaml\n"
        "ocrfleet run job.yaml --nodes 2 --devices-per-node 1 --device cpu\n"
        "ocrfleet run job.yaml --set run.train.epochs=3 --metrics-port 9400\n"
        "ocrfleet run job.yaml --stage evaluate",
    )
    options.job_file(parser)
    parser.add_argument("--nodes", type=options.positive, metavar="N", help="node processes (default: as the job file)")
    parser.add_argument(
        "--devices-per-node", type=options.positive, metavar="D", help="workers of each (default: as the job file)"
    )
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), help="(default: as the job file, else what this machine has)"
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help="holds a folder for each run (default: $OCRFLEET_WORKDIR, else .ocrfleet)",
    )
    parser.add_argument(
        "--stage",
        choices=contract.STAGES,
        metavar="STAGE",
        help=f"do this stage alone, even if it is done; those before it must be (default: all that is not done): "
        f"{', '.join(contract.STAGES)}",
    )
    parser.add_argument(
        "--metrics-port",
        type=options.port,
        metavar="PORT",
        help="serve Prometheus metrics of node 0 there, and of node i at the i-th port after it (default: no metrics)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run a job to its end."""
    from jobs.local import plan

    job = options.read_job(arguments)
    workdir = arguments.workdir or Path(os.environ.get(contract.ENV_WORKDIR) or plan.DEFAULT_WORKDIR)
    planned = plan.plan(
        job,
        nodes=arguments.nodes,
        devices_per_node=arguments.devices_per_node,
        device=arguments.device,
        workdir=workdir,
        metrics_port=arguments.metrics_port,
        stage=arguments.stage,
    )
    for sentence in plan.announce(planned, device_given=bool(arguments.device or job.placement.device)):
        show.say(sentence)
    code = plan.run_local(planned, say=show.say)
    if code == contract.ExitCode.DONE:
        print(planned.run_id)
    return code
