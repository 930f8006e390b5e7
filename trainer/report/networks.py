"""The report's part on a distillation: the networks side by side, and their progress."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from trainer.registry.distillation import Distillation, Network
from trainer.report.content import Section
from trainer.telemetry.units import size

Evaluation = Mapping[str, Any]

_ROWS: Final = 100
"""Evaluations that the table lists; the curve has all of them, and so has the record."""


def sections(told: Distillation, evaluations: Sequence[Evaluation]) -> list[Section]:
    """Return the tables of a distillation.

    Args:
        told: what is known of it.
        evaluations: those of its training, as in training.json.
    """
    return [_networks(told), _evaluations(told, evaluations)]


def _networks(told: Distillation) -> Section:
    names = _metrics(told)
    rows = [
        (
            network.name,
            _part(network, told),
            f"{network.parameters:,}",
            size(network.bytes),
            f"{1000 * network.seconds_per_image:.1f}" if network.seconds_per_image is not None else "–",
            *(f"{network.metrics[name]:.4f}" for name in names),
        )
        for network in told.networks
    ]
    head = ("parameters", "size", "ms per image", *names)
    return Section(
        title="Networks",
        note=" ".join(part for part in (told.why, _alone(told), _gain(told), _measured(told)) if part),
        head=("network", "part", *head),
        rows=rows,
        numbers=head,
    )


def _metrics(told: Distillation) -> list[str]:
    """Return the names of the metrics, which all networks have in the same order."""
    first, *_ = told.networks
    return [name for name in first.metrics if name != "fps"]


def _part(network: Network, told: Distillation) -> str:
    if network.name == told.picked:
        return "learns; published"
    return "teaches" if network.frozen else "learns"


def _alone(told: Distillation) -> str:
    epochs = told.fine_tuned_epochs
    return f"It was then trained alone for {epochs} epoch{'' if epochs == 1 else 's'}." if epochs else ""


def _gain(told: Distillation) -> str:
    if told.gain:
        return told.gain.said
    return "The gain from the teacher is unknown: run.distill.baseline is not set."


def _measured(told: Distillation) -> str:
    exported = f" The exported {told.picked} has {size(told.exported_bytes)}." if told.exported_bytes else ""
    return (
        "Metrics are of the eval split, at the step of the published weights. Parameters used only in training are "
        f"not counted.{exported}"
    )


def _evaluations(told: Distillation, evaluations: Sequence[Evaluation]) -> Section:
    names = [network.name for network in told.networks]
    metrics = _metrics(told)
    shown = _some(evaluations)
    note = f"On the eval split, at each evaluation: {', '.join(metrics)}."
    if len(shown) < len(evaluations):
        note += f" An even selection of {len(shown)} of {len(evaluations)}, with the best one; record.json has all."
    return Section(
        title="Networks during training",
        note=note,
        head=("step", "epoch", *names, "kept"),
        rows=[_evaluation(entry, names, metrics, told.picked) for entry in shown],
        numbers=("step", "epoch", *names),
    )


def _evaluation(entry: Evaluation, names: Sequence[str], metrics: Sequence[str], picked: str) -> list[str]:
    # While one network is trained alone, the others have no metrics.
    found = entry.get("networks") or {picked: entry["metrics"]}
    cells = [", ".join(f"{found[name][metric]:.4f}" for metric in metrics) if name in found else "–" for name in names]
    kept = entry["network"] if entry["best"] else ""
    return [f"{entry['step']:,}", str(entry["epoch"]), *cells, kept]


def _some(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return at most `_ROWS` evaluations, evenly chosen back from the last one, and the best one."""
    step = math.ceil(len(evaluations) / _ROWS)
    *_, best = (entry for entry in evaluations if entry["best"])
    later = reversed(range(len(evaluations)))
    return [entry for count, entry in zip(later, evaluations, strict=True) if count % step == 0 or entry is best]
