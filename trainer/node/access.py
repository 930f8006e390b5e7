"""What a run needs of the outside, proven in seconds: for `helm test`, by a pod with the run's credentials and way out.

Nothing is fetched and nothing stays written; a probe comes and goes beside the run's checkpoints.
"""

from collections.abc import Iterator
from pathlib import Path

from trainer.errors import DatasetError, NotFoundError, SpecError
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.storage import NoBucketError, open_store, split_uri
from trainer.weights import origins


def prove(run_file: Path) -> Iterator[str]:
    """Reach every location that a run.yaml names, and say what was found there, a sentence each.

    Raises:
        SpecError: the file or a location in it is wrong.
        DatasetError: a dataset's location is empty.
        AccessError: what the run must do is refused.
        TransientError: the object store does not answer.
    """
    name, run = runspec.read_run(run_file)
    yield f"run.yaml of {name} is read."
    for field, uri in (("train", run.data.train), ("eval", run.data.eval)):
        if uri:
            yield _dataset(f"run.data.{field}", uri)
    if "://" in run.data.dictionary:
        yield _file("run.data.dictionary", run.data.dictionary)
    for given in origins.wanted(run):
        yield _file(given.field, origins.find(run, given).uri)
    yield _output(run)


def _dataset(place: str, uri: str) -> str:
    store = open_store(uri)
    found = store.first()
    if found is None:
        raise DatasetError(
            f"{place} is {uri!r}, and there is no object under it. Check the location, or push a dataset there first."
        )
    store.stat([found.key])  # whoever may list need not be allowed to read
    return f"{place}: {uri} can be listed and read."


def _file(place: str, uri: str) -> str:
    folder, name = split_uri(uri)
    try:
        (found,) = open_store(folder).stat([name])
    except NoBucketError:
        raise
    except NotFoundError as error:
        raise NotFoundError(f"{place} is {uri!r}, and there is no such object. Check the location.") from error
    return f"{place}: {uri} can be read, {found.size:,} bytes."


def _output(run: RunSpec) -> str:
    # Beside the checkpoints: a role may be kept from channels/, and what is under runs/ is looked at by others.
    if open_store(run.output).below("checkpoints").conditional_writes():
        return f"run.output: {run.output} can be written, and honours If-None-Match and If-Match."
    if run.publish.promote:
        raise SpecError(
            f"run.publish.promote is {run.publish.promote!r}, but {run.output!r} does not honour conditional writes. "
            "Leave the channel out, and promote with `ocrfleet models promote --single-writer`."
        )
    return (
        f"run.output: {run.output} can be written, but does not honour If-None-Match and If-Match: see to it that one "
        "object of this run is there at a time."
    )
