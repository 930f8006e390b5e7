"""What a teacher was good for: a distilled model against the same network trained without one.

Only figures of the very same samples are compared. `Store` arguments are at `<output>`.
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
    """Give the run that `run.distill.baseline` names; None where it names none.

    Raises:
        NotFoundError: there is no such run or channel.
        SpecError: it is no baseline: another task, or a distillation itself.
    """
    named = run.distill.baseline
    if named is None:
        return None
    where = f"run.distill.baseline is {named!r}"
    run_id = named
    if named.startswith(_CHANNEL):
        channel = channels.find(store, named.removeprefix(_CHANNEL))
        if channel is None:
            raise NotFoundError(f"{where}, and {run.output} has no such channel.")
        run_id = channel.run
    found = manifests.find(store, run_id)
    if found is None:
        raise NotFoundError(f"{where}, and run {run_id} is not published at {run.output}.")
    if found.task != run.task:
        raise SpecError(f"{where}, whose run {run_id} is of task {found.task!r}.")
    if found.distillation:
        raise SpecError(f"{where}, whose run {run_id} is a distillation itself.")
    return found


def compare(
    run: RunSpec, store: Store, *, metrics: Mapping[str, float], split: str, dataset: str, samples: int
) -> Gain | None:
    """Compare a model with its baseline; a baseline that is not there is said, not raised, after so long a training.

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
        return Gain(baseline=str(run.distill.baseline), said=f"The gain is not known: {error}")
    if theirs is None:
        return None
    name, named = run.main_metric, str(run.distill.baseline)
    found = Gain(baseline=named, run=theirs.run, metrics=dict(theirs.metrics), said="")
    value = theirs.metrics.get(name)
    had = f"{name} {value:.4f}" if value is not None else f"no {name}"
    if (theirs.dataset, theirs.split) != (dataset, split) or value is None:
        said = (
            f"No gain can be stated: {theirs.run}, trained without a teacher, was judged on other data "
            f"({theirs.split} split of dataset {theirs.dataset[:12]}, {had}; here it is the {split} split of "
            f"{dataset[:12]})."
        )
        return Gain(**{**vars(found), "said": said})
    differences = {key: round(metrics[key] - theirs.metrics[key], 6) for key in metrics if key in theirs.metrics}
    better = differences[name]
    compared = "no more and no less than" if not better else f"{abs(better):.4f} {'above' if better > 0 else 'below'}"
    said = (
        f"{name} {metrics[name]:.4f} is {compared} the {value:.4f} of {theirs.run}, trained without a teacher, on the "
        f"same {samples:,} samples of the {split} split."
    )
    return Gain(**{**vars(found), "said": said, "gain": differences})
