"""The tree of errors: one class for each reaction of whoever runs a job.

    OcrfleetError            1   a fault that a retry or the user cannot be told apart from
    ├── SpecError           40   mend the job file
    ├── DatasetError        41   mend the dataset
    ├── AccessError         42   mend credentials or rights
    ├── NotFoundError       40   the location names nothing (a caller may take that as an answer)
    ├── GateError           43   the model is not good enough to publish
    ├── DivergedError       44   change the learning rate or look at the named batches
    ├── StalledError        45   look at the node, then `retry`
    ├── SupersededError     46   nothing: a newer object runs
    ├── ConflictError       75   somebody else wrote first; read again and decide
    ├── TransientError      75   run it again
    └── StoppedError       143   run it again when it suits

A message is a sentence that says what is so, with the offending value in quotes and its place, and
then what to do next. Causes are always chained (`raise … from`), so `--debug` can show them.
"""

from trainer.contract import ExitCode


class OcrfleetError(Exception):
    """The base of all errors that a user may see."""

    exit_code: ExitCode = ExitCode.FAILED


class SpecError(OcrfleetError):
    """The job file, a recipe or an option is wrong; a retry cannot help."""

    exit_code = ExitCode.SPEC


class DatasetError(OcrfleetError):
    """The dataset is empty, unreadable, or does not fit the dictionary."""

    exit_code = ExitCode.DATASET


class AccessError(OcrfleetError):
    """The object store refused the credentials or the action."""

    exit_code = ExitCode.ACCESS


class NotFoundError(SpecError):
    """A location names no object or no bucket."""


class GateError(OcrfleetError):
    """The model did not pass its gate, or its export differs from what was trained."""

    exit_code = ExitCode.GATE


class DivergedError(OcrfleetError):
    """The loss became NaN or infinite."""

    exit_code = ExitCode.DIVERGED


class StalledError(OcrfleetError):
    """The run makes no progress, and another attempt of the same kind would not either."""

    exit_code = ExitCode.STALLED


class SupersededError(OcrfleetError):
    """A newer object of the same run has taken over."""

    exit_code = ExitCode.SUPERSEDED


class TransientError(OcrfleetError):
    """A peer, the endpoint or the network was lost for longer than the retries last."""

    exit_code = ExitCode.TRANSIENT


class ConflictError(TransientError):
    """A conditional write found that somebody else had written first."""


class StoppedError(OcrfleetError):
    """The run was told to stop, and has flushed what it had."""

    exit_code = ExitCode.STOPPED


def error_for(code: int, message: str) -> OcrfleetError:
    """Rebuild the error that a worker process ended with.

    Args:
        code: the worker's exit code.
        message: its sentence.

    Returns:
        An error of the class whose exit code is `code`; `OcrfleetError` for any other code.
    """
    classes: tuple[type[OcrfleetError], ...] = (
        SpecError,
        DatasetError,
        AccessError,
        GateError,
        DivergedError,
        StalledError,
        SupersededError,
        TransientError,
        StoppedError,
    )
    return next((c for c in classes if c.exit_code == code), OcrfleetError)(message)
