"""Training samples that cannot be used: counted, limited, and each reported once."""

import itertools
import logging
from collections.abc import Mapping

from trainer.errors import DatasetError
from trainer.ppocr.job import Job
from trainer.ppocr.progress import Progress
from trainer.telemetry import events

log = logging.getLogger(__name__)


class Refusals:
    """The samples of the training split that are left out."""

    def __init__(self, job: Job, progress: Progress) -> None:
        """Resume: what the checkpoint has was reported when it was saved."""
        self._job, self._progress = job, progress
        self._reported = set(progress.refused)

    def add(self, refused: Mapping[str, str]) -> None:
        """Record samples that this rank cannot use.

        Raises:
            DatasetError: more are unusable than `run.data.maxRefused` allows.
        """
        known = self._progress.refused
        new = {source: why for source, why in refused.items() if source not in known}
        for source, why in new.items():
            log.warning("Training sample skipped: %s: %s", source, why)
        known.update(new)
        prepared, limit = self._job.prepared, self._job.run.data.max_refused.train
        before = sum(row.get("split") == "train" for row in prepared.refused)
        total, count = prepared.counts["train"] + before, before + len(known)
        if new and count > limit * total:
            source, why = next(iter(new.items()))
            raise DatasetError(
                f"{count} of {total} training samples cannot be used, but run.data.maxRefused.train allows "
                f"{limit * 100:g} %. One of them is {source}: {why}. Fix them, or raise the limit."
            )

    def report(self) -> None:
        """Report the new samples of all ranks; called after a save, which has brought them together."""
        new = {source: why for source, why in self._progress.refused.items() if source not in self._reported}
        self._reported |= new.keys()
        if new and self._job.rank == 0:
            examples = dict(itertools.islice(new.items(), events.NAMED))
            self._job.events.send(events.Refused(count=len(new), examples=examples))
