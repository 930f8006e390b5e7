"""What is published: manifests of runs, and channels that point at them.

    <output>/runs/<run>/manifest.json       created once, last; names every file. Without it there is no model
    <output>/channels/<channel>.json        → run, with the history; changed by conditional writes only

`Store` arguments are at `<output>`. Readers follow manifests, and nothing else: what an attempt that did
not publish has left under `runs/` is never read.
"""

import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from trainer.errors import NotFoundError, OcrfleetError, SpecError
from trainer.registry import channels, manifests
from trainer.registry.channels import Channel, Promotion, list_channels, promote, promote_once
from trainer.registry.manifests import Manifest, PublishedFile, record
from trainer.run import spec as runspec
from trainer.storage import Store, Transfer
from trainer.telemetry.callbacks import OnProgress

__all__ = [
    "Channel",
    "Manifest",
    "Promotion",
    "PublishedFile",
    "exists",
    "list_channels",
    "list_models",
    "promote",
    "promote_once",
    "pull",
    "record",
    "show",
]


def exists(store: Store, run: str) -> bool:
    """Return whether a run's model is published."""
    return store.find(manifests.key_of(run)) is not None


def list_models(store: Store) -> list[Manifest]:
    """List the published models, oldest first. What is not a manifest is logged and skipped."""
    runs = [
        match[1] for info in store.list("runs") if (match := re.fullmatch(r"runs/([^/]+)/manifest\.json", info.key))
    ]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda run: manifests.find_or_warn(manifests.find, store, run), runs))
    # One that was pruned between the listing and the reading is no error.
    return sorted((model for model in found if model), key=lambda model: (model.created, model.run))


def show(store: Store, run_or_channel: str) -> Manifest:
    """Return a published model by its run id, or by a channel that points at it; a run takes precedence.

    Raises:
        NotFoundError: there is neither; suggests the nearest name.
    """
    if not re.match(manifests.NAME, run_or_channel):
        raise SpecError(
            f"{run_or_channel!r} is not a valid name of a run or channel. Use lower-case letters, digits and '-'."
        )
    found = manifests.find(store, run_or_channel)
    if found is not None:
        return found
    channel = channels.find(store, run_or_channel)
    if channel is not None:
        return manifests.read(store, channel.run)
    known = [channel.name for channel in list_channels(store)] + [model.run for model in list_models(store)]
    hint = runspec.nearest(run_or_channel, known) if known else " Nothing is published there yet."
    raise NotFoundError(f"{store.uri} has no published run or channel {run_or_channel!r}.{hint}")


def pull(
    store: Store,
    run_or_channel: str,
    dest: Path,
    progress: OnProgress | None = None,
    *,
    parts: Collection[str] | None = None,
) -> tuple[Manifest, Transfer]:
    """Bring a published model into a folder: `inference/`, `report/`, `record.json`, the manifest.

    Args:
        store: at `<output>`.
        run_or_channel: which model.
        dest: the folder.
        progress: told now and then.
        parts: only what begins with one of these, such as `inference`; unset: everything.

    Raises:
        NotFoundError: there is no such model.
        OcrfleetError: a file is not what the manifest says; it is removed again.
    """
    manifest = show(store, run_or_channel)
    wanted = {f.name: f for f in manifest.files if parts is None or f.name.partition("/")[0] in parts}
    if not wanted:
        raise SpecError(f"The published run {manifest.run!r} has no {' or '.join(sorted(parts or ()))}.")
    attempt = store.below(f"runs/{manifest.run}/{manifest.attempt}")
    transfer = attempt.pull(list(wanted), dest, progress)
    for name, file in wanted.items():
        if transfer.digests[name] != file.sha256:
            (dest / name).unlink()
            raise OcrfleetError(
                f"{attempt.uri}{name} is not the file that was published: its sha256 is {transfer.digests[name]}, but "
                f"the manifest has {file.sha256}. The local copy is removed. Restore the file in the bucket, or use "
                "another run."
            )
    if parts is None:
        (dest / "manifest.json").write_bytes(manifest.to_json())
    return manifest, transfer
