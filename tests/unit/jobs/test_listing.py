"""`benchmarks/listing.py`: both sides have all of the objects, or nothing is measured."""

import pytest

from benchmarks import listing
from jobs.kinds import JOB
from tests.unit.jobs.apiserver import ApiServer


@pytest.mark.timeout(15)  # four processes start
def test_lists_are_timed_in_pairs_and_nothing_is_left(api: ApiServer) -> None:
    api.page = 5
    with listing.fleet(runs=3, nodes=4) as cluster:
        pairs = listing.run_pairs(cluster, runs=3, nodes=4, pairs=2)
    assert len(pairs) == 2
    assert all(seconds > 0 for pair in pairs for seconds in pair)
    assert ("DELETE", f"/api/v1/namespaces/{cluster.namespace}") in [each[:2] for each in api.asked]


def test_a_list_that_lacks_a_run_is_not_timed(api: ApiServer) -> None:
    with listing.fleet(runs=2, nodes=1) as cluster:
        cluster.delete(JOB, "listing-00000001-0000")
        with pytest.raises(RuntimeError, match=r"gave \[1, 2\], and ours 1"):
            listing.run_pairs(cluster, runs=2, nodes=1, pairs=1)


def test_the_ratio_is_that_of_the_pairs() -> None:
    facts = listing.as_facts([(1.0, 1.0), (3.0, 2.0), (4.0, 2.0)])
    assert facts["ratio"] == {"median": 1.5, "least": 1.0, "greatest": 2.0}
    assert "| 2 | 8 | 3000 ms | 2000 ms | 1.50 (1.00–2.00) |" in listing.as_line({"runs": 2, "pods": 8, **facts})
