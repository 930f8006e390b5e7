"""The state of an engine's own object, without pods and queue: shared by all engines."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jobs.engines.status import NO_REASON, Phase, Reason
from jobs.kube.fields import condition, moment, one_line, text, true_conditions
from jobs.kube.objects import Object


@dataclass(frozen=True, kw_only=True)
class State:
    """The state of an engine's object."""

    phase: Phase | None
    """None: it is running, and its pods decide the phase."""

    reason: Reason = NO_REASON
    decisive: bool = False
    """The reason says more than the exit codes of the pods that it ended."""

    exit_code: int | None = None
    """Where the controller tells the code of the pod that ended it."""

    started: datetime | None = None
    finished: datetime | None = None


def by_conditions(found: Object, table: Mapping[str, Phase | None], reasons: Mapping[str, Reason]) -> State:
    """Return the state that an object's conditions make.

    Args:
        found: the object.
        table: every type of condition that its API has, those that decide first; None decides nothing.
        reasons: the controller's reasons in our words.
    """
    true = true_conditions(found)
    for kind, phase in table.items():
        if kind in true and phase:
            decided = condition(found, kind) or {}
            return State(
                phase=phase,
                reason=in_words(decided, reasons),
                decisive=text(decided, "reason") in DECISIVE,
                exit_code=_code_in(text(decided, "message")),
            )
    if strange := [kind for kind in true if kind not in table]:
        return State(phase=Phase.UNKNOWN, reason=unknown_word(found, strange[0]))
    return State(phase=None)


DECISIVE: Final = ("DeadlineExceeded", "TrainingRuntimeNotSupported")
"""Reasons of controllers that end pods which have done nothing wrong."""


def in_words(decided: Object, reasons: Mapping[str, Reason]) -> Reason:
    """Return a condition's reason in our words; the controller's own message where we have none."""
    known = reasons.get(text(decided, "reason"))
    if known is not None:
        return known
    message = one_line(text(decided, "message")) or text(decided, "reason")
    return Reason(f"Its controller reports: {message}.") if message else NO_REASON


def unknown_word(found: Object, word: str) -> Reason:
    """Return the reason for a word that no table has."""
    kind, name = text(found, "kind") or "object", text(found, "metadata", "name")
    return Reason(
        f"Its {kind} is in the state '{one_line(word)}', which this version of ocrfleet does not know.",
        f"See `kubectl describe {kind.lower()} {name}`." if name else "",
    )


def first_moment(found: Object, kinds: Iterable[str]) -> datetime | None:
    """Return when the first of these conditions that is true became so."""
    true = true_conditions(found)
    return next((moment(condition(found, kind) or {}, "lastTransitionTime") for kind in kinds if kind in true), None)


_CODE: Final = re.compile(r"failed with exit code (\d{1,3})\b")


def _code_in(message: str) -> int | None:
    # The Job controller says so when its failure policy acts: the code outlives the pod.
    found = _CODE.search(message)
    return int(found[1]) if found else None
