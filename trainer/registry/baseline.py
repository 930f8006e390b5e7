"""The gain of a distillation: the distilled model against the same network trained without a teacher.

Only metrics on the same samples are compared. `Store` arguments are at `<output>`.
"""

from collections.abc import Mapping

from trainer.errors import NotFoundError, SpecError
from trainer.registry import channels, manifests
from trainer.registry.distillation import Gain
from trainer.registry.manifests import Manifest
from trainer.run.spec import RunSpec
from trainer.storage import Store

_CHANNEL = "channel:"


def baseline(run: RunSpec, store: Store) -> Manifest | None:
    """Return the run that `run.distill.baseline` names; None where it is unset.

    Raises:
        NotFoundError: there is no such run or channel.
        SpecError: the run cannot be a baseline: it has another task, or is a distillation itself.
    """
    named = run.distill.baseline
    if named is None:
        return None
    where = f"run.distill.baseline is {named!r}"
    run_id = named
    if named.startswith(_CHANNEL):
        channel = channels.find(store, named.removeprefix(_CHANNEL))
        if channel is None:
            raise NotFoundError(f"{where}, but {run.output} has no such channel.")
        run_id = channel.run
    found = manifests.find(store, run_id)
    if found is None:
        raise NotFoundError(f"{where}, but run {run_id} is not published at {run.output}.")
    if found.task != run.task:
        raise SpecError(f"{where}, but its run {run_id} has task {found.task!r}. Name a run of the same task.")
    if found.distillation:
        raise SpecError(f"{where}, but its run {run_id} is a distillation itself. Name a run without a teacher.")
    return found


def compare(
    run: RunSpec, store: Store, *, metrics: Mapping[str, float], split: str, dataset: str, samples: int
) -> Gain | None:
    """Compare a model with its baseline. A missing baseline is reported, not raised: it must not fail a long training.

    Args:
        run: the run, which may name a baseline.
        store: where both are published.
        metrics: what the distilled model reached.
        split: on which split.
        dataset: of which dataset: its digest as prepare has it.
        samples: how many samples that split has.
    """
    try:
        theirs = baseline(run, store)
    except (NotFoundError, SpecError) as error:
        return Gain(baseline=str(run.distill.baseline), said=f"The gain is unknown: {error}")
    if theirs is None:
        return None
    name, named = run.main_metric, str(run.distill.baseline)
    found = Gain(baseline=named, run=theirs.run, metrics=dict(theirs.metrics), said="")
    value = theirs.metrics.get(name)
    had = f"{name} {value:.4f}" if value is not None else f"no {name}"
    if (theirs.dataset, theirs.split) != (dataset, split) or value is None:
        said = (
            f"The gain is unknown: {theirs.run}, trained without a teacher, was evaluated on other data. There it is "
            f"the {theirs.split} split of dataset {theirs.dataset[:12]} ({had}), here the {split} split of dataset "
            f"{dataset[:12]}."
        )
        return Gain(**{**vars(found), "said": said})
    differences = {key: round(metrics[key] - theirs.metrics[key], 6) for key in metrics if key in theirs.metrics}
    better = differences[name]
    compared = "equal to" if not better else f"{abs(better):.4f} {'above' if better > 0 else 'below'}"
    said = (
        f"{name} {metrics[name]:.4f} is {compared} the {value:.4f} of {theirs.run}, trained without a teacher, on the "
        f"same {samples:,} samples of the {split} split."
    )
    return Gain(**{**vars(found), "said": said, "gain": differences})
