"""`ocrfleet models list`, `show`, `pull` and `promote`."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from jobs.commands import options, show
from jobs.commands.document import document
from jobs.commands.progress import transfer
from jobs.models import pull as pulls
from trainer.errors import SpecError
from trainer.formats import typed_json
from trainer.registry import models as registry
from trainer.registry.distillation import Distillation, Network
from trainer.registry.models import Channel, Manifest
from trainer.storage import Store, open_store

_MODEL = "s3://BUCKET/PREFIX (the newest run), …@CHANNEL or …#RUN"
_MAIN = {"det": "hmean", "rec": "acc"}
_COLUMNS = {"RUN": "run", "METRIC": "metric", "VALUE": "value", "CREATED": "created", "CHANNELS": "channels"}
_WIDE = {"RECIPE": "recipe", "SAMPLES": "samples", "MODEL NAME": "modelName", "DATASET": "dataset"}


def add(parser: argparse.ArgumentParser) -> None:
    """Add its commands."""
    summaries = {
        "list": "list the published runs of a location",
        "show": "show a published model",
        "pull": "download a model and check the sha256 of every file",
        "promote": "point a channel at a model",
    }
    listing, showing, pulling, promoting = options.group(
        parser, "Look at published models, download them, and point channels at them.", summaries
    )
    options.command(
        listing,
        run=list_models,
        text="List the models published at a location, the oldest first, with their main metric and channels.",
        examples="ocrfleet models list s3://ocr-models/slips-rec/\n"
        "ocrfleet models list s3://ocr-models/slips-rec/ -o wide",
    )
    listing.add_argument("output_location", metavar="LOCATION", help="a job's run.output")
    options.output(listing, "yaml", "json", "wide")
    options.command(
        showing,
        run=show_model,
        text="Show a published model: metrics, dataset, recipe and files. For a distillation, also show the size, "
        "speed and metrics of each network, which one was chosen and why, and the gain from its teacher. With "
        "--record, show everything that is needed to repeat the run.",
        examples="ocrfleet models show s3://ocr-models/slips-rec@production\n"
        "ocrfleet models show s3://ocr-models/slips-rec --record",
    )
    showing.add_argument("model", metavar="MODEL", help=_MODEL)
    showing.add_argument(
        "--record", action="store_true", help="show the record: job file, configuration, versions, timings"
    )
    options.output(showing, "yaml", "json")
    _add_pull(pulling)
    _add_promote(promoting)


def _add_pull(parser: argparse.ArgumentParser) -> None:
    options.command(
        parser,
        run=pull,
        text="Download a published model with its record and report into a folder.",
        examples="ocrfleet models pull s3://ocr-models/slips-rec@production model/\n"
        "ocrfleet models pull s3://ocr-models/slips-rec model/ --only inference",
    )
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("directory", metavar="DIR", type=Path, help="the folder; created if it does not exist")
    parser.add_argument(
        "--only",
        metavar="PART",
        action="append",
        help="only this part: inference, report, weights or record.json. This option can be repeated",
    )


def _add_promote(parser: argparse.ArgumentParser) -> None:
    options.command(
        parser,
        run=promote,
        text="Point a channel, such as production, at a published run, and keep the history. A new channel is "
        "created. If two people promote at once, the history has both and the later one wins.",
        examples="ocrfleet models promote s3://ocr-models/slips-rec@candidate production",
    )
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("channel", metavar="CHANNEL")
    parser.add_argument(
        "--single-writer",
        action="store_true",
        help="for a store without conditional writes, where you promise that nobody else promotes",
    )


def list_models(arguments: argparse.Namespace) -> int:
    """List the published models."""
    store = open_store(pulls.parse(arguments.output_location).output)
    channels = registry.list_channels(store)
    rows = [_row(manifest, channels) for manifest in registry.list_models(store)]
    if arguments.output in ("yaml", "json"):
        document(rows, arguments.output)
    elif rows:
        show.table(rows, _COLUMNS | (_WIDE if arguments.output == "wide" else {}))
    else:
        show.say(f"No model is published at {store.uri}.")
    return 0


def show_model(arguments: argparse.Namespace) -> int:
    """Show a model."""
    named = pulls.parse(arguments.model)
    store = open_store(named.output)
    manifest = registry.show(store, named.run())
    if arguments.record:
        document(registry.record(store, manifest), arguments.output)
        return 0
    facts = {
        **_row(manifest, registry.list_channels(store)),
        "metrics": dict(manifest.metrics),
        "split": manifest.split,
    }
    if manifest.distillation:
        facts["distillation"] = _distillation(manifest.distillation, _evaluations(store, manifest))
    facts["files"] = [{"path": f.path, "size": f.size, "sha256": f.sha256} for f in manifest.files]
    document(facts, arguments.output)
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """Download a model."""
    named = pulls.parse(arguments.model)
    manifest, moved = registry.pull(
        open_store(named.output), named.run(), arguments.directory, transfer("pull"), parts=arguments.only
    )
    show.say(f"{manifest.run}: {moved.files} files, {moved.bytes:,} bytes, {moved.moved_files} of them new.")
    print(arguments.directory)
    return 0


def promote(arguments: argparse.Namespace) -> int:
    """Point a channel at one."""
    named = pulls.parse(arguments.model)
    run = named.run()
    store = open_store(named.output)
    before = {channel.name: channel.run for channel in registry.list_channels(store)}.get(arguments.channel)
    registry.promote(store, run, arguments.channel, single_writer=arguments.single_writer)
    show.say(f"{arguments.channel} now points to {run}; before: {before or 'nothing'}.")
    print(run)
    return 0


class _Evaluation(msgspec.Struct):
    step: int
    epoch: int
    best: bool
    metrics: dict[str, float]
    network: str | None = None
    networks: dict[str, dict[str, float]] | None = None


def _evaluations(store: Store, manifest: Manifest) -> list[_Evaluation]:
    record = registry.record(store, manifest)
    try:
        return typed_json.convert(record["metrics"]["training"]["evaluations"], list[_Evaluation])
    except (KeyError, TypeError, ValueError) as error:
        raise SpecError(
            f"The record of run {manifest.run} in {store.uri} has no evaluations of a distillation ({error}). "
            "`ocrfleet models show --record` prints it."
        ) from error


def _distillation(told: Distillation, evaluations: list[_Evaluation]) -> dict[str, Any]:
    """Return the results of each network, as in the report."""
    return {
        "picked": told.picked,
        "why": told.why,
        "fineTunedEpochs": told.fine_tuned_epochs,
        "exportedBytes": told.exported_bytes,
        # baseline, run, metrics, gain, and all of it in a sentence
        "gain": vars(told.gain) if told.gain else None,
        "networks": [_network(network) for network in told.networks],
        "evaluations": [
            {
                "step": entry.step,
                "epoch": entry.epoch,
                "kept": (entry.network or told.picked) if entry.best else None,
                "networks": entry.networks or {told.picked: entry.metrics},
            }
            for entry in evaluations
        ],
    }


def _network(network: Network) -> dict[str, Any]:
    seconds = network.seconds_per_image
    return {
        "name": network.name,
        "frozen": network.frozen,
        "parameters": network.parameters,
        "bytes": network.bytes,
        "msPerImage": None if seconds is None else round(1000 * seconds, 3),
        "metrics": network.metrics,
    }


def _row(manifest: Manifest, channels: list[Channel]) -> dict[str, Any]:
    metric = _MAIN[manifest.task]
    return {
        "run": manifest.run,
        "task": manifest.task,
        "metric": metric,
        "value": manifest.metrics.get(metric),
        "created": manifest.created,
        "channels": [channel.name for channel in channels if channel.run == manifest.run],
        "recipe": manifest.recipe,
        "samples": manifest.samples,
        "modelName": manifest.model_name,
        "dataset": manifest.dataset,
    }
