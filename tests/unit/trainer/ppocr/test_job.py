"""What a worker works on. Paddle-free: it is read before Paddle is loaded."""

import ctypes
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.unit.trainer.ppocr.workers import a_job


def test_a_job_is_what_lies_in_the_runs_folder(tmp_path: Path) -> None:
    read = a_job(tmp_path, rank=1, world=2, train={"epochs": 7})
    assert (read.run.train.epochs, read.config, read.prepared.counts["train"]) == (7, {"Global": {"epoch_num": 3}}, 6)
    assert (read.rank, read.world, read.work.root) == (1, 2, tmp_path)


def test_the_configuration_says_how_many_epochs_there_are(tmp_path: Path) -> None:
    """Not `run.train`: a network that trains alone after a distillation has epochs of its own."""
    assert a_job(tmp_path, epochs=2, train={"epochs": 7}).epochs == 2


@pytest.mark.parametrize(("empty", "wanted", "taken"), [("eval", "eval", "test"), ("test", "test", "eval")])
def test_where_a_split_is_empty_the_other_is_judged_on(tmp_path: Path, empty: str, wanted: str, taken: str) -> None:
    assert a_job(tmp_path).split(wanted) == wanted
    assert a_job(tmp_path, counts={empty: 0}).split(wanted) == taken


def test_a_worker_that_is_told_to_stop_knows_it_and_reads_on(tmp_path: Path) -> None:
    """Paddle's store takes an interrupted read for an error, and then no state is saved."""
    before = signal.getsignal(signal.SIGTERM)
    told = a_job(tmp_path)
    ours, theirs = socket.socketpair()
    recv = ctypes.CDLL(None).recv
    main = threading.main_thread()
    its_call = Path(f"/proc/self/task/{main.native_id}/syscall")

    def tell_to_stop() -> None:
        while its_call.read_text().split()[1:2] != [hex(ours.fileno())]:
            os.sched_yield()
        signal.pthread_kill(main.ident, signal.SIGTERM)
        theirs.send(b"here")

    teller = threading.Thread(target=tell_to_stop)
    try:
        told.listen()
        assert not told.stopping()
        teller.start()
        assert recv(ours.fileno(), ctypes.create_string_buffer(4), 4, 0) == 4
        assert told.stopping()
    finally:
        signal.signal(signal.SIGTERM, before)
        teller.join()
        ours.close()
        theirs.close()
