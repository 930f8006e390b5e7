"""`ocrfleet init`."""

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jobs.commands import options, show
from jobs.jobfile import model as jobfile
from trainer import contract, recipes
from trainer.errors import SpecError
from trainer.recipes import distill

TEMPLATE = """\
# A job file of ocrfleet. docs/reference/job-file.md explains every field.
#   ocrfleet check {file}     find mistakes
#   ocrfleet run {file}       train on this machine
#   ocrfleet submit {file}    train on a cluster, once placement.image is your own
apiVersion: {version}
name: {name}  # the prefix of run ids, metrics and folders
run:
  task: {task}  # {task_meaning}
  recipe: {recipe}  # {summary}
  # overrides:  # any key of the recipe; `ocrfleet recipes {recipe}` lists them
  #   Optimizer.lr.learning_rate: 0.001
  data:
    train: {data}  # a PPOCRLabel export or PaddleOCR label files; s3:// or file:///
    split: "6:2:2"  # train : eval : test, by image
{dictionary}\
  # init:  # weights to start from
  #   pretrained: s3://ocr-models/pretrained/weights.pdparams
  #   sha256: …  # `sha256sum FILE` prints it
  train:
    # epochs: …  # default: {epochs}, from the recipe
    # batchSizePerDevice: …  # default: {batch}, from the recipe
    seed: 42
    evaluateEvery: 1ep
{distill}\
  # gate:  # the least score to publish a model
  #   minimum: 0.90  # {metric} on the test split
  output: {output}  # checkpoints and published models
  publish:
    promote: candidate  # the channel to point at the new model
placement:
  # For a cluster: the image that you build and push, see docs/tasks/run/build-the-image.md. `ocrfleet run` needs none.
  image: {image}
  nodes: 1
  devicesPerNode: 1  # worker processes of a node, one for each device
  # device: cpu  # default: what this machine has; gpu on a cluster
"""

IMAGE: Final = f"registry.example.com/ocr/ocrfleet:{contract.VERSION}"
"""A placeholder: example.com is reserved, so nothing can be pulled by this name."""

_DISTILL = """\
{teacher}\
  #   networks: {{Student3: Student}}  # add a network with the architecture of Student
  #   fineTuneEpochs: 5  # train the chosen network alone for so many epochs more
  #   baseline: channel:plain  # the same student trained without a teacher, to measure the gain
"""
_TEACHER = """\
  distill:  # how the networks teach each other
    teacher: channel:teacher  # from a run with publish.weights and promote: teacher
"""

_MEANINGS = {"det": "finds the lines of a page", "rec": "reads one line"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    options.command(
        parser,
        run=run,
        text="Write a commented job file to standard output, or with -f to a new file, for you to edit. The recipe "
        "sets the task; `ocrfleet recipes` lists all recipes.",
        examples="ocrfleet init slips-rec --recipe rec-crnn-mobile -f job.yaml\n"
        "ocrfleet init slips --recipe det-db-mobile --data s3://d/ --output s3://m/",
    )
    parser.add_argument(
        "name", metavar="NAME", help="the job's name: lower-case letters, digits and '-', at most 37 characters"
    )
    parser.add_argument("--recipe", required=True, metavar="R", help="a built-in recipe")
    parser.add_argument("--data", metavar="URI", help="location of the labelled images (default: s3://ocr-data/NAME/)")
    parser.add_argument("--output", metavar="URI", help="where to publish models (default: s3://ocr-models/NAME/)")
    parser.add_argument("-f", "--filename", metavar="FILE", type=Path, help="a new file (default: standard output)")


def run(arguments: argparse.Namespace) -> int:
    """Write the file."""
    text = filled(
        arguments.name,
        recipes.load(arguments.recipe),
        data=arguments.data or f"s3://ocr-data/{arguments.name}/",
        output=arguments.output or f"s3://ocr-models/{arguments.name}/",
        file=arguments.filename or "job.yaml",
    )
    # A wrong name or location is refused here, not first when the job runs.
    jobfile.load(text)
    if arguments.filename is None:
        sys.stdout.write(text)
        return 0
    _write_new(arguments.filename, text)
    show.say(
        f"{arguments.filename} was written. Next: edit it, including placement.image for a cluster, then run "
        f"`ocrfleet check {arguments.filename}`."
    )
    return 0


def filled(name: str, recipe: recipes.Recipe, *, data: str, output: str, file: Path | str) -> str:
    """Fill the template in."""
    rec = recipe.task == "rec"
    text = TEMPLATE.format(
        file=file,
        version=contract.API_VERSION,
        name=name,
        image=IMAGE,
        task=recipe.task,
        task_meaning=_MEANINGS[recipe.task],
        recipe=recipe.name,
        summary=recipe.summary,
        data=data,
        output=output,
        dictionary="    dictionary: auto  # the characters of the labels\n" if rec else "",
        epochs=recipe.config["Global"]["epoch_num"],
        batch=recipe.config["Train"]["loader"]["batch_size_per_card"],
        metric="accuracy" if rec else "hmean",
        distill=_distill(recipe.config),
    )
    return re.sub(r"(?m)^(.*\S)  +(# .*)$", lambda line: f"{line[1]:<36} {line[2]}", text)


def _distill(config: Mapping[str, Any]) -> str:
    """Return the `distill` part of a recipe with several networks; empty for a recipe with one."""
    if not distill.is_distillation(config):
        return ""
    frozen = any(distill.networks(config).values())
    return _DISTILL.format(teacher=_TEACHER if frozen else "  # distill:  # how the networks teach each other\n")


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise SpecError(f"{path} already exists and was not changed: choose another name.") from error
    except OSError as error:
        raise SpecError(f"{path} cannot be written: {error.strerror}.") from error
