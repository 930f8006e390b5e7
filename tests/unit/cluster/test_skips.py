"""In CI nothing of tests/cluster is skipped on the cluster that the tests make themselves."""

import pytest

from tests.cluster.skips import GIVEN, fail_in_ci


def skipped() -> pytest.TestReport:
    where = ("test_x.py", 1, "Skipped: this cluster lacks Kueue")
    return pytest.TestReport("test_x", ("test_x.py", 1, "test_x"), {}, "skipped", where, "setup")


def test_a_skip_fails_in_ci_and_says_what_was_missing() -> None:
    report = skipped()
    fail_in_ci(report, {"CI": "true"})
    assert report.failed
    assert "lacks Kueue" in str(report.longrepr)


@pytest.mark.parametrize("environ", [{}, {"CI": ""}, {"CI": "true", GIVEN: "/home/me/.kube/config"}])
def test_elsewhere_and_on_a_cluster_of_somebody_elses_it_stays_a_skip(environ: dict[str, str]) -> None:
    report = skipped()
    fail_in_ci(report, environ)
    assert report.skipped


def test_what_passed_stays_so() -> None:
    report = pytest.TestReport("test_x", ("test_x.py", 1, "test_x"), {}, "passed", None, "call")
    fail_in_ci(report, {"CI": "true"})
    assert report.passed
