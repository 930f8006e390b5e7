"""The `run` half of the job file: what to train.

Frozen dataclasses; each field has its meaning, its unit and the reason for its default. The chart's
`values.schema.json` and the reference page of the job file are generated from these texts. The other
half, `placement`, is in `jobs/jobfile/placement.py`.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from trainer import contract
from trainer.errors import SpecError
from trainer.formats.canonical_json import LARGEST
from trainer.formats.urls import without_secrets
from trainer.formats.yaml import parse_yaml


def camel(name: str) -> str:
    """Spell a Python field name as Kubernetes does: `batch_size` → `batchSize`."""
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


STRICT: Final = ConfigDict(extra="forbid", alias_generator=camel, validate_by_alias=True)
"""How every class of the job file reads: camelCase names, unknown keys refused."""

_URI: Final = r"^(s3://[^/]+|file:///).*$"
_WEIGHTS: Final = r"^((s3://[^/]+|file:///).*|channel:[a-z]([-a-z0-9]*[a-z0-9])?)$"
_SHA256: Final = r"^[0-9a-f]{64}$"
_INTERVAL: Final = r"^[1-9][0-9]*(ep|steps|s|m|h)$"
_NAME: Final = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
# Three whole numbers, one of them above 0.
_SOME: Final = "[0-9]*[1-9][0-9]*"
_SPLIT: Final = rf"^({_SOME}:[0-9]+:[0-9]+|[0-9]+:{_SOME}:[0-9]+|[0-9]+:[0-9]+:{_SOME})$"


def _whole(value: object) -> object:
    if isinstance(value, str | bool):
        raise PydanticCustomError("whole", "write a whole number")
    if isinstance(value, int | float) and not abs(value) <= LARGEST:
        raise PydanticCustomError("whole", "write a whole number of at most 2^53")
    return value


WHOLE: Final = BeforeValidator(_whole)
"""Makes an `int` accept exactly what the chart's schema calls an integer. Must come last, after the limits.

To Helm all numbers are floats, so 2.0 is an integer; to pydantic it is, too.
"""
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Uri = Annotated[str, Field(pattern=_URI)]
Weights = Annotated[str, Field(pattern=_WEIGHTS)]
"""A `.pdparams` file, or `channel:NAME`: the weights published by that channel's run at `run.output`."""
Sha256 = Annotated[str, Field(pattern=_SHA256)]
Interval = Annotated[str, Field(pattern=_INTERVAL)]
"""Epochs, steps or time: `1ep`, `500steps`, `30s`, `5m`, `1h`."""
Name = Annotated[str, Field(pattern=_NAME, max_length=37)]

# What a user should write instead of the regular expression.
_IN_WORDS: Final = {
    _URI: "write a location that begins with s3:// or file:///",
    _WEIGHTS: "write a location that begins with s3:// or file:///, or channel: and the name of a channel",
    _SHA256: "write a sha256, 64 hex digits in lower case",
    _INTERVAL: "write epochs, steps or a time, such as 1ep, 500steps, 30s, 5m or 1h",
    _NAME: "write lower-case letters, digits and '-', beginning with a letter and not ending with '-'",
    _SPLIT: "write three whole numbers, one of them above 0, such as 6:2:2",
}


def spelled(pattern: str, words: str) -> Any:
    """Make a field with a pattern, and the words that a user sees instead of the regular expression."""
    _IN_WORDS[pattern] = words
    return Field(pattern=pattern)


def words_of(pattern: str) -> str | None:
    """Return the words that a user sees instead of a regular expression of the job file."""
    return _IN_WORDS.get(pattern)


_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}


def seconds(duration: str) -> int:
    """Read a duration such as `30s`, `5m` or `24h` as seconds."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MaxRefused:
    """Shares of the samples that may be refused; more ends the run. Samples marked as unreadable do not count."""

    train: Annotated[Number, Field(ge=0, le=1)] = 0.01
    """Of the training samples. 1 % allows a few labelling slips; more suggests a dataset that was copied in part."""

    eval: Annotated[Number, Field(ge=0, le=1)] = 0.0
    """Of the evaluation samples, and of the test samples. 0: a metric without the hard samples is worth little."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Data:
    """Where the labelled images are, and how they are divided."""

    train: Uri
    """A PPOCRLabel export or PaddleOCR label files; the format is recognised by content."""

    eval: Uri | None = None
    """A second dataset to evaluate on. Unset: a part of `train` is set aside for that, see `split`."""

    split: Annotated[str, Field(pattern=_SPLIT)] = "6:2:2"
    """Shares train:eval:test of `train`, by image; 6:2:2 is PaddleOCR's own.

    An image stays in its split when others are added.
    """

    dictionary: str = "auto"
    """Characters that the recogniser knows: `auto` (from the labels), a built-in dictionary such as `en_dict` or
    `ppocr/utils/dict/en_dict.txt`, or the URI of a file with one character per line.
    """

    max_refused: MaxRefused = Field(default_factory=MaxRefused)
    """How much of the dataset may be unusable: missing or broken images, labels that cannot be learnt."""

    digest: Sha256 | None = None
    """Digest of the dataset, as `ocrfleet data check` prints it; other data is refused. Unset: any content."""

    max_pixels: Annotated[int, Field(ge=1), WHOLE] | None = None
    """Width × height of the largest image; a larger one is refused before it is decoded. Unset: 600 million.

    That is above an A0 sheet at 600 dpi, 19,866 × 28,087 = 558 million pixels, so that no scanner meets it. Decoded, it
    takes 1.8 GB, which a PNG of some kB can claim.
    """

    on_change: Literal["fail", "restart"] | None = None
    """What happens when a run resumes and its data are no longer those of its checkpoint. `fail`: the run ends with 41.
    `restart`: it starts again from step 0 with the new data. Unset: `fail`.
    """


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Init:
    """Weights to start from."""

    pretrained: Weights | None = None
    """Weights of a whole model or of a backbone: a `.pdparams` file or `channel:NAME`. Unset: random weights."""

    sha256: Sha256 | None = None
    """Digest of `pretrained`. Required with a file: it is a pickle, and a pickle can run code. For a channel, the
    manifest has the digest."""

    student: str | None = None
    """The network to take from a file of several networks, such as `Student`. Unset: the file holds one network."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Distill:
    """How networks teach each other. Only for recipes of several networks; `ocrfleet recipes` marks them."""

    networks: Mapping[str, str] = Field(default_factory=dict)
    """Networks to add to the recipe's, or to replace: a name, and what it is built as. That is another network of the
    run (`Student2: Student`) or a recipe (`Student: det-pp-ocrv3-student`). Losses and metrics follow automatically.
    """

    teacher: Weights | None = None
    """Weights of the network `Teacher`: a `.pdparams` file or `channel:NAME`. A frozen teacher needs them."""

    teacher_sha256: Sha256 | None = None
    """Digest of `teacher`. Required with a file, as `run.init.sha256` is."""

    teacher_network: str | None = None
    """The network to take from the file of `teacher`, if it holds several. Unset: the file holds one network."""

    random_teacher: Flag = False
    """Let a frozen teacher keep random weights. It teaches nothing; only for trying out a job file."""

    publish: str | None = None
    """The network to publish. Unset: of those that learn, the best by the main metric, or the first of equals."""

    fine_tune_epochs: Annotated[int, Field(ge=1), WHOLE] | None = None
    """Epochs to train the picked network alone afterwards, without its teachers. Unset: none."""

    baseline: str | None = None
    """The same student trained without a teacher, to report the gain: `channel:NAME`, or the id of a published run."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Train:
    """How long and how hard to train. Unset fields come from the recipe."""

    epochs: Annotated[int, Field(ge=1), WHOLE] | None = None
    """Passes over the training samples. Unset: the recipe's number."""

    batch_size_per_device: Annotated[int, Field(ge=1), WHOLE] | None = None
    """Samples per device in one step. Unset: the recipe's number."""

    scale_learning_rate: Literal["linear", "sqrt", "none"] = "none"
    """How the learning rate scales with the global batch, relative to the batch that the recipe was tuned for.

    `none`: the rate is used exactly as written.
    """

    precision: Literal["fp32", "tf32", "fp16", "bf16", "auto"] = "fp32"
    """Number format of the forward pass. `fp32` works on any device, without TF32. `tf32`: fp32, but the factors of
    products are rounded to TF32, which is faster on GPUs since Ampere. `auto`: bf16 if the GPU supports it, else fp16;
    fp32 on a CPU. The trained model is evaluated and verified in fp32 without TF32.
    """

    seed: Annotated[int, Field(ge=0, lt=2**31), WHOLE] = 42
    """Seeds weights, shuffles, augmentation and the split."""

    deterministic: Flag | None = None
    """Whether a GPU uses only algorithms that give the same bits each time; they are slower. Unset: false. A CPU always
    does.
    """

    evaluate_every: Interval = "1ep"
    """How often to evaluate on the evaluation split, in epochs or steps; the best model is kept."""

    readers: Annotated[int, Field(ge=0, le=64), WHOLE] | None = None
    """Reader processes per device, started once for a whole training. Unset: 0 on CPU, where training itself uses the
    cores; on GPU one for each core that the node has for the device, at most 64, and no more than /dev/shm holds the
    batches of. A number whose batches cannot fit into /dev/shm ends the run with 40, with the size that they need.
    """


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Checkpoint:
    """When the training state is saved and pushed to the bucket."""

    every: Interval = "5m"
    """How often to save, by time, steps or epochs. 5 minutes: the most that a preemption should cost."""

    keep: Annotated[int, Field(ge=2), WHOLE] = 3
    """How many checkpoints to keep. At least 2: the newest may be only partly uploaded."""

    on_damage: Literal["fail", "restart"] | None = None
    """What happens when no checkpoint is whole, but damaged ones exist. `fail`: the run ends with 40. `restart`: it
    starts again from step 0. A damaged checkpoint next to a whole one is passed over in any case. Unset: `fail`.
    """


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Gate:
    """What a model must reach on the test split before it is published."""

    metric: Literal["hmean", "precision", "recall", "acc", "norm_edit_dis"] | None = None
    """Unset: hmean for det, acc for rec."""

    minimum: Annotated[Number, Field(ge=0, le=1)] | None = None
    """The lowest value that is published. Unset: any value above 0, since a model with 0 reads nothing. Write 0 to
    publish that, too."""

    not_worse_than: str | None = None
    """A channel. The new model must be at least as good as the one there. Unset: no comparison."""

    tolerance: Annotated[Number, Field(ge=0, le=1)] = 0.002
    """How far below the channel's model still passes. Test splits of a few hundred samples vary by more."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Publish:
    """What is published in addition to the manifest, the record and the report."""

    formats: tuple[Literal["paddle"], ...] = ("paddle",)
    """`paddle`: inference.json, inference.pdiparams and inference.yml."""

    weights: Flag = False
    """Also publish the trained weights (.pdparams), for fine-tuning later."""

    promote: Name | None = None
    """The channel to point at the model once it is published. Unset: none."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunSpec:
    """What to train: everything that makes one model differ from another."""

    task: Literal["det", "rec"]
    """`det`: find the lines of a page. `rec`: read one line."""

    recipe: str | None = None
    """A built-in recipe; `ocrfleet recipes` lists them. Set this or `config`."""

    config: Mapping[str, Any] | None = None
    """A whole PaddleOCR configuration, instead of a recipe."""

    overrides: Mapping[str, Any] = Field(default_factory=dict)
    """Any key of the PaddleOCR configuration by its dotted name, such as `Optimizer.lr.learning_rate: 0.001`."""

    data: Data
    """Where the labelled images are."""

    init: Init = Field(default_factory=Init)
    """Weights to start from."""

    distill: Distill = Field(default_factory=Distill)
    """How networks teach each other; only for recipes of several networks."""

    train: Train = Field(default_factory=Train)
    """How long and how hard to train."""

    checkpoint: Checkpoint = Field(default_factory=Checkpoint)
    """When the training state is saved."""

    gate: Gate = Field(default_factory=Gate)
    """What a model must reach to be published."""

    output: Uri
    """Where checkpoints and published models go; one location for each name."""

    publish: Publish = Field(default_factory=Publish)
    """What is published."""

    def __post_init__(self) -> None:
        """Check the rules over several fields; see the messages."""
        if (self.recipe is None) == (self.config is None):
            raise ValueError("run needs one of `recipe` and `config`, and not both")
        _pinned(self.init.pretrained, self.init.sha256, "run.init.sha256")
        _pinned(self.distill.teacher, self.distill.teacher_sha256, "run.distill.teacherSha256")
        if self.distill.teacher and self.distill.random_teacher:
            raise ValueError("run.distill has both teacher and randomTeacher: choose one")
        wanted = {"det": {"hmean", "precision", "recall"}, "rec": {"acc", "norm_edit_dis"}}[self.task]
        if self.gate.metric and self.gate.metric not in wanted:
            raise ValueError(
                f"run.gate.metric is {self.gate.metric!r}, but a {self.task} run has {', '.join(sorted(wanted))}"
            )

    @property
    def main_metric(self) -> str:
        """The metric that selects the best model and that the gate checks."""
        return self.gate.metric or {"det": "hmean", "rec": "acc"}[self.task]


def _pinned(weights: str | None, sha256: str | None, field: str) -> None:
    if weights and not weights.startswith("channel:") and not sha256:
        raise ValueError(
            f"{field} is missing: a .pdparams file is a pickle, so it is read only with its digest "
            "(`sha256sum FILE` prints it)"
        )


T = TypeVar("T")


Written = Callable[[Sequence[str | int], object], str]
"""Returns how a value is written at a place of the file."""


def _as_json(place: Sequence[str | int], value: object) -> str:
    return json.dumps(value)


def not_a_string(place: str, text: str) -> str:
    """Return the sentence about a value that YAML takes for a number, a boolean or null where a string is required."""
    if not text:
        return f'{place} has no value: write a string, or "" for an empty one.'
    return f'{place} is {text}, which YAML does not read as a string: put it in quotes, "{text}".'


def from_dict(cls: type[T], raw: object, *, where: str, written: Written = _as_json) -> T:
    """Make an instance of a job-file class from parsed YAML.

    Args:
        cls: `RunSpec` or any class of the job file.
        raw: the parsed YAML.
        where: the place of `raw` in the file, such as `run`; messages name fields relative to it.
        written: for messages about values that YAML reads as another type.

    Raises:
        SpecError: one sentence per fault, with its place and the nearest known name.
    """
    try:
        return TypeAdapter(cls).validate_python(raw)
    except ValidationError as error:
        lines = [_sentence(cls, where, dict(e), written) for e in error.errors()]
        raise SpecError("\n".join(lines)) from error


def to_dict(value: object) -> dict[str, Any]:
    """Return an instance as in the job file: camelCase, with every default."""
    result: dict[str, Any] = TypeAdapter(type(value)).dump_python(value, by_alias=True, mode="json")
    return result


def nearest(word: str, known: list[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known word, or the list of known words."""
    close = difflib.get_close_matches(word, known, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else f" Use one of: {', '.join(sorted(known))}."


def read_run(path: Path) -> tuple[str, RunSpec]:
    """Read a node's `run.yaml`: the job's name and its `run` half.

    Raises:
        SpecError: the file is not YAML, or has a version that this code does not know.
    """
    raw = parse_yaml(path.read_text("utf-8"), source=str(path))
    if raw.get("apiVersion") != contract.API_VERSION:
        raise SpecError(
            f"{path}: apiVersion is {raw.get('apiVersion')!r}, but this trainer reads {contract.API_VERSION!r}. "
            "Use a trainer image of the same version as the chart or the command line."
        )
    return str(raw["name"]), from_dict(RunSpec, raw["run"], where="run")


def _fields(cls: object) -> dict[str, FieldInfo]:
    fields: dict[str, FieldInfo] = getattr(cls, "__pydantic_fields__", {})
    return fields


def _sentence(cls: object, where: str, error: dict[str, Any], written: Written) -> str:
    """Turn one of pydantic's errors into a sentence with its place and what to write instead."""
    steps = [part for part in error["loc"] if not str(part).startswith(("constrained-", "function-", "[key]"))]
    place = ".".join([where, *(str(part) for part in steps)]).strip(".")
    owner: object = cls
    for part in steps[:-1]:
        field = next((f for n, f in _fields(owner).items() if camel(n) == part), None)
        annotation = field.annotation if field else None
        # `Schedule | None` has the fields of Schedule.
        owner = next((choice for choice in get_args(annotation) if _fields(choice)), annotation)
    value = without_secrets(error["input"]) if isinstance(error["input"], str) else error["input"]
    match error["type"]:
        case "unexpected_keyword_argument":
            return f"{place} is not a field.{nearest(str(steps[-1]), [camel(n) for n in _fields(owner)])}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{place} is missing."
        case "value_error":
            return f"{error['ctx']['error']}."
        case "mapping_type" | "dict_type" if place == "run.config" and isinstance(error["input"], str):
            return "run.config takes the YAML itself, not a path. Paste it under `config:`."
        case "dataclass_type" | "dataclass_exact_type" | "mapping_type" | "dict_type":
            return f"{place} is {value!r}: write a mapping."
        case "string_type" if not isinstance(error["input"], dict | list):
            return not_a_string(place, written(steps, error["input"]))
        case "tuple_type":
            return f"{place} is {value!r}: write a list."
    pattern = error.get("ctx", {}).get("pattern")
    message = _IN_WORDS.get(pattern) or str(error["msg"])
    message = message[:1].lower() + message[1:]
    return f"{place} is {value!r}: {message}."
