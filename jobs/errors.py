"""Errors of the command line alone; all others are in `trainer/errors.py`."""

from trainer.contract import ExitCode
from trainer.errors import OcrfleetError


class UsageError(OcrfleetError):
    """The words on the command line do not fit together; argparse could not tell."""

    exit_code = ExitCode.USAGE
