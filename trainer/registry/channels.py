"""Channels: named pointers to published models. Conditional writes keep two writers from both winning.

`Store` arguments are at `<output>`.
"""

import json
import random
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import msgspec

from trainer import contract
from trainer.errors import ConflictError, SpecError, TransientError
from trainer.formats import typed_json
from trainer.registry import manifests
from trainer.registry.manifests import Name
from trainer.storage import Store

_TRIES: Final = 600
"""How often a writer tries when others were faster: with the pauses between, for half a minute."""


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """One entry of a channel's history."""

    run: Name
    """Where the channel pointed from then on."""

    at: str
    """When, as ISO 8601 in UTC."""

    id: str
    """Random: tells a writer whose answer was lost that its write was done."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """A named pointer to a published model."""

    name: Name
    """Such as `production` or `candidate`."""

    history: Annotated[tuple[Promotion, ...], msgspec.Meta(min_length=1)]
    """Oldest first; the last one holds."""

    @property
    def run(self) -> str:
        """The run whose model the channel points at."""
        return self.history[-1].run

    def to_json(self) -> bytes:
        """Return the channel as it is stored."""
        content = {"apiVersion": contract.API_VERSION, "kind": "Channel", "run": self.run, **asdict(self)}
        return json.dumps(content, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes, *, name: str, source: str) -> "Channel":
        """Read a channel.

        Args:
            data: the document.
            name: the name that it is stored under.
            source: where it is, for messages.

        Raises:
            SpecError: it is not a channel of this name.
        """
        try:
            channel = typed_json.decode(data, cls)
            if channel.name != name:
                raise ValueError(f"it names the channel {channel.name!r}, but is stored under {name!r}")
        except ValueError as error:
            raise SpecError(
                f"{source} is not a channel of ocrfleet ({error}). Remove it, then promote a run again."
            ) from error
        return channel


def find(store: Store, name: str) -> Channel | None:
    """Return a channel, or None when nothing was ever promoted to it."""
    return _read(store, name)[0]


def list_channels(store: Store) -> list[Channel]:
    """List the channels, by name. What is not a channel is logged and skipped."""
    names = [
        match[1] for info in store.list("channels") if (match := re.fullmatch(r"channels/([^/]+)\.json", info.key))
    ]
    return [found for found in (manifests.find_or_warn(find, store, name) for name in names) if found]


def promote(store: Store, run: str, channel: str, *, single_writer: bool = False) -> Channel:
    """Point a channel at a published run, and keep the history. Where it points there already, nothing is written.

    Args:
        store: at `<output>`.
        run: a published run.
        channel: the channel's name; made when it is new.
        single_writer: the caller knows that nobody else writes, so a store without conditional writes will do.

    Raises:
        NotFoundError: the run is not published.
        SpecError: the store does not honour conditional writes.
    """
    return _promote(store, run, channel, single_writer=single_writer, done=lambda found: found.run == run)


def promote_once(store: Store, run: str, *, channel: str, single_writer: bool = False) -> Channel:
    """Point a channel at a run unless it ever did: a run that is started again must not undo a newer promotion."""

    def had(found: Channel) -> bool:
        return any(promotion.run == run for promotion in found.history)

    return _promote(store, run, channel, single_writer=single_writer, done=had)


def _promote(store: Store, run: str, name: str, *, single_writer: bool, done: Callable[[Channel], bool]) -> Channel:
    manifests.read(store, run)
    found, etag = _read(store, name)
    if found and done(found):
        return found
    if not single_writer and not store.below("channels").conditional_writes():
        raise SpecError(
            f"{store.uri} does not support conditional writes, so two writers could overwrite each other's change of "
            f"channel {name!r}. Use another store, or --single-writer if nobody else promotes."
        )
    entry = Promotion(run=run, at=manifests.now(), id=secrets.token_hex(8))
    pause = threading.Event()
    for _ in range(_TRIES):
        changed = Channel(name=name, history=(*(found.history if found else ()), entry))
        try:
            _write(store, changed, etag=etag, conditional=not single_writer)
            return changed
        except ConflictError:
            found, etag = _read(store, name)
            # Our own write may have been done though its answer was lost.
            if found and (entry in found.history or done(found)):
                return found
        pause.wait(random.uniform(0, 0.1))  # so that two writers do not meet again
    raise TransientError(
        f"Other writers changed the channel {name!r} of {store.uri} first, {_TRIES} times. Promote again."
    )


def _write(store: Store, channel: Channel, *, etag: str | None, conditional: bool) -> None:
    key, data = _key(channel.name), channel.to_json()
    if not conditional:
        store.put(key, data)
    elif etag is None:
        store.put(key, data, if_absent=True)
    else:
        store.put(key, data, if_match=etag)


def _read(store: Store, name: str) -> tuple[Channel | None, str | None]:
    found = store.find(_key(name))
    if found is None:
        return None, None
    return Channel.from_json(found[0], name=name, source=f"{store.uri}{_key(name)}"), found[1]


def _key(name: str) -> str:
    if not re.match(manifests.NAME, name):
        raise SpecError(
            f"{name!r} is not a valid channel name. Use lower-case letters, digits and '-', beginning with a letter."
        )
    return f"channels/{name}.json"
