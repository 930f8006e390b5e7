"""The command `ocrfleet`: parse the words, call the command, turn its end into an exit code.

Only argparse and the commands' own modules are imported here; what a command needs, it imports when it runs, so
that `ocrfleet --help` is there at once and works without Paddle.
"""

import argparse
import atexit
import contextlib
import gc
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Final, NoReturn

from jobs.commands import (
    check,
    completion,
    data,
    delete,
    diff,
    init,
    logs,
    models,
    overview,
    predict,
    recipes,
    render,
    run,
    shell,
    status,
    stop,
    submit,
    version,
    watch,
)
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError

_EPILOG = """\
a first run:
  ocrfleet recipes                        what can be trained
  ocrfleet init slips-rec --recipe rec-crnn-mobile -f job.yaml
                                          a job file to edit
  ocrfleet check job.yaml                 what is wrong, before an hour is spent
  ocrfleet run job.yaml                   from labels to a published model
  ocrfleet predict --rec s3://ocr-models/slips-rec/ line.png
                                          read with it

`ocrfleet COMMAND -h` has the options and examples of each.
Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 a fault, 2 a wrong command line, 40 to 143 as the table in
docs/reference/exit-codes.md says.
"""

_GARBAGE: Final = 500_000
"""Objects made, and still there, before Python looks for some that hold only one another; imports make 100,000."""

_COMPLETE: Final = "__complete"
"""What scripts of shells ask with; nobody types it."""


def build_parser(program: str = "ocrfleet") -> argparse.ArgumentParser:
    """Make the parser of all commands; each parsed result has `run`, the function to call."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train PaddleOCR text detectors and recognisers from one job file.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    version.add_flag(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (
        init,
        recipes,
        check,
        run,
        render,
        diff,
        submit,
        overview,
        status,
        watch,
        logs,
        stop,
        delete,
        shell,
        predict,
        data,
        models,
        version,
    ):
        module.add(commands)
    completion.add(commands, build_parser)
    return parser


def ocrfleet() -> NoReturn:
    """Be `ocrfleet`."""
    _leave(main())


def kubectl() -> NoReturn:
    """Be `kubectl ocrfleet`: kubectl runs whatever `kubectl-ocrfleet` is on the PATH."""
    _leave(main(program="kubectl ocrfleet"))


def complete_for_kubectl() -> NoReturn:
    """Answer a TAB behind `kubectl ocrfleet`: words, then what kubectl is to do; 4 is no file, 0 is files too."""
    found = completion.in_time(build_parser(), sys.argv[1:])
    print(*found, f":{4 if found else 0}", sep="\n")
    _leave(int(ExitCode.DONE))


def main(argv: Sequence[str] | None = None, *, program: str = "ocrfleet") -> int:
    """Run a command and give its exit code."""
    gc.set_threshold(_GARBAGE)
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == [_COMPLETE]:
        print(*completion.in_time(build_parser(), words[1:]), sep="\n")
        return int(ExitCode.DONE)
    arguments = build_parser(program).parse_args(words)
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
        remedy = "" if arguments.debug else " Run it again with --debug to see where, and report that."
        _say_all("error: ", f"This is a fault of ocrfleet: {type(error).__name__}: {error}.{remedy}")
        return int(ExitCode.FAILED)


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
