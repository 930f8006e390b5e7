"""The exit codes of a pod, explained, with the next step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trainer.contract import ExitCode


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """An exit code, explained."""

    text: str
    """What happened, as the end of a sentence: 'the dataset is wrong'."""

    advice: str
    """What to do next; `{run}` stands for the run's id."""

    retry: bool
    """Starting the same run again can help."""


MEANINGS: Final[Mapping[int, Meaning]] = {
    ExitCode.DONE: Meaning(text="it is done", advice="", retry=False),
    ExitCode.FAILED: Meaning(
        text="it failed by a fault in ocrfleet or in one of its libraries",
        advice="Report the traceback that `ocrfleet logs {run}` shows.",
        retry=True,
    ),
    ExitCode.USAGE: Meaning(
        text="the trainer's command line is wrong",
        advice="Check that the image and the chart have the same version: `ocrfleet version`.",
        retry=False,
    ),
    ExitCode.SPEC: Meaning(
        text="the job file is wrong",
        advice="Fix what `ocrfleet logs {run}` names, and submit the file again.",
        retry=False,
    ),
    ExitCode.DATASET: Meaning(
        text="the dataset is wrong",
        advice="Check it with `ocrfleet data check`, fix it, and submit the file again with placement.retry "
        "increased by one.",
        retry=False,
    ),
    ExitCode.ACCESS: Meaning(
        text="access to the bucket was refused",
        advice="Fix the credentials or the permissions, and submit the file again with placement.retry increased by "
        "one.",
        retry=False,
    ),
    ExitCode.GATE: Meaning(
        text="the model did not pass its gate",
        advice="See `ocrfleet logs {run}`. Train longer, or lower run.gate.",
        retry=False,
    ),
    ExitCode.DIVERGED: Meaning(
        text="the loss became NaN or infinite",
        advice="Lower the learning rate in run.overrides. `ocrfleet logs {run}` names the samples.",
        retry=False,
    ),
    ExitCode.STALLED: Meaning(
        text="several attempts made no progress",
        advice="See `ocrfleet logs {run}`, then submit the file again with placement.retry increased by one.",
        retry=False,
    ),
    ExitCode.SUPERSEDED: Meaning(
        text="a newer object of the same run took over",
        advice="`ocrfleet watch {run}` follows the newer one.",
        retry=False,
    ),
    ExitCode.SUSPENDED: Meaning(
        text="the schedule is suspended after repeated failures",
        advice="Fix what `ocrfleet logs {run}` names, then submit the file again: this version has no schedules yet.",
        retry=False,
    ),
    ExitCode.TRANSIENT: Meaning(
        text="a peer, the network or a disk failed, and retrying did not help",
        advice="See `ocrfleet logs {run}`, then submit the file again with placement.retry increased by one.",
        retry=True,
    ),
    ExitCode.STOPPED: Meaning(
        text="it was stopped", advice="`ocrfleet resume {run}` continues from its checkpoint.", retry=True
    ),
}
"""Every exit code of the contract."""


def meaning(code: int) -> Meaning:
    """Return the meaning of an exit code, also of other programs and of signals."""
    if known := MEANINGS.get(code):
        return known
    advice = "See `ocrfleet logs {run}`, then submit the file again with placement.retry increased by one."
    if code > _SIGNALS:
        return Meaning(text=f"signal {code - _SIGNALS} killed it", advice=advice, retry=True)
    return Meaning(text=f"it ended with exit code {code}, which is not one of ocrfleet's", advice=advice, retry=True)


_SIGNALS: Final = 128
"""What a shell and Kubernetes add to a signal's number."""
