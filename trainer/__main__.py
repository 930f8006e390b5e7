"""A node of a run: `python -m trainer --workdir DIR`, with the environment of `trainer/contract.py`."""

import argparse
import contextlib
import faulthandler
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import get_args

from trainer import contract
from trainer.errors import OcrfleetError, SpecError, StoppedError
from trainer.formats.printable import printable
from trainer.node import access, hold_on_failure
from trainer.node.pipeline import Pipeline
from trainer.run import credentials
from trainer.run.assignment import Assignment
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.system import atomic, process
from trainer.telemetry.console import Console
from trainer.telemetry.events import Ended
from trainer.telemetry.lines import Format
from trainer.telemetry.metrics import Metrics
from trainer.telemetry.sentences import sentence

log = logging.getLogger("trainer")


def main() -> int:
    """Run this node's part of the run and return the contract's exit code."""
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument(
        "--workdir",
        type=Path,
        default=os.environ.get(contract.ENV_WORKDIR),
        help="the run's folder; it holds run.yaml",
    )
    parser.add_argument(
        "--stage", choices=contract.STAGES, help="run this stage only; the stages before it must be done"
    )
    parser.add_argument(
        "--prove-access", action="store_true", help="check access to everything the run names, then exit"
    )
    arguments = parser.parse_args()
    with ExitStack() as closing:
        form = os.environ.get(contract.ENV_LOG_FORMAT) or "text"
        console = Console(sys.stderr, form="json" if form == "json" else "text")
        closing.callback(console.close)
        if arguments.prove_access:
            return _end(lambda: _prove_access(console), console)
        code = _end(lambda: _be_node(arguments.workdir, arguments.stage, console, closing), console)
        hold_on_failure.until_told(code, say=console.notice)
        return _translated(code)


def _end(action: Callable[[], None], console: Console) -> int:
    """Run an action, tell how it ended, and return the contract's exit code."""
    try:
        action()
        ended = Ended(code=contract.ExitCode.DONE)
    except OcrfleetError as error:
        ended = Ended(code=error.exit_code, message=str(error))
    except Exception as error:  # noqa: BLE001 - a bug ends the same way as uncaught, but the pod may have to stay
        message = f"{type(error).__name__}: {error}"
        ended = Ended(code=contract.ExitCode.FAILED, message=message, traceback=traceback.format_exc())
    console.hear(ended)
    if ended.message:
        _leave_last_words(sentence(ended))
    return int(ended.code)


def _leave_last_words(words: str) -> None:
    """Leave why this pod failed where Kubernetes looks for it: in the status of its container."""
    # The kubelet makes the file. Nothing is lost without it: the kubelet then takes the end of the log.
    with contextlib.suppress(OSError), Path(contract.TERMINATION_LOG).open("r+b") as file:
        file.truncate(file.write(words.encode("utf-8", "replace")[: contract.LAST_WORDS]))


def _translated(code: int) -> int:
    """Return the exit code that this pod's controller retries, where it differs from ours."""
    if code == contract.ExitCode.TRANSIENT:
        return int(os.environ.get(contract.ENV_RETRY_CODE, code))
    return code


def _refuse_another_contract() -> None:
    """Check the contract before anything is read: under another one the environment may mean something else.

    Raises:
        SpecError: whoever started this node has another contract.
    """
    pods = os.environ.get(contract.ENV_CONTRACT)
    if pods == str(contract.CONTRACT):
        return
    theirs = f"contract {pods!r}" if pods else "no contract"
    raise SpecError(
        f"This trainer is ocrfleet {contract.VERSION} with contract {contract.CONTRACT}, but its pod has {theirs} "
        f"({contract.ENV_CONTRACT}). Set placement.image to the trainer of the chart's version, or use the chart and "
        f"the command line of ocrfleet {contract.VERSION}."
    )


def _check_format() -> None:
    """Check the log's format.

    Raises:
        SpecError: there is no such format.
    """
    form = os.environ.get(contract.ENV_LOG_FORMAT) or "text"
    if form not in get_args(Format):
        raise SpecError(f"{contract.ENV_LOG_FORMAT} is {form!r}. Set it to text or json.")


def _prove_access(console: Console) -> None:
    _refuse_another_contract()
    # Everything goes to the terminal as sentences; a traceback would hide them.
    logging.getLogger().addHandler(logging.NullHandler())
    for proved in access.prove(Path(os.environ[contract.ENV_RUN_FILE])):
        console.notice(proved)


def _bring_run_file(work: WorkDir) -> None:
    """Copy the pod's run.yaml into the work folder."""
    if source := os.environ.get(contract.ENV_RUN_FILE):
        work.root.mkdir(parents=True, exist_ok=True)
        atomic.write(work.run_file, Path(source).read_bytes())


def _be_node(workdir: Path, stage: str | None, console: Console, closing: ExitStack) -> None:
    # It alone has the keys of the bucket.
    process.hide()
    _refuse_another_contract()
    _check_format()
    topology = Topology.from_environment()
    _bring_run_file(WorkDir(workdir))
    given = Assignment.read(workdir, run_id=os.environ[contract.ENV_RUN_ID], topology=topology)
    console.locate(run=given.run_id, node=topology.node_rank)
    _log_to(given.work.node_log)
    metrics = Metrics(run=given.run_id, node=topology.node_rank, task=given.run.task)
    closing.callback(metrics.close)
    if port := os.environ.get(contract.ENV_METRICS_PORT):
        host = os.environ.get(contract.ENV_METRICS_HOST, "127.0.0.1")
        console.notice(f"Metrics are at http://{host}:{metrics.serve(int(port), host=host)}/metrics.")
    _run(Pipeline(given, console=console, metrics=metrics), metrics, only=stage)


def _run(pipeline: Pipeline, metrics: Metrics, *, only: str | None) -> None:
    _obey_signals(pipeline)
    try:
        pipeline.run(only=only)
    except Exception as error:
        # Logged before the log goes to the bucket. Only a bug of ours needs a traceback.
        log.error("%s", error, exc_info=error.__cause__ if isinstance(error, OcrfleetError) else error)
        raise
    finally:
        # A full disk must not hide why the run ended.
        with contextlib.suppress(OSError):
            pipeline.work.metrics_snapshot.write_bytes(metrics.snapshot())
        # Without an attempt the bucket was out of reach, or the run was already published.
        if pipeline.mirror.attempt:
            pipeline.mirror.push_logs(node=pipeline.given.topology.node_rank)


def _obey_signals(pipeline: Pipeline) -> None:
    """Stop cleanly on SIGTERM and SIGINT: workers stop on the same step, other stages at once.

    Stages outside the workers write each file atomically, so they may stop at any point.
    """

    def stop(number: int, _: FrameType | None) -> None:
        if not pipeline.supervisor.stop():
            raise StoppedError(f"Stopped by {signal.Signals(number).name}. Run it again to resume.")

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _log_to(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(_Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # A log that cannot be written must not fill the terminal with tracebacks.
    logging.raiseExceptions = False
    # Clients of the object store log request headers at lower levels.
    for name in ("boto3", "botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Printable(logging.Formatter):
    """Keeps names of files and messages of peers from controlling the terminal that shows the log."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


if __name__ == "__main__":
    # A crash in a library at least prints where it happened.
    faulthandler.enable()
    credentials.settle(os.environ)
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is written. Rust threads of the storage client may still run, and one that enters the interpreter
    # during its shutdown aborts the process: a published run would look like a failed one.
    os._exit(code)
