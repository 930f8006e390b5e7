"""What is wrong with a location of the job file, in one wording for fetch, publish and the proof of access."""

from collections.abc import Iterator
from contextlib import contextmanager

from trainer.errors import DatasetError, NotFoundError, SpecError
from trainer.run.spec import RunSpec
from trainer.storage import NoBucketError


def no_objects(field: str, uri: str) -> DatasetError:
    """Return the error for a dataset's location that holds nothing."""
    return DatasetError(
        f"{field} is {uri!r}, but there are no objects there. Check the location, or upload a dataset first."
    )


@contextmanager
def named(field: str, uri: str) -> Iterator[None]:
    """Name the field of the job file whose object does not exist; a missing bucket names itself."""
    try:
        yield
    except NoBucketError:
        raise
    except NotFoundError as error:
        raise NotFoundError(f"{field} is {uri!r}, but that object does not exist. Check the location.") from error


def no_conditional_writes(run: RunSpec) -> SpecError:
    """Return the error for a run that promotes in a store where two writers could both win the channel."""
    return SpecError(
        f"run.publish.promote is {run.publish.promote!r}, but {run.output!r} does not support conditional writes. "
        "Remove run.publish.promote, and promote with `ocrfleet models promote --single-writer`."
    )
