"""Node processes: how they end, by themselves or by a signal, and what the run is worth then."""

import os
import signal
import threading
import time
from collections.abc import Callable

import pytest

from jobs.local import plan as local_plan
from jobs.local.processes import Ended, Patience
from tests.unit.jobs.local.nodes import wait_for

SOON = Patience(peers=0.2, stop=0.5, again=5)


def test_nodes_write_to_standard_error_or_to_their_own_file(
    planned: Callable[[str], local_plan.LocalRun], capfd: pytest.CaptureFixture[str]
) -> None:
    run = planned("0,0")
    local_plan.run_local(run)
    out, err = capfd.readouterr()
    assert out == ""
    assert "stdout of node-0" in err
    assert "stdout of node-1" not in err
    assert run.folder.node(1).node_output.read_text() == "stdout of node-1\n"


@pytest.mark.parametrize(
    ("deeds", "code", "sentence"),
    [
        ("41,41", 41, "Node"),
        ("0,1", 0, "Model:"),
        ("44,stop", 44, "Node 0 ended with 44"),
        ("stop,41", 41, "error: node says 41."),
        ("stop,json", 41, "error: said as JSON."),
        ("75,44", 44, "Node 1 ended with 44"),
        ("stop,killed", 75, "Node 1 was killed by SIGKILL"),
        ("killed", 75, "Run the same command again"),
        ("deaf,40", 40, "node 0 did not stop within 0 s: killed."),
        ("0,stop", 0, "stopping node 1"),
    ],
)
def test_the_run_ends_as_the_node_that_failed_first_and_says_why(
    planned: Callable[[str], local_plan.LocalRun], deeds: str, code: int, sentence: str
) -> None:
    said: list[str] = []
    assert local_plan.run_local(planned(deeds), say=said.append, patience=SOON) == code
    assert sentence in "\n".join(said)


def interrupted(run: local_plan.LocalRun, *signals: signal.Signals) -> tuple[int, str]:
    """Run in the main thread and send it signals when its nodes are ready."""
    said: list[str] = []
    heard = threading.Semaphore(0)

    def say(sentence: str) -> None:
        said.append(sentence)
        heard.release()

    def send() -> None:
        for node in run.nodes:
            wait_for(run.folder.node(node.rank).root / "ready")
        for number in signals:
            os.kill(os.getpid(), number)
            # Two signals at once would be one to the kernel: the next follows the answer to this one.
            assert heard.acquire(timeout=10)

    # Under nohup SIGHUP is ignored, which a run respects.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in {*signals} - {signal.SIGINT}}
    thread = threading.Thread(target=send)
    thread.start()
    code = local_plan.run_local(run, say=say, patience=Patience(peers=5, stop=1, again=5))
    thread.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return code, "\n".join(said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_node_once_and_the_run_ends_with_143(
    planned: Callable[[str], local_plan.LocalRun], number: signal.Signals
) -> None:
    code, said = interrupted(planned("stop,stop"), number)
    assert code == 143
    assert said.count("Stopping after a checkpoint") == 1
    assert "Run the same command again to continue" in said


def test_a_second_ctrl_c_kills(planned: Callable[[str], local_plan.LocalRun]) -> None:
    start = time.monotonic()
    code, said = interrupted(planned("deaf,deaf"), signal.SIGINT, signal.SIGINT)
    assert code == 143
    assert "Killed." in said
    assert time.monotonic() - start < 3


def test_a_second_sigterm_does_not_kill(planned: Callable[[str], local_plan.LocalRun]) -> None:
    _, said = interrupted(planned("deaf"), signal.SIGTERM, signal.SIGTERM)
    assert "Killed." not in said
    assert said.count("Stopping after a checkpoint") == 1
    assert "node 0 did not stop within 1 s: killed." in said


def test_a_ctrl_c_after_a_sigterm_is_the_first_of_two(planned: Callable[[str], local_plan.LocalRun]) -> None:
    _, said = interrupted(planned("deaf"), signal.SIGTERM, signal.SIGINT)
    assert "Killed." not in said
    assert said.count("Press Ctrl-C twice within 5 s to kill the run.") == 2


def test_the_handlers_of_before_are_back_afterwards(planned: Callable[[str], local_plan.LocalRun]) -> None:
    before = signal.getsignal(signal.SIGINT)
    local_plan.run_local(planned("0"), say=lambda _: None)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_node_stops_in_order_when_its_parent_is_killed(
    orphaned: Callable[[str], tuple[local_plan.LocalRun, int]],
) -> None:
    run, _ = orphaned("stop")
    wait_for(run.folder.node(0).root / "stopped")


@pytest.mark.parametrize(
    ("codes", "stopped", "verdict"),
    [
        ({1: 0, 0: 0}, False, 0),
        ({0: 0, 1: 75}, False, 0),
        ({1: 75, 0: 41}, False, 41),
        ({1: 75, 0: 143}, False, 75),
        ({1: 143, 0: 143}, True, 143),
        ({1: 75, 0: -9}, True, 143),
        ({1: 143, 0: 44}, True, 44),
        ({1: -9, 0: 143}, False, 75),
        ({0: 1}, False, 1),
    ],
)
def test_the_verdict_is_the_failure_that_says_why(codes: dict[int, int], stopped: bool, verdict: int) -> None:
    assert Ended(codes=codes, stopped=stopped).verdict == verdict


@pytest.mark.parametrize(
    ("codes", "culprit"),
    [({1: 75, 0: 41}, 0), ({2: 143, 1: 44, 0: 75}, 1), ({2: 0, 1: -9, 0: 75}, 1), ({1: 0, 0: 0}, 0)],
)
def test_the_node_whose_failure_is_the_verdict_is_named(codes: dict[int, int], culprit: int) -> None:
    assert Ended(codes=codes).culprit == culprit
