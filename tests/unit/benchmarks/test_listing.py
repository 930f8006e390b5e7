"""`benchmarks.submit --case list`: both sides have all of the objects, or nothing is measured."""

import pytest

from benchmarks import listing
from benchmarks.pairs import Case, Time, as_facts, as_table
from jobs.kube.kinds import JOB
from tests.unit.jobs.apiserver import ApiServer


@pytest.mark.timeout(15)  # four processes start
def test_lists_are_timed_in_pairs_and_nothing_is_left(api: ApiServer) -> None:
    api.page = 5
    with listing.fleet(runs=3, nodes=4) as cluster:
        pairs = listing.run_pairs(cluster, runs=3, nodes=4, pairs=2)
    assert len(pairs) == 2
    assert all(side.seconds > 0 for pair in pairs for side in pair)
    assert ("DELETE", f"/api/v1/namespaces/{cluster.namespace}") in [each[:2] for each in api.asked]


def test_a_list_that_lacks_a_run_is_not_timed(api: ApiServer) -> None:
    with listing.fleet(runs=2, nodes=1) as cluster:
        cluster.delete(JOB, "listing-00000001-0000")
        with pytest.raises(RuntimeError, match=r"gave \[1, 2\], and ours 1"):
            listing.run_pairs(cluster, runs=2, nodes=1, pairs=1)


def test_the_ratio_is_that_of_the_pairs() -> None:
    pairs = [tuple(Time(seconds=each, processor=each) for each in pair) for pair in ((1, 1), (3, 2), (4, 2))]
    case = Case("list", "API server", pairs)  # type: ignore[arg-type]
    assert as_facts(case)["seconds"]["ratio"] == {"median": 1.5, "least": 1.0, "greatest": 2.0}
    assert "| list | API server | seconds | 3000.0 ms | 2000.0 ms | 1.50 (1.00–2.00) |" in as_table([case])
