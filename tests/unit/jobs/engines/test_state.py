"""What the tables of all engines have in common: conditions, in the order of the table, become a state."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.engines.state import by_conditions, first_moment, in_words, unknown_word
from jobs.engines.status import NO_REASON, Phase, Reason
from tests.unit.jobs.engines.bare import state, true

TABLE = {"Done": Phase.SUCCEEDED, "Broken": Phase.FAILED, "Begun": None}


@pytest.mark.parametrize(
    ("engine", "status"),
    [
        ("job", true("Novel")),
        ("jobset", true("Novel")),
        ("jobset", {"terminalState": "Novel"}),
        ("trainjob", true("Novel")),
        ("paddlejob", true("Created", "Novel")),
        ("volcano", {"state": {"phase": "Novel"}}),
    ],
)
def test_a_word_that_no_table_has_is_unknown_and_named(engine: str, status: Mapping[str, Any]) -> None:
    told = state(engine, status)
    assert told.phase is Phase.UNKNOWN
    assert "'Novel'" in told.reason.text
    assert told.reason.advice.startswith("See `kubectl describe ")
    assert told.reason.advice.endswith(" lines-1a2b3c4d-9f0e`.")


def test_an_object_without_a_name_is_not_described() -> None:
    assert unknown_word({"kind": "Job"}, "Novel").advice == ""


def test_what_is_known_decides_before_a_word_that_is_not() -> None:
    assert by_conditions({"status": true("Novel", "Done")}, TABLE, {}).phase is Phase.SUCCEEDED


@pytest.mark.parametrize("words", [("Done", "Broken"), ("Broken", "Done")])
def test_the_table_says_which_condition_decides_and_not_the_object(words: tuple[str, ...]) -> None:
    assert by_conditions({"status": true(*words)}, TABLE, {}).phase is Phase.SUCCEEDED


def test_a_condition_that_decides_nothing_leaves_the_phase_to_the_pods() -> None:
    assert by_conditions({"status": true("Begun")}, TABLE, {}).phase is None


def test_a_condition_that_is_not_true_says_nothing() -> None:
    status = {"conditions": [{"type": "Failed", "status": "False"}, {"type": "Novel", "status": "Unknown"}]}
    assert state("job", status).phase is None


@pytest.mark.parametrize(
    ("decided", "reason"),
    [
        ({"reason": "Known", "message": "how odd"}, Reason("as we say it")),
        ({"reason": "Novel", "message": "how\nodd."}, Reason("Its controller reports: how odd.")),
        ({"reason": "Novel"}, Reason("Its controller reports: Novel.")),
        ({}, NO_REASON),
    ],
)
def test_a_reason_is_told_in_our_words_or_as_the_controller_tells_it(
    decided: Mapping[str, Any], reason: Reason
) -> None:
    assert in_words(decided, {"Known": Reason("as we say it")}) == reason


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Container trainer for pod ml/a failed with exit code 42 matching FailJob rule at index 1", 42),
        ("Container trainer for pod ml/a failed with exit code 4242 and more", None),
        ("Job has reached the specified backoff limit", None),
        ("", None),
    ],
)
def test_the_code_that_a_controller_names_outlives_the_pod(message: str, code: int | None) -> None:
    status = true("Broken")
    status["conditions"][0]["message"] = message
    assert by_conditions({"status": status}, TABLE, {}).exit_code == code


def test_a_moment_is_that_of_the_first_type_that_is_true() -> None:
    first, then = true("Done", at="2026-11-22T10:00:00Z"), true("Broken", at="2026-11-22T11:00:00Z")
    found = {"status": {"conditions": [*then["conditions"], *first["conditions"]]}}
    assert first_moment(found, ("Done", "Broken")) == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert first_moment(found, ("Broken",)) == datetime(2026, 11, 22, 11, tzinfo=UTC)
    found["status"]["conditions"][1]["status"] = "False"
    assert first_moment(found, ("Done",)) is None
