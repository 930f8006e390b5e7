"""`ocrfleet render`."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.commands import options, show

if TYPE_CHECKING:
    from jobs.rendering.manifests import Object


def add(commands: options.Commands) -> None:
    """Say the command's words."""
    parser = options.command(
        commands,
        "render",
        run=run,
        summary="write the Kubernetes objects of a job",
        text="Write the objects that the chart makes of a job file, for `kubectl apply` or a GitOps repository: to "
        "standard output, or with --out a file each. No cluster is asked. The same file gives the same objects as "
        "with `helm template`. Needs the package helm-python-sdk, or Helm 3.16 or newer.",
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
        help="write KIND-NAME.yaml there for each object; a file that holds an older form of the same object is "
        "replaced, any other is left alone (default: standard output)",
    )
    parser.add_argument(
        "-o", "--output", choices=("yaml", "json"), default="yaml", help="how to write them (default: yaml)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Render a job file."""
    from jobs.rendering import helm

    helm.warm()
    raw = options.read_text(arguments)
    from jobs.jobfile import text as jobtext
    from jobs.rendering import manifests
    from jobs.rendering.render import render

    if jobtext.engine_of(raw) == "auto":
        show.say("placement.engine is auto. Rendering uses no cluster, so it takes the engine `job`.")
    objects = render(jobtext.without_auto(raw), namespace=arguments.namespace)
    if arguments.out is None:
        sys.stdout.write(manifests.write(objects, arguments.output))
        return 0
    show.say(save(arguments.out, manifests.file_names(objects, arguments.output), form=arguments.output))
    return 0


def save(folder: Path, files: Mapping[str, "Object"], *, form: str) -> str:
    """Write objects into a folder, and say what has changed there.

    Raises:
        SpecError: a file of that name holds something else, or the folder cannot be written; nothing is changed.
    """
    from jobs.rendering import manifests
    from trainer.errors import SpecError

    try:
        before = {name: _text(folder / name) for name in files}
        for name, text in before.items():
            if text is not None and not manifests.holds(text, files[name]):
                raise SpecError(
                    f"{folder / name} is not {manifests.name_of(files[name])}, and is left as it is: "
                    "choose another folder, or move the file."
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
    return f"{len(files)} objects are in {folder}: {new} new, {len(files) - new - same} changed, {same} as they were."


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return None
