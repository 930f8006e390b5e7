"""Keeps the bucket's copy of a run: receipts with their outputs, checkpoints beside training, logs.

For the stages that a whole gang does, the bucket's receipt is the truth: a leader that has lost its disk learns from
it what is done before it asks for a peer.
"""

import contextlib
import logging
import queue
import re
import shutil
import threading
import time
from pathlib import Path

from trainer.errors import OcrfleetError, SpecError
from trainer.run.workdir import WorkDir
from trainer.state.checkpoints import Remote, Signatures
from trainer.state.fencing import Claims
from trainer.state.receipts import Receipt, measure
from trainer.system import atomic, regular
from trainer.telemetry.events import Hear, Notice, Transferred, Uploaded

log = logging.getLogger(__name__)


class Mirror:
    """The bucket's side of one node's attempt at a run."""

    def __init__(self, claims: Claims, *, work: WorkDir, keep: int, tell: Hear) -> None:
        """Mirror into the store of `claims`, which is at `<output>/checkpoints/<run>`.

        Args:
            claims: who holds the run.
            work: the run's folder on this node.
            keep: checkpoints to keep in the bucket.
            tell: hears of uploads and downloads.
        """
        self.claims = claims
        self.store = store = claims.store
        self.work = work
        self.remote = Remote(store=store)
        self.attempt = 0
        """The leader's: as claimed in the bucket. Another node's: its own starts, which name its log files."""
        self._signatures: Signatures | None = None
        self._keep = keep
        self._tell = tell
        self._waiting: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._failed: OcrfleetError | None = None
        self._thread: threading.Thread | None = None

    def push_receipt(self, receipt: Receipt) -> None:
        """Push a stage's outputs, then its receipt; those of other attempts stay as they are."""
        files = {f"{_outputs(receipt)}/{name}": self.work.root / name for name in receipt.outputs}
        regular.require(self.work.root, files.values())
        self._tell(Transferred(direction="push", count=self.store.push(files).moved_bytes))
        self.store.put(f"receipts/{receipt.attempt}/{receipt.stage}.json", receipt.to_json().encode())

    def receipt(self, stage: str) -> Receipt | None:
        """Read a stage's receipt from the bucket, if there is one: the latest attempt's that is whole."""
        place = re.compile(rf"receipts/(0|[1-9][0-9]{{0,17}})/{re.escape(stage)}\.json")
        places = [found for info in self.store.list("receipts/") if (found := place.fullmatch(info.key))]
        for found in sorted(places, key=lambda found: int(found[1]), reverse=True):
            content, where = self.store.get(found[0]), f"{self.store.uri}{found[0]}"
            if receipt := Receipt.decode(content, stage=stage, attempt=int(found[1]), place=where):
                return receipt
        return None

    def restore(self, receipt: Receipt) -> bool:
        """Bring a stage's outputs to this node, except those that are here already and right.

        Returns:
            Whether all are here now. If one is missing in the bucket or differs from the receipt, the log says so.
        """
        here = measure(self.work, list(receipt.outputs))
        missing = {f"{_outputs(receipt)}/{n}": n for n, o in receipt.outputs.items() if here.get(n) != o}
        if missing:
            try:
                pulled = self.store.pull(missing, self.work.restored)
            # SpecError: the receipt names a file that cannot be one.
            except SpecError as error:
                log.warning("The outputs of stage %s are not complete, so it is done again: %s", receipt.stage, error)
                return False
            self._tell(Transferred(direction="pull", count=pulled.moved_bytes))
            for key, name in missing.items():
                (self.work.root / name).parent.mkdir(parents=True, exist_ok=True)
                atomic.replace(self.work.restored / key, self.work.root / name)
            shutil.rmtree(self.work.restored)
        if measure(self.work, list(receipt.outputs)) == receipt.outputs:
            return True
        log.warning(
            "The outputs of stage %s in %s differ from its receipt, so it is done again.", receipt.stage, self.store.uri
        )
        return False

    def begin_pushing(self, signatures: Signatures) -> None:
        """Start signing and pushing checkpoints while the workers train."""
        self._failed = None
        self._signatures = signatures
        self._thread = threading.Thread(target=self._push_all, args=(signatures,), name="checkpoints", daemon=True)
        self._thread.start()

    def push_checkpoint(self, folder: Path) -> None:
        """Sign a checkpoint, and have it pushed; returns at once."""
        assert self._signatures
        # Also those that are never pushed: training may resume from them on this node.
        with contextlib.suppress(FileNotFoundError):
            self._signatures.keep(folder)
        self._waiting.put(folder)

    def finish_pushing(self) -> None:
        """Wait until the last checkpoint is in the bucket.

        Raises:
            OcrfleetError: it could not be pushed; the local one is still there.
        """
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()
        if self._failed is not None:
            raise self._failed

    def _push_all(self, signatures: Signatures) -> None:
        while (folder := self._newest()) is not None:
            began = time.monotonic()
            try:
                count = self.remote.push(folder, attempt=self.attempt, signatures=signatures)
                self.remote.prune(keep=self._keep)
            except FileNotFoundError:
                log.info("A newer checkpoint replaced %s before it was uploaded.", folder.name)
            except OcrfleetError as error:
                # Training goes on: a later push may succeed, and only the last one decides.
                log.warning("The checkpoint %s could not be uploaded: %s", folder.name, error)
                self._failed = error
            # Nobody else hears of a fault in this thread.
            except Exception as error:
                log.exception("The checkpoint %s could not be uploaded.", folder.name)
                self._failed = OcrfleetError(f"The checkpoint {folder.name} could not be uploaded: {error!r}.")
                self._failed.__cause__ = error
            else:
                self._failed = None
                self._tell(Transferred(direction="push", count=count))
                self._tell(Uploaded(step=int(folder.name), seconds=time.monotonic() - began))

    def _newest(self) -> Path | None:
        """Return the newest waiting checkpoint, leaving out those overtaken; None at the end."""
        folder = self._waiting.get()
        while folder is not None and not self._waiting.empty():
            following = self._waiting.get()
            if following is None:
                self._waiting.put(None)
                break
            folder = following
        return folder

    def tidy(self, *, keep_checkpoints: int) -> None:
        """After publishing: leave the last checkpoint, and no outputs that are published now."""
        self.remote.prune(keep=keep_checkpoints)

    def push_logs(self, *, node: int) -> None:
        """Push a node's logs, those of earlier attempts too: of a lost peer, they are all that is left.

        A bucket out of reach or a missing file is said, not raised: it would take the place of the run's own error.
        """
        files = {f"logs/{attempt}/{path.name}": path for attempt, path in self.work.worker_logs()}
        try:
            # Other nodes count their own starts; by now the leader has claimed the attempt that they were part of.
            attempt = self.claims.latest() if node else self.attempt
            files[f"logs/{attempt}/node-{node}.log"] = self.work.node_log
            regular.require(self.work.root, files.values())
            self.store.push(files)
        except (OcrfleetError, OSError) as error:
            self._tell(Notice(message=f"The logs are in {self.work.logs} only: {error}"))


def _outputs(receipt: Receipt) -> str:
    return f"stages/{receipt.attempt}/{receipt.stage}"
