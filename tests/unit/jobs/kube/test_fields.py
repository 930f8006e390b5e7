"""Objects are read without trust in their shape."""

import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from jobs.kube.fields import (
    at,
    holds,
    moment,
    name_of,
    number,
    one_line,
    quantity,
    run_of,
    several,
    spelled,
    text,
    true_conditions,
)


@pytest.mark.parametrize(
    ("spelled", "amount"),
    [
        *((4, 4), ("4", 4), ("250m", 0.25), ("16Mi", 16 * 2**20), ("1.5G", 1.5e9), ("1e3", 1000)),
        *(("", 0), ("four", 0), ("9e999999E", 0), (None, 0), (True, 0), ({"cpu": 4}, 0)),
    ],
)
def test_a_quantity_is_read_as_kubernetes_writes_it(spelled: Any, amount: float) -> None:
    assert quantity(spelled) == pytest.approx(amount)


FOUND = {
    "metadata": {"name": "a-0", "labels": {"ocrfleet.io/run": "a-1"}},
    "spec": {"replicas": 2, "paused": True, "tasks": [{"name": "one"}, "two", None]},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Lost", "status": "False"}, {"status": "True"}]
    },
}


def test_what_is_at_a_path_is_read_only_as_what_it_should_be() -> None:
    assert at(FOUND, "spec", "replicas") == 2
    assert at(FOUND, "spec", "replicas", "more") is None
    assert text(FOUND, "metadata", "name") == "a-0"
    assert text(FOUND, "spec", "replicas") == "", "a number is no text"
    assert number(FOUND, "spec", "replicas") == 2
    assert number(FOUND, "spec", "paused") is None, "a truth is no number"
    assert several(FOUND, "spec", "tasks") == [{"name": "one"}]
    assert several(FOUND, "spec") == []


def test_conditions_hold_when_they_are_true() -> None:
    assert holds(FOUND, "Ready")
    assert not holds(FOUND, "Lost")
    assert not holds(FOUND, "Other")
    assert true_conditions(FOUND) == ["Ready"], "one without a type is none"


def test_a_run_is_named_by_its_label_else_by_its_object() -> None:
    assert (name_of(FOUND), run_of(FOUND)) == ("a-0", "a-1")
    assert run_of({"metadata": {"name": "a-0"}}) == "a-0"


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.000006Z", datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("soon", None),
        ("", None),
        (7, None),
    ],
)
def test_a_time_without_a_zone_is_utc_and_what_is_none_is_left_out(word: Any, found: datetime | None) -> None:
    assert moment({"at": word}, "at") == found


@pytest.mark.parametrize(
    ("amount", "read"),
    [("2k", 2e3), ("2Ki", 2048), ("3T", 3e12), ("1Pi", 2.0**50), ("5u", 5e-6), ("5n", 5e-9), ("+1", 1), ("-1", -1)],
)
def test_every_unit_of_kubernetes_is_known(amount: str, read: float) -> None:
    assert quantity(amount) == pytest.approx(read)
    assert quantity(f"{amount}x") == 0


@pytest.mark.parametrize(("amount", "written"), [(4.0, "4"), (0.25, "0.25"), (8, "8")])
def test_an_amount_is_written_without_idle_digits(amount: float, written: str) -> None:
    assert spelled(amount) == written


@pytest.mark.parametrize(("length", "kept"), [(300, 300), (301, 300), (1000, 300)])
def test_a_message_is_one_line_of_at_most_300_characters(length: int, kept: int) -> None:
    line = one_line("x" * length)
    assert len(line) == kept
    assert line.endswith("…") == (length > kept)
    assert one_line("one\n  two.\n") == "one two"


def test_the_package_kubernetes_is_loaded_only_for_amounts() -> None:
    """Commands without a cluster read fields, too, and its import takes longer than they do."""
    script = (
        "import sys; from jobs.kube.fields import quantity, text; from jobs.jobfile import model; text({}, 'kind')\n"
        "before = 'kubernetes' in sys.modules; quantity('4'); print(before, 'kubernetes' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
