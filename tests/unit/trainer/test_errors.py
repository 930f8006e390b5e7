"""The tree of errors: a class for each reaction, an exit code for each class."""

import pytest

from trainer import errors
from trainer.contract import ExitCode
from trainer.errors import OcrfleetError, error_for


@pytest.mark.parametrize(
    "code", [code for code in ExitCode if code not in (ExitCode.DONE, ExitCode.FAILED)], ids=lambda code: code.name
)
def test_a_workers_exit_code_names_the_class_of_its_error(code: ExitCode) -> None:
    """What a worker process ended with is what the node ends with."""
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, OcrfleetError)]
    if not any(each.exit_code == code for each in classes):
        assert type(error_for(code, "why")) is OcrfleetError
        return
    rebuilt = error_for(code, "why")
    assert (rebuilt.exit_code, str(rebuilt)) == (code, "why")


@pytest.mark.parametrize("code", [1, 2, -9, 200])
def test_any_other_code_is_a_fault_that_nothing_is_known_of(code: int) -> None:
    rebuilt = error_for(code, "why")
    assert (type(rebuilt), rebuilt.exit_code) == (OcrfleetError, ExitCode.FAILED)


def test_of_classes_with_one_code_the_general_one_is_rebuilt() -> None:
    """A caller may take NotFoundError as an answer; that of another process is none."""
    assert type(error_for(ExitCode.SPEC, "")) is errors.SpecError
    assert type(error_for(ExitCode.TRANSIENT, "")) is errors.TransientError
