"""Which weights a job file means, and that a run means the same ones for as long as it lives; on a folder."""

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.trainer.registry.published import published
from trainer.errors import ConflictError, NotFoundError, SpecError
from trainer.registry import models as registry
from trainer.run import spec as runspec
from trainer.run.spec import RunSpec
from trainer.storage import Store, open_store
from trainer.storage.files import FileStore
from trainer.weights import origins
from trainer.weights.facts import Origin

WEIGHTS = {"weights/model.pdparams": b"weights", "weights/dictionary.txt": b"a\nb\n"}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def output(tmp_path: Path) -> Store:
    return open_store((tmp_path / "output").as_uri())


@pytest.fixture
def notes(output: Store) -> Store:
    return output.below("checkpoints/lines-2")


def publish(output: Store, run: str, contents: dict[str, bytes] = WEIGHTS, **changes: Any) -> None:
    published(output, run, contents, **changes)


def promoted(output: Store, run: str, channel: str = "production", **how: Any) -> None:
    publish(output, run, **how)
    registry.promote(output, run, channel)


def spec(output: Store, **more: Any) -> RunSpec:
    raw = {"task": "rec", "recipe": "rec-crnn-mobile", "data": {"train": "s3://data/"}, "output": output.uri}
    return runspec.from_dict(RunSpec, {**raw, **more}, where="run")


def found(run: RunSpec, notes: Store | None = None) -> Origin:
    (given,) = origins.wanted(run)
    return origins.find(run, given, notes=notes)


def teacher(output: Store, weights: str = "channel:production", **more: Any) -> RunSpec:
    return spec(output, distill={"teacher": weights, **more})


def test_a_channel_leads_to_the_weights_of_its_run_and_their_dictionary(output: Store) -> None:
    promoted(output, "lines-1")
    assert found(teacher(output)) == Origin(
        uri=f"{output.uri}runs/lines-1/1/weights/model.pdparams",
        sha256=sha(b"weights"),
        run="lines-1",
        dictionary=sha(b"a\nb\n"),
    )


def test_both_fields_lead_there(output: Store) -> None:
    promoted(output, "lines-1")
    run = spec(output, init={"pretrained": "channel:production"}, distill={"teacher": "channel:production"})
    assert [(given.field, origins.find(run, given).run) for given in origins.wanted(run)] == [
        ("run.init.pretrained", "lines-1"),
        ("run.distill.teacher", "lines-1"),
    ]


def test_a_file_is_pinned_by_the_job_file(output: Store) -> None:
    uri, digest = "s3://elsewhere/x.pdparams", "a" * 64
    assert found(teacher(output, uri, teacherSha256=digest)) == Origin(uri=uri, sha256=digest)
    assert found(spec(output, init={"pretrained": uri, "sha256": digest})) == Origin(uri=uri, sha256=digest)


def test_of_a_file_that_another_output_has_published_the_manifest_tells_more(output: Store, tmp_path: Path) -> None:
    publish(output, "lines-1")
    uri = f"{output.uri}runs/lines-1/1/weights/model.pdparams"
    other = open_store((tmp_path / "other").as_uri())
    assert found(teacher(other, uri, teacherSha256=sha(b"weights"))).dictionary == sha(b"a\nb\n")
    # Another file than the manifest has: its dictionary says nothing of this one.
    assert found(teacher(other, uri, teacherSha256="a" * 64)) == Origin(uri=uri, sha256="a" * 64)
    gone = uri.replace("lines-1", "lines-9")
    assert found(teacher(other, gone, teacherSha256="a" * 64)) == Origin(uri=gone, sha256="a" * 64)


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        (
            {"channel": "candidate"},
            NotFoundError,
            r"has no channel 'production'\. Channels are looked up under run\.output",
        ),
        ({"contents": {"record.json": b"{}"}}, SpecError, r"without weights\. .* run\.publish\.weights: true"),
        ({"task": "det"}, SpecError, r"whose run lines-1 has task 'det', but this run has task 'rec'"),
    ],
    ids=["no channel", "no weights", "another task"],
)
def test_a_channel_that_leads_nowhere_is_refused_and_not_noted(
    output: Store, notes: Store, how: dict[str, Any], error: type[Exception], says: str
) -> None:
    """So that the same job file can be run again when the channel is set right."""
    promoted(output, "lines-1", **how)
    with pytest.raises(error, match=rf"^run\.distill\.teacher is 'channel:production'.*{says}"):
        found(teacher(output), notes)
    assert notes.list() == []


def test_a_run_keeps_its_teacher_when_the_channel_moves(output: Store, notes: Store) -> None:
    """A second node, a second attempt, another object of the run: none of them asks the channel again."""
    promoted(output, "lines-1")
    first = found(teacher(output), notes)
    promoted(output, "lines-9", contents={"weights/model.pdparams": b"others"})
    assert found(teacher(output), notes) == first
    assert found(teacher(output), output.below("checkpoints/lines-3")).run == "lines-9"


def test_pretrained_and_teacher_are_noted_apart(output: Store, notes: Store) -> None:
    promoted(output, "lines-1")
    found(teacher(output), notes)
    promoted(output, "lines-9")
    assert found(spec(output, init={"pretrained": "channel:production"}), notes).run == "lines-9"


def test_nodes_that_look_at_once_while_the_channel_moves_agree(
    output: Store, notes: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has followed the channel to another run before the first of them notes anything."""
    for number in range(4):
        publish(output, f"lines-{number}", {"weights/model.pdparams": bytes([number])})
    ahead, lock, meet = iter(range(4)), threading.Lock(), threading.Barrier(4, timeout=20)

    def led_to(*_: object) -> str:
        with lock:
            number = next(ahead)
        meet.wait()
        return f"lines-{number}"

    monkeypatch.setattr(origins, "_led_to", led_to)
    with ThreadPoolExecutor(4) as pool:
        agreed = set(pool.map(lambda _: found(teacher(output), notes), range(4)))
    assert len(agreed) == 1


class Careless(FileStore):
    """A store that does not look at conditions, as some S3 servers do not."""

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        return super().put(key, data)


def test_a_store_on_which_two_nodes_could_disagree_has_no_weights_by_channel(output: Store, tmp_path: Path) -> None:
    promoted(output, "lines-1")
    with pytest.raises(SpecError, match=r"does not support conditional writes.*run\.distill\.teacherSha256"):
        found(teacher(output), Careless(tmp_path / "output/checkpoints/lines-2"))


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"run": 1}', b'{"run": "../lines-1"}', b"[" * 100_000])
def test_a_note_that_is_none_is_refused(output: Store, notes: Store, data: bytes) -> None:
    promoted(output, "lines-1")
    notes.put("weights/teacher.json", data)
    with pytest.raises(SpecError, match=r"weights/teacher\.json is not a note of ocrfleet .*Remove it"):
        found(teacher(output), notes)


def test_a_note_whose_answer_was_lost_holds(output: Store, notes: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(output, "lines-1")
    whole = FileStore.put

    def lost(self: FileStore, key: str, data: bytes, **conditions: Any) -> str:
        etag = whole(self, key, data, **conditions)
        if key == "weights/teacher.json":
            raise ConflictError("It is there already: this very write, sent twice.")
        return etag

    monkeypatch.setattr(FileStore, "put", lost)
    assert found(teacher(output), notes).run == "lines-1"
