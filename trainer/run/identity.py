"""The run id: `<name>-<h8>`, the same for the same work, in every release.

h8 hashes the `run` half of the job file, the image, the kind of device and the number of devices. The fields of `run`
that release 0.1 has enter with their value or their default. A field added later enters only when it is set, so that a
job file that does not use the field keeps its id, and a finished run is not trained again.

*Set* means different from the default. Writing the default out, writing null, and leaving the field out give the same
id. Values are compared in canonical JSON: 1 equals 1.0, the order of keys does not matter, the order of a list does. In
a later part with fields of its own, each field counts by itself; the part enters when one of them is set.

The chart computes the same id (`ocr.runId`). Its `identity.json`, which `docs/chart.py` generates from this module,
lists the fields to leave out.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic_core import to_jsonable_python

from trainer import contract
from trainer.formats.canonical_json import bare, canonical, digest
from trainer.run.spec import RunSpec, to_dict

FIRST: Final[Mapping[str, Any]] = {
    "task": None,
    "recipe": None,
    "config": None,
    "overrides": {},
    "data": {},
    "data.train": None,
    "data.eval": None,
    "data.split": "6:2:2",
    "data.dictionary": "auto",
    "data.maxRefused": {},
    "data.maxRefused.train": 0.01,
    "data.maxRefused.eval": 0.0,
    "data.digest": None,
    "init": {},
    "init.pretrained": None,
    "init.sha256": None,
    "init.student": None,
    "distill": {},
    "distill.networks": {},
    "distill.teacher": None,
    "distill.teacherSha256": None,
    "distill.teacherNetwork": None,
    "distill.randomTeacher": False,
    "distill.publish": None,
    "distill.fineTuneEpochs": None,
    "distill.baseline": None,
    "train": {},
    "train.epochs": None,
    "train.batchSizePerDevice": None,
    "train.scaleLearningRate": "none",
    "train.precision": "fp32",
    "train.seed": 42,
    "train.evaluateEvery": "1ep",
    "train.readers": None,
    "checkpoint": {},
    "checkpoint.every": "5m",
    "checkpoint.keep": 3,
    "gate": {},
    "gate.metric": None,
    "gate.minimum": None,
    "gate.notWorseThan": None,
    "gate.tolerance": 0.002,
    "output": None,
    "publish": {},
    "publish.formats": ["paddle"],
    "publish.weights": False,
    "publish.promote": None,
}
"""Frozen: the fields of `run` in release 0.1 and their defaults, `{}` for a part and None for no default.

These enter every id, set or not. A line added, removed or changed here changes ids of files that did not change.
"""

LATER: Final[Mapping[str, Any]] = {
    "checkpoint.onDamage": None,
    "data.maxPixels": None,
    "data.onChange": None,
    "train.deterministic": None,
}
"""The fields of `run` added since, in the same form, each with the default of its first release. Frozen when released.

Should a default change after all, a file that relied on the old one does other work now and gets another id.
"""

NO_IMAGE: Final = f"ocrfleet/trainer:{contract.VERSION}"
"""Hashed if the job file names no image, which only `ocrfleet run` accepts. No image is pulled by this name.

The version makes such a file a new run after an upgrade. The rest is what release 0.1 hashed, so that ids stay.
"""


def run_id(name: str, *, run: RunSpec, image: str | None, device: str, devices: int) -> str:
    """Return the id of a run, `<name>-<h8>`.

    Args:
        name: the job file's name.
        run: the `run` half.
        image: the trainer image; None: the job file names none, and the version counts instead.
        device: `gpu` or `cpu`.
        devices: nodes × devices a node.
    """
    content = {"run": _hashed(run), "image": image or NO_IMAGE, "device": device, "devices": devices}
    return f"{name}-{digest(content)[:8]}"


def only_when_set(cls: type[RunSpec] = RunSpec) -> list[tuple[str, Any]]:
    """Return the later fields that have a default, by path with that default; fields of a part before the part."""
    found = ((path, LATER.get(path, default)) for path, default in fields(cls) if path not in FIRST)
    return [(path, default) for path, default in found if default is not None]


def fields(cls: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and default of every field of a class. A part has `{}` and comes after its own fields."""
    for field in cls.__pydantic_fields__.values():
        path = f"{above}{field.alias}"
        if hasattr(field.annotation, "__pydantic_fields__"):
            yield from fields(field.annotation, f"{path}.")
            yield path, {}
        else:
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            yield path, to_jsonable_python(default)


def _hashed(run: RunSpec) -> dict[str, Any]:
    """Return the fields of a run that enter its id."""
    result: dict[str, Any] = bare(to_dict(run))
    for path, default in only_when_set(type(run)):
        *above, last = path.split(".")
        part = result
        for step in above:
            part = part[step]
        if last in part and canonical(part[last]) == canonical(default):
            del part[last]
    return result
