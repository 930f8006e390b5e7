"""A job file as written, with `--set` applied, unchecked.

Nothing here knows the fields, so a file can be read without the model of `jobs/jobfile/model.py`, which takes a
tenth of a second to import.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jobs.jobfile.overrides import apply
from trainer import contract
from trainer.errors import SpecError
from trainer.formats.yaml import parse_yaml, written

STDIN: Final = Path("-")

MAX_BYTES: Final = 1_000_000
"""The largest job file. A run's whole configuration has about 10 kB; etcd stores objects of at most 1.5 MB."""


class Fields(dict[str, Any]):
    """The fields of a job file."""

    text: str = ""
    """The file, for messages that show what is written there."""


def written_in(raw: Mapping[str, Any], place: Sequence[str | int], value: object) -> str:
    """Return how a number, a boolean or null is written in a job file, or how YAML writes it if that is unknown."""
    text = written(raw.text, place, value) if isinstance(raw, Fields) and raw.text else None
    usual = "" if value is None else json.dumps(value)
    return usual if text is None else text


def read(source: Path | str, *, sets: Sequence[str] = ()) -> "Fields":
    """Read a job file.

    Args:
        source: a path, `-` for standard input; or the text itself.
        sets: `--set` options, such as `run.train.epochs=3`, applied in their order.

    Raises:
        SpecError: it cannot be read, is not YAML that Helm reads the same, or has another version.
    """
    if source == STDIN:
        source = sys.stdin.read(MAX_BYTES + 1)
        if len(source) > MAX_BYTES:
            raise _too_large("Standard input")
    name = str(source) if isinstance(source, Path) else "job file"
    text = _content(source) if isinstance(source, Path) else source
    found = parse_yaml(text, source=name)
    if not isinstance(found, dict):
        raise SpecError(f"{name} is not a job file: a job file begins with `apiVersion: {contract.API_VERSION}`.")
    raw = Fields(found)
    raw.text = text
    for override in sets:
        apply(raw, override)
    version = raw.get("apiVersion")
    if version != contract.API_VERSION:
        what = "is missing" if version is None else f"is {version!r}, which this version of ocrfleet does not know"
        raise SpecError(f"{name}: apiVersion {what}. Write {contract.API_VERSION!r}.")
    return raw


def engine_named(raw: Mapping[str, Any]) -> str:
    """Return the engine that a job file names, else the usual one. Whether the engine exists is checked elsewhere."""
    placement = raw.get("placement")
    engine = placement.get("engine") if isinstance(placement, dict) else None
    return engine if isinstance(engine, str) else USUAL


def with_engine(raw: Mapping[str, Any], engine: str) -> dict[str, Any]:
    """Return the same fields with another engine."""
    changed = Fields({**raw, "placement": {**raw.get("placement", {}), "engine": engine}})
    changed.text = raw.text if isinstance(raw, Fields) else ""
    return changed


def without_auto(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the same fields, with the usual engine in place of `auto`: only a cluster can choose another."""
    return with_engine(raw, USUAL) if engine_named(raw) == "auto" else raw


USUAL: Final = "job"
"""The engine of a job file that names none."""


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _too_large(path)
        return content.decode("utf-8")
    except FileNotFoundError as error:
        raise SpecError(
            f"{path} does not exist. `ocrfleet init NAME --recipe R -f {path}` writes a new job file."
        ) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not UTF-8 text: byte {error.start} cannot be read. Save it as UTF-8.") from error
    except OSError as error:
        raise SpecError(f"{path} cannot be read: {error.strerror}.") from error


def _too_large(source: object) -> SpecError:
    return SpecError(f"{source} is larger than {MAX_BYTES:,} bytes, too large for a job file.")
