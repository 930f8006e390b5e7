"""The tree of errors: one class for each reaction of the person or controller that runs a job.

    OcrfleetError            1   report it: a bug, or a failure that no other class describes
    ├── SpecError           40   fix the job file
    │   └── NotFoundError   40   fix the location (a caller may take "not found" as an answer)
    ├── DatasetError        41   fix the dataset
    ├── AccessError         42   fix credentials or permissions
    ├── GateError           43   the model is not good enough to publish
    ├── DivergedError       44   change the learning rate, or look at the named batches
    ├── StalledError        45   look at the node, then raise `retry`
    ├── SupersededError     46   nothing: a newer object runs
    ├── TransientError      75   run it again
    │   └── ConflictError   75   another writer was first: read again and decide
    └── StoppedError       143   run it again whenever you like

A message says what is wrong, with the offending value in quotes and its place, and then what to do next.
Causes are always chained (`raise … from`), so `--debug` can show them.
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
    """The run makes no progress, and another attempt of the same kind would make none either."""

    exit_code = ExitCode.STALLED


class SupersededError(OcrfleetError):
    """A newer object of the same run has taken over."""

    exit_code = ExitCode.SUPERSEDED


class TransientError(OcrfleetError):
    """A peer, the endpoint or the network was lost for longer than the retries last."""

    exit_code = ExitCode.TRANSIENT


class ConflictError(TransientError):
    """A conditional write failed because another writer was first."""


class StoppedError(OcrfleetError):
    """The run was asked to stop, and has saved its state."""

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
