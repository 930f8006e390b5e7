"""`ocrfleet run`: the whole pipeline on this machine, each "node" a process.

The same environment contract as in a pod, so that the trainer cannot tell the difference. `plan` decides and is
pure but for the choice of ports; `run_local` does it.
"""

import fcntl
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

from jobs.jobfile.model import TrainingJob, as_dict
from jobs.local import processes
from trainer import contract
from trainer.contract import ExitCode
from trainer.errors import ConflictError, TransientError
from trainer.formats.yaml import to_yaml
from trainer.run.identity import run_id
from trainer.run.workdir import LocalRunDir
from trainer.system import atomic, device, disk
from trainer.system.cpu import cores
from trainer.telemetry.lines import read

DEFAULT_WORKDIR: Final = Path(".ocrfleet")
NODE_PROGRAM: Final = (sys.executable, "-P", "-m", "trainer")

_PORTS: Final = range(20000, 32000)
"""Below 32768, where Linux begins to give ports to outgoing connections."""


@dataclass(frozen=True, kw_only=True)
class LocalRun:
    """A planned run on this machine."""

    run_id: str
    """`<name>-<h8>`: the same file with the same number of devices continues the same run."""

    folder: LocalRunDir
    """Where it works."""

    run_file: str
    """The `run.yaml` of every node."""

    nodes: tuple[processes.Node, ...]
    """The node processes, the leader first."""

    output: str
    """`run.output`, where the model is published."""

    stage: str | None = None
    """The one stage to do; None: all that is not done."""

    warnings: tuple[str, ...] = ()
    """A sentence for each field that the user has set and that has no effect on this machine."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to run a job on this machine; what is None is as the job file says.

    `nodes`, `devices_per_node` and `device` are part of the run's identity, since another global batch trains another
    model.
    """

    nodes: int | None = None
    """Node processes."""

    devices_per_node: int | None = None
    """Workers of each node."""

    device: str | None = None
    """`gpu` or `cpu`; what this machine has where the file does not say it either."""

    workdir: Path = DEFAULT_WORKDIR
    """The folder that holds the runs' folders."""

    metrics_port: int | None = None
    """Port of the leader's Prometheus endpoint; node i has the i-th after it. None: no endpoint."""

    stage: str | None = None
    """A stage to do alone; None: all that is not done."""

    command: Sequence[str] | None = None
    """The node's program; None: the trainer."""


def plan(job: TrainingJob, options: Options | None = None) -> LocalRun:
    """Decide how a job runs on this machine.

    Args:
        job: the job file.
        options: what the user wants otherwise.
    """
    wanted = options or Options()
    placement = as_dict(job)["placement"]
    placement |= {
        "nodes": wanted.nodes or job.placement.nodes,
        "devicesPerNode": wanted.devices_per_node or job.placement.devices_per_node,
        "device": wanted.device or job.placement.device or this_machine(),
    }
    devices = placement["nodes"] * placement["devicesPerNode"]
    identity = run_id(
        job.name, run=job.run, image=job.placement.image or "", device=placement["device"], devices=devices
    )
    folder = LocalRunDir((wanted.workdir / identity).absolute())
    words = [*(wanted.command or NODE_PROGRAM), *(("--stage", wanted.stage) if wanted.stage else ())]
    shared = _environment(identity, placement, port=free_ports(contract.ports(devices)))
    return LocalRun(
        run_id=identity,
        folder=folder,
        run_file=to_yaml({**as_dict(job), "placement": placement}),
        nodes=tuple(
            _node(
                rank,
                folder=folder,
                shared=shared | _own_devices(rank, placement),
                metrics_port=wanted.metrics_port,
                command=words,
            )
            for rank in range(placement["nodes"])
        ),
        output=job.run.output,
        stage=wanted.stage,
        warnings=tuple(_ignored(job)),
    )


def _ignored(job: TrainingJob) -> Iterator[str]:
    if job.schedule.cron:
        yield f"schedule.cron is {job.schedule.cron!r} and is ignored: `ocrfleet run` trains now, and once."
    if job.notify.webhook_secret:
        yield f"notify.webhookSecret is {job.notify.webhook_secret!r} and is ignored: `ocrfleet run` calls no webhook."


def run_local(
    run: LocalRun, *, say: Callable[[str], None] | None = None, patience: processes.Patience | None = None
) -> int:
    """Run a planned job to its end.

    Args:
        run: what `plan` gave.
        say: takes sentences for the user; None: standard error.
        patience: how long to wait for nodes that should end.

    Returns:
        The exit code of the run: the leader's, or that of the node that failed first.

    Raises:
        ConflictError: the same run is at work on this machine already.
        SpecError: this machine cannot train on the run's device.
    """
    environment = run.nodes[0].environment
    device.require(environment[contract.ENV_DEVICE], count=len(run.nodes) * int(environment[contract.ENV_DEVICES]))
    say = say or _to_stderr
    with _locked(run) as lock:
        with disk.watched(run.folder.root):
            for node in run.nodes:
                _write_run_file(run, node.rank)
        ended = processes.run(run.nodes, say=say, lock=lock, patience=patience)
    for sentence in _epilogue(run, ended):
        say(sentence)
    return ended.verdict


def announce(run: LocalRun, *, device_given: bool) -> list[str]:
    """Describe the run, with warnings about what a user may not expect.

    Args:
        run: the plan.
        device_given: whether the user or the job file named the device.
    """
    environment = run.nodes[0].environment
    nodes, devices = len(run.nodes), int(environment[contract.ENV_DEVICES])
    kind = environment[contract.ENV_DEVICE]
    found = "" if device_given else f" ({kind} is what this machine has; --device changes it)"
    sentences = [
        *(f"warning: {sentence}" for sentence in run.warnings),
        f"Run {run.run_id}: {_counted(nodes, 'node')} of {_counted(devices, 'worker')} on {kind}{found}.",
        f"Work folder: {run.folder.root}",
    ]
    if kind == "cpu" and nodes * devices > cores():
        sentences.append(
            f"{nodes * devices} workers share {_counted(cores(), 'core')}. --nodes and --devices-per-node change the "
            "number of workers, and with it the global batch size and the run's id."
        )
    return sentences


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def this_machine() -> str:
    """Return `gpu` if this machine has one and a Paddle that can use it, without importing Paddle."""
    found = device.paddle()
    return "gpu" if found and found.cuda and any(_DEVICES.glob("nvidia[0-9]*")) else "cpu"


_DEVICES: Final = Path("/dev")


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive free TCP ports.

    Raises:
        TransientError: there are none.
    """
    for _ in range(100):
        first = random.choice(_PORTS[: len(_PORTS) - count])
        if _all_free(range(first, first + count)):
            return first
    raise TransientError(
        f"{count} consecutive free TCP ports were not found between {_PORTS[0]} and {_PORTS[-1]}. Try again."
    )


def _all_free(ports: range) -> bool:
    with ExitStack() as stack:
        for port in ports:
            try:
                stack.enter_context(socket.socket()).bind(("", port))
            except OSError:
                return False
    return True


def _environment(identity: str, placement: dict[str, Any], *, port: int) -> dict[str, str]:
    return {
        contract.ENV_CONTRACT: str(contract.CONTRACT),
        contract.ENV_RUN_ID: identity,
        # Each start is newer than those before it, here or elsewhere.
        contract.ENV_OBJECT: f"{socket.gethostname()}-{secrets.token_hex(4)}",
        contract.ENV_NODES: str(placement["nodes"]),
        contract.ENV_DEVICES: str(placement["devicesPerNode"]),
        contract.ENV_DEVICE: placement["device"],
        contract.ENV_HOSTS: ",".join(["127.0.0.1"] * placement["nodes"]),
        contract.ENV_PORT: str(port),
        contract.ENV_RETRIES: str(placement["retries"]),
    }


def _own_devices(rank: int, placement: dict[str, Any]) -> dict[str, str]:
    """Return the variable that divides this machine's GPUs among several nodes: the workers of each count from 0."""
    if placement["device"] == "cpu" or placement["nodes"] == 1:
        return {}
    own = placement["devicesPerNode"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(placement["nodes"] * own)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(names[rank * own : (rank + 1) * own])}


def _node(
    rank: int, *, folder: LocalRunDir, shared: dict[str, str], metrics_port: int | None, command: Sequence[str]
) -> processes.Node:
    work = folder.node(rank)
    environment = {**shared, contract.ENV_NODE_RANK: str(rank), contract.ENV_WORKDIR: str(work.root)}
    if metrics_port:
        environment[contract.ENV_METRICS_PORT] = str(metrics_port + rank)
    return processes.Node(
        rank=rank,
        command=[*command, "--workdir", str(work.root)],
        environment=environment,
        # The leader's progress bar is the user's; one bar is enough.
        output=work.node_output if rank else None,
    )


def _write_run_file(run: LocalRun, rank: int) -> None:
    work = run.folder.node(rank)
    work.logs.mkdir(parents=True, exist_ok=True)
    atomic.write(work.run_file, run.run_file)


@contextmanager
def _locked(run: LocalRun) -> Iterator[TextIO]:
    """Hold the run's lock; the nodes inherit it, so it outlives this process if they do."""
    run.folder.root.mkdir(parents=True, exist_ok=True)
    with run.folder.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            pid = file.read().strip()  # empty until the leader has started
            stop = f", or stop it after a checkpoint with `kill {pid}`" if pid else ""
            raise ConflictError(
                f"The run {run.run_id} is already running in {run.folder.root}. Wait for it{stop}."
            ) from error
        file.truncate(0)
        yield file


def _epilogue(run: LocalRun, ended: processes.Ended) -> list[str]:
    """Describe the result, or the failure and the next step."""
    leader = run.folder.node(0)
    if ended.verdict == ExitCode.DONE and run.stage not in (None, "publish"):
        return [f"Stage {run.stage} is done. Its output is in {leader.root}."]
    if ended.verdict == ExitCode.DONE:
        return [
            f"Model:  {run.output.rstrip('/')}#{run.run_id}",
            f"Report: {leader.report_page}",
        ]
    again = "Run the same command again to continue from the last checkpoint."
    if ended.verdict == ExitCode.STOPPED:
        return [again]
    culprit = run.folder.node(ended.culprit)
    code = ended.codes[ended.culprit]
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    sentences = [f"Node {ended.culprit} {how}. Logs: {culprit.logs}"]
    if ended.culprit and code > 0:
        sentences = [*_last_words(culprit.node_output), *sentences]
    if ended.verdict == ExitCode.TRANSIENT:
        sentences.append(again)
    return sentences


def _last_words(path: Path) -> list[str]:
    """Return the end of a node's output: only the leader's is on the terminal."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4000))
        said = [str(read(line)) for line in file.read().decode("utf-8", "replace").splitlines()]
    errors = [line for line in said if line.startswith("error:")]
    return errors[-1:] or said[-5:]


def _to_stderr(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
