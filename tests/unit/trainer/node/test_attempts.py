"""The attempts of a gang: what its nodes do when one of them ends, with real processes in place of paddle's."""

import base64
import logging
import os
import queue
import socket
import sys
import threading
from contextlib import closing, suppress
from logging.handlers import QueueHandler
from pathlib import Path

import pytest

from jobs.local.plan import free_ports
from tests.unit.trainer.node.test_supervisor import STUB
from trainer.errors import OcrfleetError, SupersededError
from trainer.node.attempts import Attempts
from trainer.node.supervisor import Supervisor
from trainer.rendezvous import PastError
from trainer.run import spec as runspec
from trainer.run.assignment import Assignment, DeadlineSeconds
from trainer.run.spec import RunSpec
from trainer.run.topology import Topology
from trainer.run.workdir import WorkDir
from trainer.state.fencing import Claims
from trainer.state.mirror import Mirror
from trainer.storage import open_store
from trainer.telemetry.events import Event, Hear, Restarted

RUN = "receipts-00000001"
RAW = {"task": "rec", "recipe": "rec-pp-ocrv4-mobile", "data": {"train": "file:///data/"}}


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setattr("trainer.rendezvous.member.AGAIN", 0.05)


def node(
    rank: int, folder: Path, *, port: int, host: str = "127.0.0.1", retries: int = 0, tell: Hear = print
) -> Attempts:
    """One of two nodes."""
    topology = Topology(node_rank=rank, nodes=2, hosts=(host,) * 2, port=port)
    given = Assignment(
        name="receipts",
        run=runspec.from_dict(RunSpec, RAW | {"output": folder.as_uri()}, where="run"),
        run_id=RUN,
        work=WorkDir(folder / f"node-{rank}"),
        topology=topology,
        retries=retries,
        # Longer than the test may take: whoever waits for it, fails.
        deadlines=DeadlineSeconds(rendezvous=600),
    )
    claims = Claims(store=open_store(folder.as_uri()), owner="job-1", process=str(rank))
    return Attempts(
        given,
        supervisor=Supervisor(topology, deadlines=given.deadlines, hear=tell, program=STUB),
        mirror=Mirror(claims, work=given.work, keep=1, tell=tell),
        tell=tell,
    )


def test_a_leader_that_ends_for_good_between_two_stages_tells_the_others(tmp_path: Path) -> None:
    """It found, after the stage, that the run is another's; the others wait for what it keeps."""
    port, ends = free_ports(1), {}

    def work(rank: int) -> None:
        try:
            with node(rank, tmp_path, port=port) as attempts:
                attempts.run("succeed", dataset="the same")
                raise SupersededError("This run belongs to job-2 now.")
        except (OcrfleetError, PastError) as error:
            ends[rank] = error

    nodes = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in (0, 1)]
    for each in nodes:
        each.start()
    for each in nodes:
        each.join(120)
    assert {rank: (type(end), str(end)) for rank, end in ends.items()} == dict.fromkeys(
        (0, 1), (SupersededError, "This run belongs to job-2 now.")
    )


@pytest.mark.parametrize(("retries", "attempts"), [(1, 2), (0, 1)], ids=["with a retry", "without"])
def test_a_gang_whose_worker_is_lost_starts_again_while_there_is_a_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: int, attempts: int
) -> None:
    port, past, told, ends = free_ports(1), threading.Event(), list[Event](), dict[int, object]()
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("OCRFLEET_TEST_FIFO", str(tmp_path / "fifo"))
    seen: dict[int, int] = {}

    def work(rank: int) -> None:
        with node(rank, tmp_path, port=port, retries=retries, tell=told.append) as gang:
            gang._mirror.attempt = gang._mirror.claims.claim() if rank == 0 else 1
            try:
                gang.run("be-killed-once", dataset="the same")
                gang.keep("be-killed-once")
                past.wait(20)
            except (OcrfleetError, PastError) as error:
                ends[rank] = type(error)
                past.set()
            seen[rank] = gang._mirror.attempt

    nodes = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in (0, 1)]
    for each in nodes:
        each.start()
    for each in nodes:
        each.join(120)
    assert seen == {0: attempts, 1: attempts}
    if retries:
        assert ends == {1: PastError}
        assert [type(each) for each in told].count(Restarted) == 2
    else:
        assert set(ends) == {0, 1}
        assert Restarted not in map(type, told)


def test_a_leader_that_has_left_listens_no_more(tmp_path: Path) -> None:
    port = free_ports(1)
    with node(0, tmp_path, port=port):
        socket.create_connection(("127.0.0.1", port)).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


class LateDone:
    """Between a node and its leader: their `done` and `end` cross, and the node hears of the end first."""

    def __init__(self, leader: int) -> None:
        self.crossed = False
        self._leader, self._done, self._ended = leader, threading.Event(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                node, _ = self._listener.accept()
                # The leader may not listen yet: the node is then turned away, and tries again.
                with node, suppress(OSError), socket.create_connection(("127.0.0.1", self._leader)) as leader:
                    threading.Thread(target=self._pass_up, args=(node, leader), daemon=True).start()
                    for line in leader.makefile("rb"):
                        if b'"end"' in line:
                            self.crossed = self._done.wait(60)
                        node.sendall(line)
                        if b'"end"' in line:
                            self._ended.set()

    def _pass_up(self, node: socket.socket, leader: socket.socket) -> None:
        with suppress(OSError):
            for line in node.makefile("rb"):
                if b'"done"' in line:
                    self._done.set()
                    self._ended.wait(60)
                leader.sendall(line)


def test_a_node_whose_done_is_late_ends_as_its_leader_did(tmp_path: Path) -> None:
    """Without a retry left, too: what the leader said last is why the run ended, not that it left."""
    port, ends = free_ports(1), {}

    def work(rank: int, port: int) -> None:
        try:
            with node(rank, tmp_path, port=port) as attempts:
                attempts.run("succeed", dataset="the same")
                raise SupersededError("This run belongs to job-2 now.")
        except (OcrfleetError, PastError) as error:
            ends[rank] = error

    with closing(LateDone(port)) as line:
        ports = {0: port, 1: line.port}
        nodes = [threading.Thread(target=work, args=pair, daemon=True) for pair in ports.items()]
        for each in nodes:
            each.start()
        for each in nodes:
            each.join(120)
    assert line.crossed
    assert {rank: (type(end), str(end)) for rank, end in ends.items()} == dict.fromkeys(
        (0, 1), (SupersededError, "This run belongs to job-2 now.")
    )


def succeed(folder: Path, *, host: str = "127.0.0.1") -> int:
    """Let two nodes do a stage together; return the port at which they met."""
    port, past = free_ports(1), threading.Event()

    def work(rank: int) -> None:
        with node(rank, folder, port=port, host=host) as attempts:
            try:
                attempts.run("succeed", dataset="the same")
                attempts.keep("succeed")
                past.wait(20)
            except PastError:
                past.set()

    nodes = [threading.Thread(target=work, args=(rank,), daemon=True) for rank in (0, 1)]
    for each in nodes:
        each.start()
    for each in nodes:
        each.join(120)
    assert past.is_set()
    return port


def test_workers_are_told_an_address_and_no_name_of_their_leader(tmp_path: Path) -> None:
    """Paddle's store asks for a name once; a name server that is busy would end the attempt, or the run."""
    port = succeed(tmp_path, host="localhost")
    logs = {path.name: path.read_text() for path in tmp_path.glob("node-*/logs/*/succeed-rank-*.log")}
    assert logs == {f"succeed-rank-{rank}.log": f"127.0.0.1:{port + 1}\n" for rank in (0, 1)}


def test_nodes_meet_with_the_key_of_their_run_which_no_other_file_contains(tmp_path: Path) -> None:
    succeed(tmp_path)
    key = (tmp_path / "key").read_bytes()
    assert len(key) == 32
    forms = (key, key.hex().encode(), base64.b64encode(key)[:40], repr(key)[2:-1].encode())
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "key"]
    assert files
    assert not [path for path in files if any(form in path.read_bytes() for form in forms)]


def test_a_node_of_another_bucket_does_not_join_a_gang(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It has the run's name, and finds the leader; its own bucket has another key."""
    port, key = free_ports(1), tmp_path / "elsewhere" / "key"
    key.parent.mkdir()
    key.write_bytes(bytes(32))
    warned: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
    handler = QueueHandler(warned)
    member_log = logging.getLogger("trainer.rendezvous.member")
    request.addfinalizer(lambda: member_log.removeHandler(handler))
    member_log.addHandler(handler)
    with node(0, tmp_path, port=port) as leader, node(1, key.parent, port=port) as stranger:
        assert leader._server
        assert stranger._member
        assert "the nodes did not meet" in warned.get(timeout=60).getMessage()
        assert 1 not in leader._server._members
