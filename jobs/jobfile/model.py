"""The job file: YAML ⇄ `TrainingJob`.

`load` is the one border where YAML becomes dataclasses; `--set` is applied before it, so an override is
checked like the file. All faults are reported at once.
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field
from pydantic.dataclasses import dataclass

from jobs.jobfile import text as jobtext
from jobs.jobfile.placement import Notify, Placement, Schedule
from jobs.jobfile.platform import Chart
from trainer.formats.yaml import to_yaml
from trainer.run.spec import STRICT, Name, RunSpec, from_dict, to_dict


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TrainingJob:
    """One job file: what to train, and where."""

    api_version: Literal["ocrfleet.io/v1"]
    """The version of this format. A trainer refuses versions that it does not know."""

    name: Name
    """The job's name, at most 37 characters in lower case. Names of runs, metrics and objects begin with it."""

    run: RunSpec
    """What to train. Two files with the same `run` train the same model."""

    placement: Placement = Field(default_factory=Placement)
    """Where the run goes and how big it is."""

    notify: Notify = Field(default_factory=Notify)
    """Notification at the end of a run. Not available yet: `check` and `render` refuse it."""

    schedule: Schedule = Field(default_factory=Schedule)
    """Scheduled training. Not available yet: `check` and `render` refuse `cron`."""

    chart: Chart = Field(default_factory=Chart)
    """Settings that a platform team makes once for its clusters. Only the chart reads them."""

    def __post_init__(self) -> None:
        """Refuse two kinds of credentials, and names that are taken or too long."""
        if self.placement.credentials_secret and self.chart.identity.preset != "none":
            raise ValueError(
                "the job has placement.credentialsSecret and chart.identity: the secret would hide the identity; "
                "choose one"
            )
        account = self.chart.service_account
        if account.create and not self.placement.service_account and (account.name or self.name) == "default":
            raise ValueError(
                "the ServiceAccount would be named default, and every namespace already has one of that name: choose "
                "another name, or set chart.serviceAccount.create: false"
            )
        # JobSet wants -<8>-<4>-node-0-<node>-<5> to fit behind the name into 63.
        longest = 35 - len(str(self.placement.nodes - 1))
        if self.placement.engine in ("jobset", "trainjob") and len(self.name) > longest:
            raise ValueError(
                f"name has {len(self.name)} characters: with placement.engine {self.placement.engine} and "
                f"{self.placement.nodes} nodes it may have at most {longest}, since JobSet appends to it"
            )


def load(source: Path | str, *, sets: Sequence[str] = ()) -> TrainingJob:
    """Read a job file.

    Args:
        source: a path, `-` for standard input; or the text itself.
        sets: `--set` options, such as `run.train.epochs=3`, applied in their order.

    Raises:
        SpecError: one line for each fault, with its place.
    """
    return from_raw(jobtext.read(source, sets=sets))


def from_raw(raw: Mapping[str, Any]) -> TrainingJob:
    """Return the job of a file's fields.

    Raises:
        SpecError: one line for each fault, with its place.
    """
    written = functools.partial(jobtext.written_in, raw)
    return from_dict(TrainingJob, _without_nulls(TrainingJob, raw), where="", written=written)


def dump(job: TrainingJob) -> str:
    """Write a job as YAML with every default; `load` gives the same job back."""
    return to_yaml(as_dict(job))


def as_dict(job: TrainingJob) -> dict[str, Any]:
    """Return a job as in the job file, with every default and without unset fields."""
    result: dict[str, Any] = _without_nulls(TrainingJob, to_dict(job))
    return result


def _without_nulls(cls: Any, raw: Any) -> Any:
    """Drop keys without a value, so that `eval:` means what leaving it out means, as in Helm.

    Only fields are dropped: a null inside `config` or `overrides` is PaddleOCR's own word, and an unknown
    key must still be refused.
    """
    classes = _classes(cls)
    if classes is not None and isinstance(raw, list):
        return [_without_nulls(cls, item) for item in raw]
    if classes is None or not isinstance(raw, dict):
        return raw
    return {
        key: _without_nulls(classes.get(key), value)
        for key, value in raw.items()
        if value is not None or key not in classes
    }


@functools.cache
def _classes(cls: Any) -> dict[str, Any] | None:
    """Return the fields of a job-file class with the classes of their values; None for other classes."""
    fields = getattr(cls, "__pydantic_fields__", None)
    return fields and {field.alias: _class_of(field.annotation) for field in fields.values()}


def _class_of(annotation: Any) -> Any:
    """Return the job-file class in an annotation, or of the items of a list."""
    return next((c for c in (annotation, *get_args(annotation)) if hasattr(c, "__pydantic_fields__")), None)
