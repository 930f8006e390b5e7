"""The exit codes of a pod in words, with what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainer.contract import ExitCode


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """An exit code of the contract in words."""

    text: str
    """What happened, as the end of a sentence: 'the dataset is wrong'."""

    advice: str
    """What to do next; `{run}` stands for the run's id."""

    retry: bool
    """Starting the same run again can help."""


MEANINGS: Final[Mapping[int, Meaning]] = {
    ExitCode.DONE: Meaning(text="it is done", advice="", retry=False),
    ExitCode.FAILED: Meaning(
        text="a fault of ocrfleet or of a library under it ended it",
        advice="Look for the traceback in `ocrfleet logs {run}` and report it.",
        retry=True,
    ),
    ExitCode.USAGE: Meaning(
        text="the trainer's command line is wrong",
        advice="Check that image and chart are of one version: `ocrfleet version`.",
        retry=False,
    ),
    ExitCode.SPEC: Meaning(
        text="the job file is wrong",
        advice="Mend what `ocrfleet logs {run}` names, and submit the file again.",
        retry=False,
    ),
    ExitCode.DATASET: Meaning(
        text="the dataset is wrong",
        advice="Run `ocrfleet data check` on it, mend it, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.ACCESS: Meaning(
        text="access to the bucket was refused",
        advice="Mend the credentials or the rights, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.GATE: Meaning(
        text="the model did not pass its gate",
        advice="Look at `ocrfleet logs {run}`; train longer or lower run.gate.",
        retry=False,
    ),
    ExitCode.DIVERGED: Meaning(
        text="the loss became NaN or infinite",
        advice="Lower the learning rate in run.overrides; `ocrfleet logs {run}` names the samples.",
        retry=False,
    ),
    ExitCode.STALLED: Meaning(
        text="several attempts made no progress",
        advice="Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher.",
        retry=False,
    ),
    ExitCode.SUPERSEDED: Meaning(
        text="a newer object of the same run took over", advice="`ocrfleet watch {run}` looks at that.", retry=False
    ),
    ExitCode.SUSPENDED: Meaning(
        text="the schedule is suspended after repeated failures",
        advice="Fix what `ocrfleet logs {run}` names, then submit the file again: this version has no schedules yet.",
        retry=False,
    ),
    ExitCode.TRANSIENT: Meaning(
        text="a peer, the network or a disk failed for longer than the retries last",
        advice="Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher.",
        retry=True,
    ),
    ExitCode.STOPPED: Meaning(
        text="it was told to stop", advice="`ocrfleet resume {run}` goes on from its checkpoint.", retry=True
    ),
}
"""Every code of the contract; a test holds it to that."""


def meaning(code: int) -> Meaning:
    """Give what an exit code says, those of other programs and of signals too."""
    if known := MEANINGS.get(code):
        return known
    advice = "Look at `ocrfleet logs {run}`, and submit the file again with placement.retry one higher."
    if code > _SIGNALS:
        return Meaning(text=f"signal {code - _SIGNALS} killed it", advice=advice, retry=True)
    return Meaning(text=f"it ended with exit code {code}, which is none of ocrfleet's", advice=advice, retry=True)


_SIGNALS: Final = 128
"""What a shell and Kubernetes add to a signal's number."""
