"""The supervisor, with real processes in place of paddle's."""

import os
import re
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from trainer.datasets import image_workers
from trainer.errors import DatasetError, OcrfleetError, StoppedError, TransientError
from trainer.node import supervisor
from trainer.node.supervisor import Supervisor, WorkerKilledError
from trainer.rendezvous import PeerLostError
from trainer.run.assignment import DeadlineSeconds
from trainer.run.topology import Topology
from trainer.system import landlock
from trainer.telemetry.events import Checkpointed, Finished, Ready

STUB = (sys.executable, str(Path(__file__).with_name("stub_worker.py")))


@pytest.fixture(autouse=True)
def short_grace(monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 0.3)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def run(stage, tmp_path, *, devices=2, deadlines=None, hear=lambda event: None, alone=False):
    made = Supervisor(
        Topology(devices_per_node=devices), deadlines=deadlines or DeadlineSeconds(), hear=hear, program=STUB
    )
    return made.run(stage, workdir=tmp_path, log=lambda rank: tmp_path / f"{stage}-{rank}.log", alone=alone)


def test_a_stage_gives_the_facts_of_the_first_worker(tmp_path):
    assert run("succeed", tmp_path)["rank"] == 0


def test_a_stage_of_the_leader_alone_has_one_worker(tmp_path):
    environment = run("succeed", tmp_path, alone=True)["environment"]
    assert environment["PADDLE_TRAINERS_NUM"] == "1"


def test_a_worker_gets_paddles_contract_and_no_secret(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    monkeypatch.setenv("WEBHOOK_TOKEN", "canary")
    environment = run("succeed", tmp_path)["environment"]
    assert environment["PADDLE_TRAINER_ENDPOINTS"] == "127.0.0.1:29402,127.0.0.1:29403"
    assert environment["PADDLE_MASTER"] == "127.0.0.1:29401"
    assert "canary" not in environment.values()


def test_the_variables_of_a_stage_are_in_its_workers_environment_and_win(tmp_path, monkeypatch):
    """For example those that turn TF32 off, whatever a pod's own environment says."""
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    asked = []
    made = Supervisor(
        Topology(),
        deadlines=DeadlineSeconds(),
        hear=lambda event: None,
        variables=lambda stage: asked.append(stage) or {"NVIDIA_TF32_OVERRIDE": "0"},
        program=STUB,
    )
    facts = made.run("succeed", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")
    assert facts["environment"]["NVIDIA_TF32_OVERRIDE"] == "0"
    assert asked == ["succeed"]


def test_a_worker_cannot_read_the_credentials_of_its_node(tmp_path, monkeypatch):
    (tmp_path / "keys").write_text("canary")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "keys"))
    made = Supervisor(
        Topology(),
        deadlines=DeadlineSeconds(),
        hear=lambda event: None,
        program=(*supervisor.CONFINED, "tests.unit.trainer.node.stub_worker"),
    )
    facts = made.run("look-for-keys", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")
    assert facts["found"][str(tmp_path / "keys")] == (None if landlock.available() else 6)
    assert facts["home"] == str(tmp_path / "home")


def test_the_sentence_of_the_worker_that_failed_is_the_error(tmp_path):
    """Its peer hangs in a collective for ever, and is ended."""
    with pytest.raises(DatasetError, match=r"^The data is wrong\.$"):
        run("refuse-data", tmp_path)


def test_readers_that_a_worker_leaves_behind_do_not_hide_its_end(tmp_path):
    """Forked readers hold the worker's end of the pipe open; the deadline for an end would be 30 minutes."""
    with pytest.raises(DatasetError, match=r"^The data is wrong\.$"):
        run("leave-readers", tmp_path, devices=1)


def test_a_killed_worker_is_worth_a_retry_and_named(tmp_path):
    with pytest.raises(
        WorkerKilledError, match=r"Worker 1 was killed by SIGKILL\. Run it again .*-killed-1\.log"
    ) as it:
        run("be-killed", tmp_path)
    assert (it.value.by, it.value.memory) == ("SIGKILL", False)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((3, 4), "Worker 1 was killed by the kernel, because memory ran out. Lower run.train.batchSizePerDevice"),
        ((None, 1), "Worker 1 was killed by the kernel, because memory ran out."),
        ((3, 3), "Worker 1 was killed by SIGKILL."),
        ((3, None), "Worker 1 was killed by SIGKILL."),
    ],
)
def test_memory_is_named_where_the_kernel_has_counted_a_kill_meanwhile(tmp_path, monkeypatch, counts, words):
    monkeypatch.setattr(supervisor.memory, "kills", lambda left=list(counts): left.pop(0))
    with pytest.raises(TransientError, match=f"^{re.escape(words)}"):
        run("be-killed", tmp_path)


def test_a_worker_that_says_nothing_is_named_with_its_log(tmp_path):
    with pytest.raises(OcrfleetError, match=r"exited with code 9. Log: .*crash-"):
        run("crash", tmp_path)
    assert "a secret of the library" in (tmp_path / "crash-0.log").read_text()


def test_a_wish_to_stop_reaches_every_worker(tmp_path):
    stepped = threading.Event()
    made = Supervisor(
        Topology(devices_per_node=2),
        deadlines=DeadlineSeconds(),
        hear=lambda event: stepped.set() or (made.stop() if isinstance(event, Checkpointed) else None),
        program=STUB,
    )
    with pytest.raises(StoppedError, match="the state is saved"):
        made.run("stop-in-order", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")
    assert not made.stop(), "after the stage there is nobody to stop"


def test_a_peer_that_has_stopped_already_does_not_end_those_who_still_save(tmp_path):
    def hear(event):
        if isinstance(event, Checkpointed):
            made.stop()
            made.end(PeerLostError("Node 1 was lost: its connection closed."))

    made = Supervisor(Topology(), deadlines=DeadlineSeconds(), hear=hear, program=STUB)
    with pytest.raises(StoppedError, match="the state is saved"):
        made.run("stop-in-order", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")


def test_workers_deaf_to_the_wish_are_killed_after_a_deadline(tmp_path):
    made = Supervisor(
        Topology(),
        deadlines=DeadlineSeconds(stop=0.2),
        hear=lambda event: made.stop() if isinstance(event, Ready) else None,
        program=STUB,
    )
    with pytest.raises(StoppedError, match="before the state could be saved"):
        made.run("hang", workdir=tmp_path, log=lambda rank: tmp_path / f"{rank}.log")


@pytest.mark.parametrize(
    "deadlines",
    [DeadlineSeconds(start=0.5), DeadlineSeconds(rendezvous=0.5)],
    ids=["of the start", "a shorter one of the rendezvous"],
)
def test_workers_that_do_not_connect_are_ended_long_before_nodes_that_do_not_meet(tmp_path, deadlines):
    """The supervisors have met when they start workers, so that nobody has to wait for a pod any more."""
    with pytest.raises(TransientError, match=r"did not start and connect to each other within .* NCCL_DEBUG"):
        run("never-meet", tmp_path, deadlines=deadlines)


def test_the_start_has_five_minutes():
    assert DeadlineSeconds().start == 300 < DeadlineSeconds().rendezvous


def test_a_silent_worker_ends_the_attempt_and_says_where_it_stood(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "GRACE", 60)
    with pytest.raises(TransientError, match=r"\(placement\.deadlines\.stall\)"):
        run("hang", tmp_path, deadlines=DeadlineSeconds(stall=0.5))
    for rank in (0, 1):
        assert "stub_worker.py" in (tmp_path / f"hang-{rank}.log").read_text(), "its stack"


def test_every_event_is_passed_on(tmp_path):
    seen = []
    run("succeed", tmp_path, hear=lambda event: seen.append((event.rank, type(event))))
    assert len(seen) == 4
    assert set(seen) == {(0, Ready), (0, Finished), (1, Ready), (1, Finished)}


DEADLY = "import os; from trainer.datasets import image_workers, images; images.load = lambda *_, **__: os.abort(); "


def test_an_image_on_which_a_worker_dies_is_named_and_final(tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "page.jpg"), np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(image_workers, "PROGRAM", (sys.executable, "-c", f"{DEADLY}image_workers.main()"))
    with pytest.raises(
        DatasetError, match=r"page.jpg': the image kills the process that decodes it .SIGABRT.. Replace"
    ):
        run("decode", tmp_path, devices=1)


def test_an_image_that_another_process_decodes_was_not_what_killed_a_worker(tmp_path):
    (tmp_path / "page.jpg").write_bytes(b"no image, but harmless")
    with pytest.raises(TransientError, match="was killed by SIGSEGV"):
        run("decode", tmp_path, devices=1)
    # The next attempt is not suspected for what the one before had in hand.
    with pytest.raises(TransientError, match="was killed by SIGKILL"):
        run("be-killed", tmp_path)


def test_a_suspected_image_that_no_process_can_try_does_not_hide_why_a_worker_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(image_workers, "PROGRAM", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(TransientError, match="was killed by SIGSEGV"):
        run("decode", tmp_path, devices=1)
