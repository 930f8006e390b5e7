"""`ocrfleet check`: errors of a job, found before it runs.

Each check yields findings. One that fails does not stop the others.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from jobs.jobfile.model import TrainingJob
from jobs.models import locations
from jobs.models.cache import Cache
from trainer import recipes
from trainer.contract import ExitCode
from trainer.datasets import tools as curate
from trainer.datasets.prepared import require_batch
from trainer.datasets.splits import Plan
from trainer.datasets.tools import Findings
from trainer.errors import OcrfleetError, SpecError
from trainer.registry import baseline
from trainer.storage import open_store
from trainer.system import device
from trainer.telemetry.callbacks import OnProgress
from trainer.weights import origins

SHOWN: Final = 20
"""Problems of a dataset that are listed one by one; `ocrfleet data check` lists all."""


@dataclass(frozen=True)
class Finding:
    """One line of the result."""

    level: Literal["ok", "warn", "error"]
    """`error`: the run would fail. `warn`: it would continue, but take a look."""

    text: str
    """A sentence that begins with the place in the job file."""

    code: ExitCode = ExitCode.DONE
    """The exit code that the run would end with."""


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What the checks share."""

    cache: Cache
    """Where downloads are kept."""

    transfer: OnProgress | None = None
    """Reports bytes."""

    count: OnProgress | None = None
    """Reports images."""


def errors(error: OcrfleetError) -> Iterator[Finding]:
    """Return an error as findings, one for each line."""
    for line in str(error).splitlines():
        yield Finding("error", line, error.exit_code)


def preflight(job: TrainingJob, tools: Tools) -> Iterator[Finding]:
    """Check a job whose file is valid; yield findings one by one."""
    checks: tuple[Callable[[TrainingJob, Tools], Iterator[Finding]], ...] = (
        _recipe,
        _device,
        _output,
        _weights,
        _baseline,
        _train,
        _eval,
    )
    for check in checks:
        try:
            yield from check(job, tools)
        except OcrfleetError as error:
            yield from errors(error)


def verdict(findings: list[Finding]) -> tuple[str, ExitCode]:
    """Return the last line and the exit code."""
    bad = [f for f in findings if f.level == "error"]
    warnings = sum(f.level == "warn" for f in findings)
    said = f" {warnings} warning{'s' if warnings > 1 else ''}." if warnings else ""
    if not bad:
        return f"The job can run.{said}", ExitCode.DONE
    return f"The job cannot run: {len(bad)} error{'s' if len(bad) > 1 else ''}.{said}", bad[0].code


def _recipe(job: TrainingJob, _: Tools) -> Iterator[Finding]:
    placement = job.placement
    recipe = recipes.resolve(job.run, world_size=placement.nodes * placement.devices_per_node)
    # Free of paddle, although they are in the ppocr room.
    from trainer.ppocr import settings, tree

    settings.require(recipe.config)
    yield Finding("ok", f"run: {recipe.name}, {len(job.run.overrides)} overrides; {recipe.summary}")
    for note in recipe.notes:
        yield Finding("warn", f"run: {note}")

    try:
        tree.require(recipe.config["Architecture"], source=recipe.name, requires=recipe.requires)
    except SpecError as error:
        # The image of a cluster may have a tree that this machine has not.
        yield Finding("warn", f"run: on this machine, {error}")


def _device(job: TrainingJob, _: Tools) -> Iterator[Finding]:
    placement = job.placement
    # A job with an image is for a cluster, whose machines are others than this one.
    if placement.device == "gpu" and not placement.image:
        device.require("gpu", count=placement.devices_per_node)
        yield Finding("ok", f"placement.device: gpu; this machine has {placement.devices_per_node} or more")


def _output(job: TrainingJob, _: Tools) -> Iterator[Finding]:
    where = job.run.output
    # Where a run writes without the right to point channels.
    if open_store(where).below("checkpoints").conditional_writes():
        yield Finding("ok", f"run.output: {where} is writable and supports the conditional writes that channels need")
    else:
        yield Finding(
            "warn",
            f"run.output: {where} is writable but does not support conditional writes (If-None-Match, If-Match). Two "
            "writers could overwrite each other, so promoting is refused there",
        )


def _weights(job: TrainingJob, _: Tools) -> Iterator[Finding]:
    for given in origins.wanted(job.run):
        try:
            origin = origins.find(job.run, given)
            size = locations.size(origin.uri)
        except OcrfleetError as error:
            yield from errors(error)
            continue
        led = f"; {given.weights} points to run {origin.run} now" if given.channel else ""
        yield Finding("ok", f"{given.field}: {origin.uri}, {size:,} bytes{led}; the run checks its sha256")


def _baseline(job: TrainingJob, _: Tools) -> Iterator[Finding]:
    if job.run.distill.baseline is None:
        return
    try:
        found = baseline.baseline(job.run, open_store(job.run.output))
    except OcrfleetError as error:
        # The run continues without it, and reports that.
        yield Finding("warn", f"{error} Without a baseline the gain is not measured")
        return
    if found:
        metric = job.run.main_metric
        yield Finding("ok", f"run.distill.baseline: run {found.run}, {metric} {found.metrics.get(metric, 0):.4f}")


def _train(job: TrainingJob, tools: Tools) -> Iterator[Finding]:
    found = _survey(job, job.run.data.train, tools, part="train" if job.run.data.eval else None)
    yield from _dataset("run.data.train", job.run.data.train, found)
    yield from _digest(job, found)
    if job.run.task == "rec" and found.characters:
        yield Finding("ok", f"run.data.dictionary: the labels use {_characters(found)}")
    if found.fatal is None:
        yield from _batch(job, found)


def _eval(job: TrainingJob, tools: Tools) -> Iterator[Finding]:
    if job.run.data.eval:
        found = _survey(job, job.run.data.eval, tools, part="eval")
        yield from _dataset("run.data.eval", job.run.data.eval, found)


def _survey(job: TrainingJob, uri: str, tools: Tools, *, part: Literal["train", "eval"] | None) -> Findings:
    return curate.check(
        locations.folder(uri, tools.cache, progress=tools.transfer),
        job.run.task,
        characters=_dictionary(job, tools.cache),
        plan=Plan.of(job.run),
        part=part,
        max_pixels=job.run.data.max_pixels,
        progress=tools.count,
    )


def _dictionary(job: TrainingJob, cache: Cache) -> Path | None:
    name = job.run.data.dictionary
    if job.run.task == "det" or name == "auto":
        return None
    if "://" in name:
        return locations.file(name, cache)
    # Free of paddle, although it is in the ppocr room.
    from trainer.ppocr import tree

    return tree.built_in_dictionary(name)


def _dataset(place: str, uri: str, found: Findings) -> Iterator[Finding]:
    unit = {"det": "pages", "rec": "lines"}[found.task]
    splits = ", ".join(f"{name} {count}" for name, count in found.splits.items() if count)
    yield Finding(
        "ok",
        f"{place}: {uri}: {found.form}; {found.images} images, {found.samples} usable {unit} ({splits}), "
        f"{len(found.problems)} refused, {found.ignored} ignored{_changed(found)}",
    )
    for problem in found.problems[:SHOWN]:
        yield Finding("warn", f"{place}: {problem.sentence}")
    if found.problems[SHOWN:]:
        yield Finding(
            "warn", f"{place}: {len(found.problems) - SHOWN} more problems; `ocrfleet data check {uri}` lists all"
        )
    if found.fatal:
        yield Finding("error", f"{place}: {found.fatal}", ExitCode.DATASET)


def _changed(found: Findings) -> str:
    """Return how many images are read other than they are stored, if any."""
    counts = ((found.turned, "turned by EXIF"), (found.laid_on_white, "laid on white"))
    return "".join(f", {count} {how}" for count, how in counts if count)


def _digest(job: TrainingJob, found: Findings) -> Iterator[Finding]:
    wanted = job.run.data.digest
    if wanted and wanted != found.digest:
        yield Finding(
            "error",
            f"run.data.digest is {wanted}, but the digest of the dataset is {found.digest}: it has changed",
            ExitCode.DATASET,
        )
    else:
        yield Finding("ok", f"run.data.digest: {found.digest}{'' if wanted else ' (not pinned)'}")


def _characters(found: Findings) -> str:
    return (
        f"{len(found.characters)} characters; the longest label has {found.max_text_length}: "
        f"{''.join(found.characters)}"
    )


def _counted(devices: int) -> str:
    return f"{devices} device{'' if devices == 1 else 's'}"


def _batch(job: TrainingJob, found: Findings) -> Iterator[Finding]:
    try:
        recipe = recipes.resolve(job.run)
    except SpecError:
        return  # said already
    per_device = recipe.config["Train"]["loader"]["batch_size_per_card"]
    devices = job.placement.nodes * job.placement.devices_per_node
    samples = found.splits["train"]
    require_batch(recipe.config, samples=samples, devices=devices)
    steps = samples / (per_device * devices)
    text = f"run.train.batchSizePerDevice: {per_device} × {_counted(devices)}, about {steps:.1f} steps per epoch"
    if steps < 1:
        yield Finding("warn", f"{text}. Use a smaller batch for so few samples")
    else:
        yield Finding("ok", text)
