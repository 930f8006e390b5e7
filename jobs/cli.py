"""The command `ocrfleet`: parse the arguments, run the command, return its exit code.

Of the commands' modules only the one that is asked for is imported, and what a command needs, it imports when it
runs: so a command begins at once, and `ocrfleet --help` works without Paddle.
"""

import argparse
import atexit
import contextlib
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from jobs.commands import version
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError

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


_MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "init": ("init",),
    "recipes": ("recipes",),
    "check": ("check",),
    "run": ("run",),
    "render": ("render",),
    "diff": ("diff",),
    "submit": ("submit",),
    "overview": ("list", "top"),
    "status": ("status", "events"),
    "watch": ("watch",),
    "logs": ("logs",),
    "stop": ("stop", "resume"),
    "delete": ("delete", "prune"),
    "shell": ("shell",),
    "predict": ("predict",),
    "data": ("data",),
    "models": ("models",),
    "version": ("version",),
    "completion": ("completion",),
}
"""The modules of `jobs.commands` in the order of the help, and the commands of each."""


def build_parser(program: str = "ocrfleet", *, word: str | None = None) -> argparse.ArgumentParser:
    """Make the parser of all commands; each parsed result has `run`, the function to call.

    Args:
        program: its name.
        word: a command: if there is such a one, the parser knows the commands of its module alone.
    """
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train PaddleOCR text detectors and recognisers from one job file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version.add_flag(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [each for each, words in _MODULES.items() if word in words] or _MODULES:
        importlib.import_module(f"jobs.commands.{name}").add(commands)
    return parser


def ocrfleet() -> NoReturn:
    """Be `ocrfleet`."""
    _leave(main())


def kubectl() -> NoReturn:
    """Be `kubectl ocrfleet`: kubectl runs whatever `kubectl-ocrfleet` is on the PATH."""
    _leave(main(program="kubectl ocrfleet"))


def complete_for_kubectl() -> NoReturn:
    """Answer a TAB behind `kubectl ocrfleet`: words, then what kubectl is to do; 4 is no file, 0 is files too."""
    found = _complete(sys.argv[1:])
    print(*found, f":{4 if found else 0}", sep="\n")
    _leave(int(ExitCode.DONE))


def main(argv: Sequence[str] | None = None, *, program: str = "ocrfleet") -> int:
    """Run a command and give its exit code."""
    gc.set_threshold(_GARBAGE)
    # It would look through all installed packages for some that want to look at each class of the job file.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == [_COMPLETE]:
        print(*_complete(words[1:]), sep="\n")
        return int(ExitCode.DONE)
    arguments = build_parser(program, word=next(iter(words), None)).parse_args(words)
    arguments.build_parser = build_parser  # `completion` writes a script for all commands
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
        _say_all("error: ", f"Fault of ocrfleet: {type(error).__name__}: {error}.{remedy}")
        return int(ExitCode.FAILED)


def _complete(words: Sequence[str]) -> list[str]:
    from jobs.commands import completion

    return completion.in_time(build_parser(), words)


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
        print(f"{prefix}{line}", file=sys.stderr)


if __name__ == "__main__":
    ocrfleet()
