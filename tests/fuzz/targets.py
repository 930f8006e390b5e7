"""What parses input from outside: each function, samples of what it reads, and the errors by which it refuses."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from jobs.jobfile import model as jobfile
from jobs.jobfile import overrides
from jobs.models.cache import Cache
from tests.fuzz.inputs import documents, pictures, texts
from tests.unit.trainer.registry.published import manifest as manifest_of
from trainer.contract import ExitCode
from trainer.datasets import dictionary, headers, labellines, labels
from trainer.datasets.headers import ImageError
from trainer.datasets.labelfiles import LineError
from trainer.errors import DatasetError, SpecError, SupersededError
from trainer.formats import yaml as formats
from trainer.registry.channels import Channel, Promotion
from trainer.registry.distillation import Distillation, Network
from trainer.registry.manifests import Manifest, PublishedFile
from trainer.rendezvous import messages
from trainer.state import checkpoints
from trainer.state.checkpoints import DamagedError, Data
from trainer.state.fencing import Claims, TakenError
from trainer.state.receipts import Receipt
from trainer.storage.files import FileStore
from trainer.storage.keys import below
from trainer.weights import origins
from trainer.weights.origins import Wanted

REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What `Line._decode` turns into a refusal of the peer."""


class RefusedError(Exception):
    """What a function refuses without an exception."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One function that parses what comes from outside."""

    samples: tuple[bytes, ...]
    """Valid inputs, of which others are made."""

    parse: Callable[[bytes], object]
    """Parses an input, and uses the result as its callers do."""

    refuses: tuple[type[Exception], ...] = ()
    """Any other exception is a fault."""

    json: bool = True
    """Whether the samples are JSON."""

    def inputs(self) -> st.SearchStrategy[bytes]:
        """Return random inputs."""
        return documents(self.samples) if self.json else texts(self.samples)


REGION: Final = {"transcription": "É", "points": [[0, 0], [9, 0], [9, 5.5], [0, 5]], "difficult": False}
PAGE: Final = "a.jpg\t" + json.dumps([REGION, {**REGION, "difficult": "true"}], ensure_ascii=False)
LINE: Final = '["a.jpg", "b.jpg"]\ttext'
DIGEST: Final = "a" * 64
FILE: Final = PublishedFile(path="1/inference/inference.yml", size=3, sha256=DIGEST)
NETWORK: Final = Network(name="Student", frozen=False, parameters=10, metrics={"acc": 0.5})
MANIFEST: Final = manifest_of(
    "lines-1",
    files=(FILE, replace(FILE, path="1/record.json")),
    distillation=Distillation(picked="Student", why="so", fine_tuned_epochs=0, networks=(NETWORK,)),
)
CHANNEL: Final = Channel(name="production", history=(Promotion(run="lines-1", at="2026-01-01", id="0" * 16),))
RECEIPT: Final = Receipt(
    stage="train",
    fingerprint=DIGEST,
    outputs={"trained": {"files": 2, "bytes": 9}, "trained/best.safetensors": {"size": 3, "sha256": DIGEST}},
    facts={"digest": None, "steps": 3},
    seconds=1.5,
)
JOB: Final = """\
apiVersion: ocrfleet.io/v1
name: slips
run:
  task: rec
  recipe: rec-crnn-mobile
  data: {train: "s3://data/", split: "6:2:2", maxRefused: {train: 0.01}}
  train: {epochs: 3, evaluateEvery: 1ep}
  output: s3://models/slips/
placement: {device: cpu, nodes: 2, tolerations: [{key: spot, operator: Exists}]}
chart: {networkPolicy: {s3: {cidrs: [10.0.0.0/8]}}}
"""
SETS: Final = (
    b"run.train.epochs=3",
    rb"run.overrides.Global\.epoch_num=20",
    b"placement.tolerations[0].key=spot,name=x",
    b"run.publish.formats={a,b}",
)
MESSAGES: Final = (
    messages.Hello(node=1, nonce=b"\0" * 32, proof=b"\0" * 32),
    messages.Failed(attempt=1, code=ExitCode.DATASET, why="é"),
    messages.Go(attempt=1),
    messages.Again(why="x"),
    messages.End(code=ExitCode.STALLED, why="x"),
)
WANTED: Final = Wanted(field="f", weights="channel:c", pin="p", sha256=None, name="teacher")


def plain(value: Any) -> bytes:
    """Return a dataclass in JSON."""
    return json.dumps(msgspec.to_builtins(value)).encode()


def line_of_rec(raw: bytes) -> None:
    """Read a line of a label file for rec."""
    _, text, _ = labellines.parse(raw, "rec") or ((), "", ())
    labellines.flaw_of(text or "")


def line_of_det(raw: bytes) -> None:
    """Read a line of a label file for det, and write its regions again."""
    _, _, regions = labellines.parse(raw, "det") or ((), "", ())
    for region in regions:
        _ = (region.ignored, region.readable, region.flawed, region.crossed)
    labellines.spell(regions, masked=True).encode()


def dataset(folder: Path, task: Any) -> Callable[[bytes], object]:
    """Return a function that reads a dataset with a label file."""
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"")

    def read(raw: bytes) -> None:
        (folder / "Label.txt").write_bytes(raw)
        labels.read(folder, task).require_form()

    return read


def written(path: Path, read: Callable[[], object]) -> Callable[[bytes], object]:
    """Return a function that writes its input to a file, and has it read."""
    path.parent.mkdir(parents=True, exist_ok=True)

    def parse(raw: bytes) -> None:
        path.write_bytes(raw)
        read()

    return parse


def manifest(raw: bytes) -> None:
    """Read a manifest, and name what its files and its run become."""
    found = Manifest.from_json(raw, run="lines-1", source="here")
    found.to_json()
    folder = Path("/cache")
    for path in (*(below(folder, file.path) for file in found.files), Cache(folder).model("s3://m", found.run)):
        if ".." in path.parts or not path.is_relative_to(folder):
            raise AssertionError(f"{path} is outside")


def receipt(raw: bytes) -> None:
    """Read a receipt, and use its outputs and its stage as names of files."""
    found = Receipt.decode(raw, stage="train", place="here")
    if found is None:
        raise RefusedError
    found.to_json().encode()
    _ = (found.identity, [below(Path("/work"), name) for name in (found.stage, *found.outputs)])


def job_file(raw: bytes) -> None:
    """Read a job file, up to the checked model."""
    jobfile.dump(jobfile.load(raw.decode("utf-8", "replace")))


def set_option(raw: bytes) -> None:
    """Apply a `--set` option to a job file."""
    # As Python decodes a command line.
    text = raw.decode("utf-8", "surrogateescape")
    overrides.apply({"run": {"train": {"epochs": 1}}, "placement": {"tolerations": [{}]}}, text)


def message(raw: bytes) -> None:
    """Decode a message of each part of the protocol; refuse it if it is of none."""
    decoders: Any = (messages.CHALLENGE, messages.HELLO, messages.WELCOME, messages.OF_MEMBER, messages.OF_LEADER)
    taken = []
    for decoder in decoders:
        with contextlib.suppress(*REFUSALS):
            taken.append(decoder.decode(raw))
    if not taken:
        raise RefusedError
    for found in taken:
        messages.encode(found)


def header(raw: bytes) -> None:
    """Read the header of an image."""
    _ = headers.read(raw).pixels


def targets(folder: Path) -> Mapping[str, Target]:
    """Return all targets.

    Args:
        folder: an empty folder for inputs that are read from files.
    """
    store = FileStore(folder / "store")
    claims = Claims(store=store, owner="a", process="b")
    checkpoint = folder / "00000007"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").write_bytes(b"abc")
    data = Data(digest=DIGEST, dataset_digest=DIGEST, counts={"train": 3}, split="6:2:2")
    checkpoints.seal(checkpoint, facts={"step": 7}, data=data)
    pages = _encoded(f"{PAGE}\n{PAGE}\n", f"/data/{PAGE}\nC:\\x\\{PAGE}\n")
    return {
        "label-line-det": Target(
            samples=_encoded(PAGE, PAGE + "\r"), json=False, parse=line_of_det, refuses=(LineError,)
        ),
        "label-line-rec": Target(
            samples=_encoded(PAGE, LINE, "a.jpg\ttext"), json=False, parse=line_of_rec, refuses=(LineError,)
        ),
        "label-file-det": Target(
            samples=pages, json=False, parse=dataset(folder / "det", "det"), refuses=(DatasetError,)
        ),
        "label-file-rec": Target(
            samples=_encoded("a.jpg\tx\n", f"{LINE}\na.jpg\tx\n"),
            json=False,
            parse=dataset(folder / "rec", "rec"),
            refuses=(DatasetError,),
        ),
        "dictionary": Target(
            samples=_encoded("a\nb\n \né\n", "a\r\nbc\r\n\r\n", "\ufeffa\n"),
            json=False,
            parse=written(folder / "dictionary.txt", lambda: dictionary.load(folder / "dictionary.txt")),
            refuses=(DatasetError,),
        ),
        "manifest": Target(samples=(MANIFEST.to_json(),), parse=manifest, refuses=(SpecError,)),
        "channel": Target(
            samples=(plain(CHANNEL),),
            parse=lambda raw: Channel.from_json(raw, name="production", source="here").to_json(),
            refuses=(SpecError,),
        ),
        "receipt": Target(samples=(plain(RECEIPT),), parse=receipt, refuses=(SpecError, RefusedError)),
        "claim": Target(
            samples=(b'{"object": "a", "process": "b"}',),
            parse=written(folder / "store/attempts/1", lambda: claims.require(0)),
            refuses=(SpecError, SupersededError, TakenError),
        ),
        "weights-note": Target(
            samples=(b'{"channel": "c", "run": "lines-1"}',),
            parse=written(folder / "store/weights/teacher.json", lambda: origins._noted(WANTED, store)),
            refuses=(SpecError,),
        ),
        "checkpoint-note": Target(
            samples=((checkpoint / checkpoints.SEAL).read_bytes(),),
            parse=written(checkpoint / checkpoints.SEAL, lambda: checkpoints.verified(checkpoint)),
            refuses=(SpecError, DamagedError),
        ),
        "job-file": Target(
            samples=(json.dumps(formats.parse_yaml(JOB, source="job")).encode(),), parse=job_file, refuses=(SpecError,)
        ),
        "job-file-yaml": Target(samples=(JOB.encode(),), json=False, parse=job_file, refuses=(SpecError,)),
        "set": Target(samples=SETS, json=False, parse=set_option, refuses=(SpecError,)),
        "message": Target(samples=tuple(map(messages.encode, MESSAGES)), parse=message, refuses=(RefusedError,)),
        "image-header": Target(samples=pictures(), json=False, parse=header, refuses=(ImageError,)),
    }


def _encoded(*samples: str) -> tuple[bytes, ...]:
    return tuple(sample.encode() for sample in samples)
