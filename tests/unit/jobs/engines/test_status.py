"""What a status makes of its parts."""

from jobs.engines.status import NodePhase, NodeStatus, Phase, Reason, Status


def test_only_three_phases_are_final() -> None:
    assert {phase for phase in Phase if phase.final} == {Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED}


def test_the_restarts_of_a_run_are_those_of_all_its_nodes() -> None:
    nodes = tuple(NodeStatus(rank=rank, phase=NodePhase.RUNNING, restarts=rank + 1) for rank in range(2))
    told = Status(run="a-1", name="a-1-2", engine="job", phase=Phase.RUNNING, nodes=nodes)
    assert (told.restarts, told.final) == (3, False)


def test_a_reason_is_written_with_its_advice_and_without_a_gap() -> None:
    assert str(Reason("It failed.", "Do that.")) == "It failed. Do that."
    assert str(Reason("It failed.")) == "It failed."
    assert str(Reason(advice="Do that.")) == "Do that."
