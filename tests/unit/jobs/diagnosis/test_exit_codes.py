"""Every exit code has a meaning, those of other programs and of signals too."""

import pytest

from jobs.diagnosis.exit_codes import MEANINGS, meaning
from trainer.contract import ExitCode


def test_every_exit_code_of_the_contract_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
    retried = {code for code in ExitCode if MEANINGS[code].retry}
    assert retried == {ExitCode.FAILED, ExitCode.TRANSIENT, ExitCode.STOPPED}


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.DONE])
def test_every_code_but_success_says_what_to_do(code: ExitCode) -> None:
    assert meaning(code).text
    assert meaning(code).advice
    assert meaning(code) is MEANINGS[code]


@pytest.mark.parametrize(
    ("code", "words"),
    [(3, "exit code 3"), (128, "exit code 128"), (129, "signal 1 killed it"), (137, "signal 9 killed it")],
)
def test_codes_of_others_and_signals_have_a_meaning_and_may_be_retried(code: int, words: str) -> None:
    told = meaning(code)
    assert words in told.text
    assert "`ocrfleet logs {run}`" in told.advice
    assert told.retry
