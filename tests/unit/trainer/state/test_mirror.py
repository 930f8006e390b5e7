"""What a node leaves in the bucket when it ends."""

from pathlib import Path

import pytest

from trainer.run.workdir import WorkDir
from trainer.state.fencing import Claims
from trainer.state.mirror import Mirror
from trainer.storage import open_store
from trainer.telemetry.metrics import Metrics


@pytest.mark.parametrize("node", [0, 1])
def test_the_logs_of_every_attempt_come_into_the_bucket(node: int, tmp_path: Path) -> None:
    """A node that outlived a peer has worked in two; its pod is gone with the end of the last."""
    work = WorkDir(tmp_path / "work")
    store = open_store(f"file://{tmp_path}/bucket")
    claims = Claims(store=store, owner="object", process="process")
    for attempt in (1, 2):
        assert claims.claim() == attempt
        log = work.worker_log(attempt=attempt, stage="train", rank=3)
        log.parent.mkdir(parents=True)
        log.write_text(f"in attempt {attempt}\n")
    work.node_log.write_text("all of it\n")
    metrics = Metrics(run="r", node=node, task="rec")
    mirror = Mirror(claims, work=work, keep=1, metrics=metrics)
    mirror.attempt = 2
    said: list[str] = []
    mirror.push_logs(node=node, say=said.append)
    metrics.close()
    assert said == []
    assert {info.key: store.get(info.key) for info in store.list("logs/")} == {
        "logs/1/train-rank-3.log": b"in attempt 1\n",
        "logs/2/train-rank-3.log": b"in attempt 2\n",
        f"logs/2/node-{node}.log": b"all of it\n",
    }
