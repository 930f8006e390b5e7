"""A node of a run: `python -m trainer --workdir DIR`, with the environment of `trainer/contract.py`."""

import argparse
import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from trainer import contract
from trainer.errors import OcrfleetError, SpecError, StoppedError
from trainer.node import access, hold_on_failure
from trainer.node.pipeline import Pipeline
from trainer.run.assignment import Assignment
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.telemetry.metrics import Metrics
from trainer.telemetry.progress import Progress

log = logging.getLogger("trainer")


def main() -> int:
    """Do this node's part of the run; give the exit code of the contract."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument(
        "--workdir",
        type=Path,
        default=os.environ.get(contract.ENV_WORKDIR),
        help="the run's folder, with run.yaml in it",
    )
    parser.add_argument("--stage", choices=contract.STAGES, help="do this stage alone; those before it must be done")
    parser.add_argument("--prove-access", action="store_true", help="reach all that the run names, and end")
    arguments = parser.parse_args()
    with ExitStack() as closing:
        progress = Progress(sys.stderr)
        closing.callback(progress.close)
        if arguments.prove_access:
            return _code_of(lambda: _prove_access(progress), progress)
        code = _code_of(lambda: _be_node(arguments.workdir, arguments.stage, progress, closing), progress)
        hold_on_failure.until_told(code, say=progress.line)
        return _translated(code)


def _code_of(deed: Callable[[], None], progress: Progress) -> int:
    """Do it; give the exit code of the contract, and say why if it went wrong."""
    try:
        deed()
    except OcrfleetError as error:
        progress.line(f"error: {error}")
        return int(error.exit_code)
    except Exception:  # noqa: BLE001 - ends as it would uncaught, but the pod may have to stay
        traceback.print_exc()
        return int(contract.ExitCode.FAILED)
    return int(contract.ExitCode.DONE)


def _translated(code: int) -> int:
    """Give the code that the pod's controller understands as we mean it."""
    if code == contract.ExitCode.TRANSIENT:
        return int(os.environ.get(contract.ENV_RETRY_CODE, code))
    return code


def _refuse_another_contract() -> None:
    """Before anything is read: names of the environment may mean something else there, or nothing."""
    given = os.environ.get(contract.ENV_CONTRACT)
    if given == str(contract.CONTRACT):
        return
    theirs = f"contract {given!r}" if given else "none"
    raise SpecError(
        f"This trainer is ocrfleet {contract.VERSION} with contract {contract.CONTRACT}, and its pod is made for "
        f"{theirs} ({contract.ENV_CONTRACT}): set placement.image to the trainer of the chart's version, or take the "
        f"chart and the command line of ocrfleet {contract.VERSION}."
    )


def _prove_access(progress: Progress) -> None:
    _refuse_another_contract()
    # All that it has to say goes to the terminal; a traceback would hide the sentence.
    logging.getLogger().addHandler(logging.NullHandler())
    for sentence in access.prove(Path(os.environ[contract.ENV_RUN_FILE])):
        progress.line(sentence)


def _bring_run_file(work: WorkDir) -> None:
    """Copy the pod's run.yaml to where all of the run's files are."""
    if source := os.environ.get(contract.ENV_RUN_FILE):
        work.root.mkdir(parents=True, exist_ok=True)
        temporary = work.run_file.with_suffix(".part")
        temporary.write_bytes(Path(source).read_bytes())
        temporary.replace(work.run_file)


def _be_node(workdir: Path, stage: str | None, progress: Progress, closing: ExitStack) -> None:
    _refuse_another_contract()
    topology = Topology.from_environment()
    _bring_run_file(WorkDir(workdir))
    given = Assignment.read(workdir, run_id=os.environ[contract.ENV_RUN_ID], topology=topology)
    _log_to(given.work.node_log)
    metrics = Metrics(run=given.run_id, node=topology.node_rank, task=given.run.task)
    closing.callback(metrics.close)
    if port := os.environ.get(contract.ENV_METRICS_PORT):
        host = os.environ.get(contract.ENV_METRICS_HOST, "127.0.0.1")
        progress.line(f"Metrics are at http://{host}:{metrics.serve(int(port), host=host)}/metrics.")
    _run(Pipeline(given, progress=progress, metrics=metrics), only=stage)


def _run(pipeline: Pipeline, *, only: str | None) -> None:
    _obey_signals(pipeline)
    try:
        pipeline.run(only=only)
    except Exception as error:
        # Before the log goes to the bucket. Only a fault of ours needs to say where it was.
        log.error("%s", error, exc_info=error.__cause__ if isinstance(error, OcrfleetError) else error)
        raise
    finally:
        # A full disk must not hide why the run ended.
        with contextlib.suppress(OSError):
            pipeline.work.metrics_snapshot.write_bytes(pipeline.metrics.snapshot())
        # Without an attempt the bucket was not reached, or had nothing to do for us.
        if pipeline.mirror.attempt:
            pipeline.mirror.push_logs(node=pipeline.given.topology.node_rank, say=pipeline.progress.line)


def _obey_signals(pipeline: Pipeline) -> None:
    """Stop in order on SIGTERM and SIGINT: workers on one step, other stages where they are.

    Stages outside the workers write every file whole or not at all, so they may be left at any point.
    """

    def stop(number: int, _: FrameType | None) -> None:
        if not pipeline.supervisor.stop():
            raise StoppedError(f"Stopped by {signal.Signals(number).name}. Run it again to go on.")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO, filename=path, format="%(asctime)s %(levelname)s %(name)s: %(message)s", encoding="utf-8"
    )
    # Nor must it fill the terminal with tracebacks of the log.
    logging.raiseExceptions = False
    # Clients of the object store log request headers at lower levels.
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is done and written. Threads of the storage client may still be at work in Rust, and one that meets the
    # interpreter while it is torn down aborts the process: a published run would end as a failed one.
    os._exit(code)
