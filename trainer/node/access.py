"""Checks in seconds that a run can reach its data and its bucket: for `helm test`, with the run's credentials.

Nothing is downloaded, and nothing stays written but for a moment a probe next to the run's checkpoints.
"""

from collections.abc import Iterator
from pathlib import Path

from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.stages import locations
from trainer.storage import open_store, split_uri
from trainer.weights import origins


def prove(run_file: Path) -> Iterator[str]:
    """Access every location that a run.yaml names, and report each in a sentence.

    Raises:
        SpecError: the file or a location in it is wrong.
        DatasetError: a dataset's location is empty.
        AccessError: what the run must do is refused.
        TransientError: the object store does not answer.
    """
    name, run = runspec.read_run(run_file)
    yield f"run.yaml of {name} is valid."
    for field, uri in (("train", run.data.train), ("eval", run.data.eval)):
        if uri:
            yield _dataset(f"run.data.{field}", uri)
    if "://" in run.data.dictionary:
        yield _file("run.data.dictionary", run.data.dictionary)
    for weights in origins.wanted(run):
        yield _file(weights.field, origins.find(run, weights).uri)
    yield _output(run)


def _dataset(place: str, uri: str) -> str:
    store = open_store(uri)
    info = store.first()
    if info is None:
        raise locations.no_objects(place, uri)
    store.stat([info.key])  # permission to list does not imply permission to read
    return f"{place}: {uri} can be listed and read."


def _file(place: str, uri: str) -> str:
    folder, name = split_uri(uri)
    with locations.named(place, uri):
        (info,) = open_store(folder).stat([name])
    return f"{place}: {uri} can be read, {info.size:,} bytes."


def _output(run: RunSpec) -> str:
    # Next to the checkpoints: a role may lack access to channels/, and other programs read runs/.
    if open_store(run.output).below("checkpoints").conditional_writes():
        return f"run.output: {run.output} is writable and supports the conditional writes that channels need."
    if run.publish.promote:
        raise locations.no_conditional_writes(run)
    return (
        f"run.output: {run.output} is writable, but does not support conditional writes. Make sure that only one "
        "object of this run exists at a time."
    )
