"""`make fuzz`: random input for all functions that parse what comes from outside.

Each target has a strategy for its inputs, the function, and the errors by which the function refuses an input. Any
other exception is a fault. Half of the inputs are random; the others are valid documents with a few changes, so that
they get past the first check. The seed decides the inputs, for one version of the code and of hypothesis.

    python -m tests.fuzz                                  # 10,000 inputs for each target
    python -m tests.fuzz --only manifest --count 1000000 --seed 2
"""

import argparse
import contextlib
import io
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.jobfile import model as jobfile
from jobs.jobfile import overrides
from jobs.models.cache import Cache
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

ROOT: Final = Path(__file__).parents[1]
COUNT: Final = 10_000
SEED: Final = 1
REFUSALS: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What `Line._decode` turns into a refusal of the peer."""


class RefusedError(Exception):
    """What a function refuses without an exception."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One function that parses what comes from outside."""

    inputs: st.SearchStrategy[Any]
    parse: Callable[[Any], object]
    """Parses an input, and uses the result as its callers do."""

    refuses: tuple[type[Exception], ...] = ()


# --- inputs ---------------------------------------------------------------------------------------------------------

SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["..", "/tmp/x", "../../x", "a/b", "a\0b", "\ud800", "x" * 300, 2**53 + 1, 10**400, -1, ""])
)
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
TOKENS: Final = st.sampled_from(
    [
        *(b"%c" % byte for byte in b'\t\n\r\0{}[]":,.\\/=&*!|>-#%@`'),
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\xed\xa0\x80",
        b"\xe2\x80\xa8",
        b"\\ud800",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"9" * 5000,
        b"null",
        b"..",
        b"[" * 20_000,
    ]
)


@st.composite
def edited(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """Return a sample of which a few pieces are replaced, doubled or cut off."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.sampled_from([0, 1, 2, 4, 16, 1 << 20])))
        data = data[:begin] + draw(TOKENS | st.binary(max_size=4) | st.just(data[begin:end] * 2)) + data[end:]
    return data


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the paths of all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in places(item, (*path, key)))]


@st.composite
def varied(draw: st.DrawFn, samples: tuple[Any, ...]) -> bytes:
    """Return a JSON document of which a few values are other ones, or missing."""
    holder = {"": json.loads(json.dumps(draw(st.sampled_from(samples))))}
    for _ in range(draw(st.integers(1, 2))):
        *path, last = draw(st.sampled_from(places(holder)[1:]))
        inner: Any = holder
        for step in path:
            inner = inner[step]
        if isinstance(inner, dict) and path and draw(st.integers(0, 3)) == 0:
            del inner[last]
        else:
            inner[last] = draw(JSON)
    return json.dumps(holder[""], ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def documents(*samples: Any) -> st.SearchStrategy[bytes]:
    """Return inputs for a function that reads JSON."""
    spelled = tuple(json.dumps(sample).encode() for sample in samples)
    return varied(samples) | varied(samples) | edited(spelled) | st.binary(max_size=64)


def texts(*samples: str) -> st.SearchStrategy[bytes]:
    """Return inputs for a function that reads text."""
    return edited(tuple(sample.encode() for sample in samples)) | st.binary(max_size=64)


def pictures() -> tuple[bytes, ...]:
    """Return small images in every format that is read."""
    found = []
    for form in ("JPEG", "PNG", "BMP", "TIFF", "WEBP"):
        for mode in ("L", "RGB", "RGBA"):
            if (form, mode) == ("JPEG", "RGBA"):
                continue
            image = Image.new(mode, (5, 3))
            exif = image.getexif()
            exif[0x0112] = 6
            stream = io.BytesIO()
            image.save(stream, form, **({} if form == "BMP" else {"exif": exif}))
            found.append(stream.getvalue())
    return tuple(found)


# --- targets --------------------------------------------------------------------------------------------------------

REGION: Final = {"transcription": "É", "points": [[0, 0], [9, 0], [9, 5.5], [0, 5]], "difficult": False}
PAGE: Final = "a.jpg\t" + json.dumps([REGION, {**REGION, "difficult": "true"}], ensure_ascii=False)
LINE: Final = '["a.jpg", "b.jpg"]\ttext'
DIGEST: Final = "a" * 64
FILE: Final = PublishedFile(path="1/inference/inference.yml", size=3, sha256=DIGEST)
NETWORK: Final = Network(name="Student", frozen=False, parameters=10, metrics={"acc": 0.5})
MANIFEST: Final = Manifest(
    run="lines-1",
    name="lines",
    task="rec",
    attempt=1,
    created="2026-01-01T00:00:00.000Z",
    recipe="rec-crnn-mobile",
    model_name="m",
    metrics={"acc": 0.9},
    split="test",
    samples=10,
    dataset=DIGEST,
    files=(FILE, replace(FILE, path="1/record.json")),
    distillation=Distillation(picked="Student", why="so", fine_tuned_epochs=0, networks=(NETWORK,)),
)
CHANNEL: Final = Channel(name="production", history=(Promotion(run="lines-1", at="2026-01-01", id="0" * 16),))
RECEIPT: Final = Receipt(
    stage="train",
    fingerprint=DIGEST,
    outputs={"trained/best.safetensors": {"size": 3, "sha256": DIGEST}, "prepared": {"files": 2, "bytes": 9}},
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
    "run.train.epochs=3",
    r"run.overrides.Global\.epoch_num=20",
    "placement.tolerations[0].key=spot,name=x",
    "run.publish.formats={a,b}",
)
MESSAGES: Final = (
    messages.Hello(node=1, nonce=b"\0" * 32, proof=b"\0" * 32),
    messages.Failed(attempt=1, code=ExitCode.DATASET, why="é"),
    messages.Go(attempt=1),
    messages.Again(why="x"),
    messages.End(code=ExitCode.STALLED, why="x"),
)
WANTED: Final = Wanted(field="f", weights="channel:c", pin="p", sha256=None, name="teacher")


def plain(value: Any) -> Any:
    """Return a dataclass as JSON has it."""
    return json.loads(json.dumps(msgspec.to_builtins(value)))


def label_line(raw: bytes) -> None:
    """Read a line as both tasks do."""
    _, text, _ = labellines.parse(raw, "rec") or ((), "", ())
    labellines.flaw_of(text or "")
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


def set_option(text: str) -> None:
    """Apply a `--set` option to a job file."""
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
    headers.jpeg_scan(raw)
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
    note = json.loads((checkpoint / checkpoints.SEAL).read_bytes())
    lines = texts(PAGE, LINE, "a.jpg\ttext", PAGE + "\r")
    files = texts(f"{PAGE}\n{PAGE}\n", f"{LINE}\na.jpg\tx\n", f"/data/{PAGE}\nC:\\x\\{PAGE}\n../{PAGE}\n")
    words = tuple(word for line in SETS for word in line.replace("=", ".").split("."))
    sets = st.sampled_from(SETS) | st.text(max_size=30) | edited(tuple(map(str.encode, SETS))).map(_text)
    return {
        "label-line": Target(inputs=lines, parse=label_line, refuses=(LineError,)),
        "label-file-det": Target(inputs=files, parse=dataset(folder / "det", "det"), refuses=(DatasetError,)),
        "label-file-rec": Target(inputs=files, parse=dataset(folder / "rec", "rec"), refuses=(DatasetError,)),
        "dictionary": Target(
            inputs=texts("a\nb\n \né\n", "a\r\nbc\r\n\r\n", "\ufeffa\n"),
            parse=written(folder / "dictionary.txt", lambda: dictionary.load(folder / "dictionary.txt")),
            refuses=(DatasetError,),
        ),
        "manifest": Target(inputs=documents(json.loads(MANIFEST.to_json())), parse=manifest, refuses=(SpecError,)),
        "channel": Target(
            inputs=documents(plain(CHANNEL)),
            parse=lambda raw: Channel.from_json(raw, name="production", source="here").to_json(),
            refuses=(SpecError,),
        ),
        "receipt": Target(inputs=documents(plain(RECEIPT)), parse=receipt, refuses=(SpecError, RefusedError)),
        "claim": Target(
            inputs=documents({"object": "a", "process": "b"}),
            parse=written(folder / "store/attempts/1", lambda: claims.require(0)),
            refuses=(SpecError, SupersededError, TakenError),
        ),
        "weights-note": Target(
            inputs=documents({"channel": "c", "run": "lines-1"}),
            parse=written(folder / "store/weights/teacher.json", lambda: origins._noted(WANTED, store)),
            refuses=(SpecError,),
        ),
        "checkpoint-note": Target(
            inputs=documents(note),
            parse=written(checkpoint / checkpoints.SEAL, lambda: checkpoints.verified(checkpoint)),
            refuses=(SpecError, DamagedError),
        ),
        "job-file": Target(
            inputs=documents(formats.parse_yaml(JOB, source="job")).map(_text) | texts(JOB).map(_text),
            parse=lambda text: jobfile.dump(jobfile.load(text)),
            refuses=(SpecError,),
        ),
        "set": Target(
            inputs=sets
            | st.lists(
                st.sampled_from((*words, "=", ".", "[0]", "[999]", f"[{'9' * 5000}]", "\\", ",")), max_size=8
            ).map("".join),
            parse=set_option,
            refuses=(SpecError,),
        ),
        "message": Target(
            inputs=documents(*(json.loads(messages.encode(each)) for each in MESSAGES)),
            parse=message,
            refuses=(RefusedError,),
        ),
        "image-header": Target(inputs=edited(pictures()) | st.binary(max_size=64), parse=header, refuses=(ImageError,)),
    }


def _text(raw: bytes) -> str:
    # As a job file and a command line are decoded.
    return raw.decode("utf-8", "replace")


# --- runs -----------------------------------------------------------------------------------------------------------


def fuzz(target: Target, *, count: int, number: int) -> tuple[int, int]:
    """Run a target, and return how many inputs it got and how many of them it took.

    Args:
        target: the target.
        count: how many inputs to generate. Hypothesis ends early if there are no more.
        number: the seed.

    Raises:
        Exception: what came out that is no refusal, with the smallest input that was found.
    """
    tried = taken = 0

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.inputs)
    def run(value: Any) -> None:
        nonlocal tried, taken
        tried += 1
        try:
            target.parse(value)
        except target.refuses:
            return
        taken += 1

    run()
    return tried, taken


def main() -> int:
    """Run the targets; 1 if one of them has a fault."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Random input for what parses input from outside.")
    parser.add_argument("--count", type=int, default=COUNT, help="inputs for each target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="the seed (default: %(default)s)")
    parser.add_argument("--only", action="append", metavar="TARGET", help="this target; can be repeated")
    arguments = parser.parse_args()
    logging.disable()
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        table = targets(Path(folder))
        if unknown := set(arguments.only or ()) - table.keys():
            parser.error(f"{', '.join(sorted(unknown))}: unknown; the targets are {', '.join(table)}")
        for name in arguments.only or table:
            began = time.monotonic()
            try:
                tried, taken = fuzz(table[name], count=arguments.count, number=arguments.seed)
            except Exception as error:  # noqa: BLE001  # any exception is a finding
                faults += 1
                notes = "\n  ".join(getattr(error, "__notes__", ()))
                print(f"{name:16} FAULT {type(error).__name__}: {error}\n  {notes}", file=sys.stderr)
            else:
                print(
                    f"{name:16} {tried:>9,} inputs, {taken:>9,} taken, {time.monotonic() - began:>6.1f} s", flush=True
                )
    return int(faults > 0)


if __name__ == "__main__":
    raise SystemExit(main())
