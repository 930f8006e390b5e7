"""Names of models on the command line, and their download.

inference/                                          a folder of this machine
s3://ocr-models/slips-rec/                          the newest run that is published there
s3://ocr-models/slips-rec@production                the run that the channel points to
s3://ocr-models/slips-rec#slips-rec-1a2b3c4d        that run
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.models.cache import Cache
from trainer.errors import NotFoundError, SpecError
from trainer.registry import models as registry
from trainer.storage import open_store
from trainer.telemetry.callbacks import OnProgress

# '@' and '#' name a channel or a run at the end only: a folder's own name may have them, too.
_FORM: Final = re.compile(r"(?P<output>(?:s3|file)://(?:[^@#]|[@#](?=.*/))*?)/*(?:[@#](?P<which>[a-z][-a-z0-9]*))?")


@dataclass(frozen=True)
class Published:
    """The name of a published model: location and run."""

    output: str
    """A job's `run.output`."""

    which: str | None = None
    """A run or a channel. None: the newest run."""

    def run(self) -> str:
        """Look up the run in the bucket.

        Raises:
            NotFoundError: there is none.
        """
        store = open_store(self.output)
        if self.which:
            return registry.show(store, self.which).run
        models = registry.list_models(store)
        if not models:
            raise NotFoundError(f"No model is published at {self.output!r}.")
        return models[-1].run


def parse(text: str) -> Published:
    """Parse the name of a published model.

    Raises:
        SpecError: it is not such a name.
    """
    match = _FORM.fullmatch(text)
    if not match:
        raise SpecError(
            f"{text!r} does not name a published model. Write s3://BUCKET/PREFIX for the newest run, "
            "s3://BUCKET/PREFIX@CHANNEL or s3://BUCKET/PREFIX#RUN; file:///FOLDER works the same way."
        )
    return Published(match["output"], match["which"])


def fetch(text: str, cache: Cache, *, progress: OnProgress | None = None) -> Path:
    """Download a model, and return the folder of its export.

    Args:
        text: the model's name: a folder, or a published model.
        cache: where it is kept. What is published never changes, so what is there is not fetched again.
        progress: told of bytes.

    Raises:
        NotFoundError: there is no such model.
    """
    if "://" not in text:
        return _local(Path(text))
    published = parse(text)
    run = published.run()
    folder = cache.model(published.output, run)
    folder.mkdir(parents=True, exist_ok=True)
    registry.pull(open_store(published.output), run, folder, progress, parts=["inference"])
    return folder / "inference"


def _local(given: Path) -> Path:
    # A folder that `models pull` made has the export in `inference`.
    for folder in (given, given / "inference"):
        if any((folder / name).is_file() for name in ("inference.json", "inference.pdmodel")):
            return folder
    raise NotFoundError(
        f"'{given}' is neither a folder with inference.json or inference.pdmodel nor an s3:// or file:// location."
    )
