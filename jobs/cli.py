"""The command `ocrfleet`: parse the arguments, run the command, return its exit code.

Of the commands' modules only that of the requested command is imported: a command starts at once, and `ocrfleet --help`
loads none of them.
"""

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Collection, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Final, NoReturn

from trainer.contract import CONTRACT, VERSION, ExitCode
from trainer.errors import OcrfleetError
from trainer.formats.printable import Safe

_EPILOG = """\
a first run:
  ocrfleet recipes                        list the recipes
  ocrfleet init slips-rec --recipe rec-crnn-mobile -f job.yaml
                                          write a job file to edit
  ocrfleet check job.yaml                 find mistakes before training
  ocrfleet run job.yaml                   train, verify and publish a model
  ocrfleet predict --rec s3://ocr-models/slips-rec/ line.png
                                          read an image with it

`ocrfleet COMMAND -h` shows the options and examples of a command.
Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 a fault of ocrfleet, 2 a wrong command line; 40 to 143 are
listed in docs/reference/exit-codes.md.
"""

_GARBAGE: Final = 500_000
"""Objects made, and still there, before Python looks for some that hold only one another; imports make 100,000."""

_COMPLETE: Final = "__complete"
"""What scripts of shells ask with; nobody types it."""


_OF_CLUSTER: Final = ("kubernetes", "urllib3", "websocket")
"""Packages of the extra `cluster`, without which only commands for this machine work."""

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "init": ("init.add", "write a commented job file"),
    "recipes": ("recipes.add", "list the recipes, or show one of them"),
    "check": ("check.add", "check job file, data and access before training"),
    "doctor": ("doctor.add", "show what this machine or pod has to train with"),
    "run": ("run.add", "train, verify and publish on this machine"),
    "render": ("render.add", "write the Kubernetes objects of a job"),
    "diff": ("diff.add", "show what a job file would change on a cluster"),
    "submit": ("submit.add", "start a run on a cluster"),
    "list": ("overview.add_list", "list the runs of a namespace with their status"),
    "top": ("overview.add_top", "show the cost of runs: device-hours, idle and queue time"),
    "status": ("status.add_status", "show the status of a run, its reason, and the next step"),
    "events": ("status.add_events", "show the Kubernetes events of a run"),
    "watch": ("watch.add", "follow a run and exit with its exit code"),
    "logs": ("logs.add", "show the logs of a run's nodes and workers"),
    "stop": ("stop.add_stop", "stop a run after a checkpoint; it can be resumed"),
    "resume": ("stop.add_resume", "continue a stopped run"),
    "delete": ("delete.add_delete", "delete a run's objects from the cluster"),
    "prune": ("delete.add_prune", "delete the objects of a job's old runs"),
    "shell": ("shell.add", "open a shell in a pod of a run"),
    "predict": ("predict.add", "read images with published models"),
    "data": ("data.add", "check, split or crop a dataset"),
    "models": ("models.add", "list, show, pull or promote published models"),
    "version": ("version.add", "show the versions of ocrfleet and its packages"),
    "completion": ("completion.add", "write a completion script for a shell"),
}
"""The commands in the order of the help: the function of `jobs.commands` that adds what each takes, and its summary."""


def build_parser(program: str = "ocrfleet", *, load: Collection[str] = tuple(_COMMANDS)) -> argparse.ArgumentParser:
    """Make the parser of all commands; each parsed result has `run`, the function to call.

    Args:
        program: its name.
        load: the commands whose arguments are wanted; of the others it knows the name and the summary.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train PaddleOCR text detectors and recognisers from one job file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    about = f"ocrfleet {VERSION}, contract {CONTRACT}"
    parser.add_argument(
        "--version", action="version", version=about, help="show the version and the contract, and exit"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (place, summary) in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, allow_abbrev=False)
        if name in load:
            module, _, add = place.partition(".")
            getattr(importlib.import_module(f"jobs.commands.{module}"), add)(command)
    return parser


def ocrfleet() -> NoReturn:
    """Run `ocrfleet`."""
    _start("ocrfleet")


def kubectl() -> NoReturn:
    """Run `kubectl ocrfleet`: kubectl looks for `kubectl-ocrfleet` on the PATH."""
    _start("kubectl ocrfleet")


def complete_for_kubectl() -> NoReturn:
    """Answer a TAB behind `kubectl ocrfleet`: words, then what kubectl is to do; 4 is no file, 0 is files too."""
    found = _complete(sys.argv[1:])
    print(*found, f":{4 if found else 0}", sep="\n")
    _leave(int(ExitCode.DONE))


def main(argv: Sequence[str] | None = None, *, program: str = "ocrfleet") -> int:
    """Run a command and return its exit code."""
    with redirect_stdout(Safe(sys.stdout)), redirect_stderr(Safe(sys.stderr, always=True)):
        return _main(sys.argv[1:] if argv is None else argv, program)


def _main(words: Sequence[str], program: str) -> int:
    # It would look through all installed packages for some that want to look at each class of the job file.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if words[:1] == [_COMPLETE]:
        print(*_complete(words[1:]), sep="\n")
        return int(ExitCode.DONE)
    asked = [word for word in words if not word.startswith("-")][:1]
    try:
        arguments = build_parser(program, load=asked).parse_args(words)
    except ModuleNotFoundError as error:
        if not (sentence := _missing(error)):
            raise
        _say_all("error: ", sentence)
        return int(ExitCode.FAILED)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except OcrfleetError as error:
        _show_traceback(arguments)
        _say_all("error: ", str(error))
        return int(error.exit_code)
    except KeyboardInterrupt:
        _say_all("", "Stopped.")
        return int(ExitCode.STOPPED)
    except BrokenPipeError:
        # The reader, such as `head`, has enough. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.DONE)
    except Exception as error:  # noqa: BLE001  # the last place that can say anything
        _show_traceback(arguments)
        remedy = "" if arguments.debug else " Run the command again with --debug, and report the traceback."
        _say_all("error: ", _missing(error) or f"Fault of ocrfleet: {type(error).__name__}: {error}.{remedy}")
        return int(ExitCode.FAILED)


def _missing(error: Exception) -> str:
    """Return which package to install, where an error says that it is missing."""
    package = str(error.name).partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    known = package in _OF_CLUSTER
    return (
        f"The package `{package}` is not installed. Install it with `pip install 'ocrfleet[cluster]'`." if known else ""
    )


def _complete(words: Sequence[str]) -> list[str]:
    complete = importlib.import_module("jobs.commands.complete")
    found: list[str] = complete.in_time(build_parser(load=words[:1]), words)
    return found


def _start(program: str) -> NoReturn:
    gc.set_threshold(_GARBAGE)
    _leave(main(program=program))


def _leave(code: int) -> NoReturn:
    """End at once: to take its modules apart, Python needs a tenth of a second after `ocrfleet list`."""
    atexit._run_exitfuncs()  # such as those that remove a key that the kubeconfig brought
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _show_traceback(arguments: argparse.Namespace) -> None:
    if arguments.debug:
        traceback.print_exc()


def _say_all(prefix: str, text: str) -> None:
    for line in text.splitlines():
        print(prefix + line, file=sys.stderr)


if __name__ == "__main__":
    ocrfleet()
