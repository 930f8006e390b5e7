"""Which weights a job file means: `run.init.pretrained` and `run.distill.teacher`, as a file or by a channel.

A file is pinned by the job file. A channel moves, and a run must not: the first node of a run that follows a channel
notes beside the run's checkpoints which run it led to, if nobody has; every node, every later attempt and every object
of that run takes the noted one. So two nodes agree whenever each has looked, for as long as the run's part of the
bucket is there. It stands on one writer winning, so a store without conditional writes has no weights by channel. The
note names a run only: file and digest come from that run's manifest, which is written once.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from trainer.errors import AccessError, ConflictError, NotFoundError, SpecError
from trainer.formats import typed_json
from trainer.registry import channels, manifests
from trainer.registry.manifests import Manifest, Name
from trainer.run.spec import RunSpec
from trainer.run.workdir import WorkDir
from trainer.storage import Store, join_uri, open_store
from trainer.weights.facts import Origin

_CHANNEL: Final = "channel:"
_PUBLISHED: Final = re.compile(r"(?P<output>.+)/runs/(?P<run>[^/]+)/(?P<path>[0-9]+/weights/model\.pdparams)")
"""The location of weights that a run of ours has published."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Weights that a job file names."""

    field: str
    """Where it names them: `run.init.pretrained` or `run.distill.teacher`."""

    weights: str
    """What it says: a location, or `channel:NAME`."""

    pin: str
    """The field with the digest of a file."""

    sha256: str | None
    """The digest of a file; None for a channel."""

    name: str
    """`pretrained` or `teacher`: names the note."""

    @property
    def channel(self) -> str | None:
        """The channel's name; None for a file."""
        return self.weights.removeprefix(_CHANNEL) if self.weights.startswith(_CHANNEL) else None

    def places(self, work: WorkDir) -> tuple[Path, Path]:
        """Return the paths of the weights and of their facts."""
        if self.name == "teacher":
            return work.teacher, work.teacher_facts
        return work.pretrained, work.pretrained_facts


def wanted(run: RunSpec) -> Iterator[Wanted]:
    """Yield the weights that a run names."""
    init, distill = run.init, run.distill
    if init.pretrained:
        yield Wanted(
            field="run.init.pretrained",
            weights=init.pretrained,
            pin="run.init.sha256",
            sha256=init.sha256,
            name="pretrained",
        )
    if distill.teacher:
        yield Wanted(
            field="run.distill.teacher",
            weights=distill.teacher,
            pin="run.distill.teacherSha256",
            sha256=distill.teacher_sha256,
            name="teacher",
        )


def find(run: RunSpec, given: Wanted, *, notes: Store | None = None) -> Origin:
    """Return the file that the weights are.

    Args:
        run: whose.
        given: what its job file says.
        notes: the store at `<output>/checkpoints/<run>`, which remembers where a channel led. None: the channel is
            followed as it is now.

    Raises:
        SpecError: the channel's run is of another task, or has no weights, or nothing remembers where it led.
        NotFoundError: there is no such channel.
    """
    if given.channel is None:
        assert given.sha256
        return _of_file(given.weights, given.sha256)
    noted = _noted(given, notes) if notes else None
    if noted is None:
        # Before it is noted: a channel that leads to something else can still be set right.
        origin = _of_run(run, given, _led_to(run, given))
        if notes is None:
            return origin
        noted = _note(given, notes, str(origin.run))
    return _of_run(run, given, noted)


def _led_to(run: RunSpec, given: Wanted) -> str:
    assert given.channel
    found = channels.find(open_store(run.output), given.channel)
    if found is None:
        raise NotFoundError(
            f"{given.field} is {given.weights!r}, but {run.output} has no channel {given.channel!r}. Channels are "
            f"looked up under run.output. Promote {'a teacher' if given.name == 'teacher' else 'a run'} there with "
            f"`ocrfleet models promote`, or give a file and its sha256 ({given.pin}): `ocrfleet models show` prints "
            "both."
        )
    return found.run


def _of_run(run: RunSpec, given: Wanted, run_id: str) -> Origin:
    manifest = manifests.read(open_store(run.output), run_id)
    if manifest.task != run.task:
        raise SpecError(
            f"{given.field} is {given.weights!r}, whose run {run_id} has task {manifest.task!r}, but this run has task "
            f"{run.task!r}. Name a channel of the same task."
        )
    origin = _in_manifest(manifest, output=run.output)
    if origin is None:
        raise SpecError(
            f"{given.field} is {given.weights!r}, but its run {run_id} was published without weights. Name a run "
            "that was trained with run.publish.weights: true."
        )
    return origin


def _of_file(uri: str, sha256: str) -> Origin:
    """Return what is known of a file; if one of our runs published it, its manifest says more."""
    plain = Origin(uri=uri, sha256=sha256)
    match = _PUBLISHED.fullmatch(uri)
    if not match:
        return plain
    try:
        manifest = manifests.find(open_store(match["output"]), match["run"])
    except (NotFoundError, AccessError):
        # The digest decides what is read; without the manifest its dictionary is not known, and that is all.
        return plain
    known = _in_manifest(manifest, output=match["output"]) if manifest else None
    return known if known and (known.uri, known.sha256) == (uri, sha256) else plain


def _in_manifest(manifest: Manifest, *, output: str) -> Origin | None:
    """Return the weights of a published run; None when it has published none."""
    files = {file.name: file for file in manifest.files}
    weights, dictionary = files.get("weights/model.pdparams"), files.get("weights/dictionary.txt")
    if weights is None:
        return None
    return Origin(
        uri=join_uri(output, "runs", manifest.run, weights.path),
        sha256=weights.sha256,
        run=manifest.run,
        dictionary=dictionary.sha256 if dictionary else None,
    )


def _noted(given: Wanted, notes: Store) -> str | None:
    key = f"weights/{given.name}.json"
    found = notes.find(key)
    if found is None:
        return None
    try:
        return typed_json.decode(found[0], _Note).run
    except ValueError as error:
        raise SpecError(f"{notes.uri}{key} is not a note of ocrfleet ({error}). Remove it and run again.") from error


class _Note(msgspec.Struct):
    run: Name


def _note(given: Wanted, notes: Store, run_id: str) -> str:
    """Record where a channel led, unless that is recorded already; return the recorded run."""
    if not notes.conditional_writes():
        raise SpecError(
            f"{given.field} is {given.weights!r}, but {notes.uri} does not support conditional writes, so two nodes "
            f"could use different files when the channel moves. Give a file and its sha256 ({given.pin}): "
            "`ocrfleet models show` prints both."
        )
    note = json.dumps({"channel": given.channel, "run": run_id}).encode()
    try:
        notes.put(f"weights/{given.name}.json", note, if_absent=True)
    except ConflictError:
        return _noted(given, notes) or run_id  # another node's, or ours whose answer was lost
    return run_id
