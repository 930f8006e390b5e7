"""`ocrfleet render`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from jobs.commands import options, show
from jobs.jobfile import text as jobtext
from jobs.kube.objects import Object
from jobs.rendering import manifests
from jobs.rendering.render import render
from trainer.errors import SpecError


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Render a job file with the chart, for `kubectl apply` or a GitOps repository. The objects go to "
        "standard output, or with --out to one file each. No cluster is needed. `helm template` renders the same "
        "objects from the same file. Needs the package helm-python-sdk, or Helm 3.16 or newer.",
        examples="ocrfleet render job.yaml | kubectl diff -f -\n"
        "ocrfleet render job.yaml -n team-ocr --set placement.nodes=4\n"
        "ocrfleet render job.yaml --out deploy/slips-rec && git diff",
    )
    options.job_file(parser)
    options.namespace(parser)
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        help="write each object to KIND-NAME.yaml in this folder. An older version of the same object is replaced; a "
        "file with any other content is refused (default: standard output)",
    )
    parser.add_argument(
        "-o", "--output", choices=("yaml", "json"), default="yaml", help="output format (default: yaml)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Render a job file."""
    values = jobtext.read(Path(arguments.job), sets=arguments.sets)
    if jobtext.engine_named(values) == "auto":
        show.say("placement.engine is auto. Rendering uses no cluster, so it takes the engine `job`.")
    objects = render(jobtext.without_auto(values), namespace=arguments.namespace).objects
    if arguments.out is None:
        sys.stdout.write(manifests.write(objects, arguments.output))
        return 0
    show.say(save(arguments.out, manifests.file_names(objects, arguments.output), form=arguments.output))
    return 0


def save(folder: Path, files: Mapping[str, Object], *, form: str) -> str:
    """Write objects into a folder; return a sentence about what changed.

    Raises:
        SpecError: a file of that name holds something else, or the folder cannot be written; nothing is changed.
    """
    try:
        before = {name: _text(folder / name) for name in files}
        for name, text in before.items():
            if text is not None and not manifests.holds(text, files[name]):
                raise SpecError(
                    f"{folder / name} does not hold {manifests.name_of(files[name])} and was not changed: choose "
                    "another folder, or move the file."
                )
        after = {name: manifests.write([each], form) for name, each in files.items()}
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in after.items():
            if text != before[name]:
                (folder / name).write_text(text, "utf-8")
    except OSError as error:
        raise SpecError(f"{error.filename or folder} cannot be written: {error.strerror}.") from error
    new = sum(text is None for text in before.values())
    same = sum(before[name] == text for name, text in after.items())
    return f"{len(files)} objects in {folder}: {new} new, {len(files) - new - same} changed, {same} unchanged."


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
