"""Objects of a cluster as they are now: listed once, then watched, through restarts of the API server."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jobs.kube.client import Cluster, ExpiredError, MissingKindError
from jobs.kube.fields import text
from jobs.kube.kinds import Kind
from jobs.kube.objects import Object
from trainer.errors import AccessError, TransientError

PATIENCE: Final = 300.0
"""Seconds that an API server may be away: an upgrade of a control plane takes a minute or two."""

_PAUSES: Final = (0.2, 1.0, 2.0, 5.0)
"""Seconds before each next try to reach it; the last one for all later ones."""


@dataclass
class _Away:
    """A server that does not answer about a collection."""

    since: float
    """By the monotonic clock."""
    tries: int = 0


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Objects to follow."""

    kind: Kind
    selector: str = ""
    """By labels."""
    fields: str = ""
    """By fields."""
    everywhere: bool = False
    """In all namespaces."""
    needed: bool = True
    """Whether it is an error when they may not be read, or the cluster has no such kind."""


class Following:
    """Follows collections until it is closed; each has a thread of its own."""

    def __init__(self, cluster: Cluster, collections: Mapping[str, Collection], *, patience: float = PATIENCE) -> None:
        """Begin to follow, and return at once.

        Args:
            cluster: where.
            collections: what, by names to ask for it.
            patience: seconds that the API server may be away.
        """
        self._cluster, self._patience = cluster, patience
        self._changed = threading.Condition()
        self._version = self._seen = 0
        self._held: dict[str, dict[str, Object] | None] = {}
        self._waiting_for = set(collections)
        self._away: dict[str, _Away] = {}
        self._error: Exception | None = None
        self._closed = threading.Event()
        for name, collection in collections.items():
            threading.Thread(target=self._follow, args=(name, collection), name=f"follow-{name}", daemon=True).start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until something has changed since the last call, first of all until all is listed.

        That the API server is away, or is back, is a change, too.

        Returns:
            Whether it has; False when the time is over.

        Raises:
            OcrfleetError: the objects can't be followed any more.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._error or (not self._waiting_for and self._version != self._seen), seconds
            )
            if self._error:
                raise self._error
            new, self._seen = not self._waiting_for and self._version != self._seen, self._version
            return new

    def now(self, name: str) -> list[Object] | None:
        """Return the objects of a collection; None if they may not be read or their kind is not there."""
        with self._changed:
            held = self._held.get(name)
            return None if held is None else list(held.values())

    @property
    def away_since(self) -> float | None:
        """Since when, by the monotonic clock, the API server does not answer; None while it does."""
        with self._changed:
            return min((each.since for each in self._away.values()), default=None)

    def close(self) -> None:
        """Follow no longer; what a thread waits for ends with the process."""
        self._closed.set()

    def __enter__(self) -> "Following":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self, name: str, wanted: Collection) -> None:
        since: str | None = None
        while not self._closed.is_set():
            try:
                if since is None:
                    since = self._list(name, wanted)
                since = self._watch(name, wanted, since)
            except ExpiredError:
                since = None
            except TransientError as error:
                if (pause := self._lost(name, error)) is None:
                    return
                self._closed.wait(pause)
            except (AccessError, MissingKindError) as error:
                if wanted.needed:
                    self._end(error)
                else:
                    self._hold(name, None)
                return
            except Exception as error:  # noqa: BLE001  # `wait` raises it in the caller
                self._end(error)
                return

    def _list(self, name: str, wanted: Collection) -> str:
        found, version = self._cluster.find(
            wanted.kind, selector=wanted.selector, fields=wanted.fields, everywhere=wanted.everywhere
        )
        self._hold(name, {text(each, "metadata", "uid"): each for each in found})
        return version

    def _watch(self, name: str, wanted: Collection, since: str) -> str:
        for what, found in self._cluster.watch(
            wanted.kind, since=since, selector=wanted.selector, fields=wanted.fields, everywhere=wanted.everywhere
        ):
            since = text(found, "metadata", "resourceVersion") or since
            with self._changed:
                if self._closed.is_set():
                    break
                if self._away.pop(name, None):
                    self._tell()
                held = self._held[name]
                if what == "BOOKMARK" or held is None:
                    continue
                uid = text(found, "metadata", "uid")
                if what == "DELETED":
                    held.pop(uid, None)
                else:
                    held[uid] = found
                self._tell()
        return since

    def _hold(self, name: str, held: dict[str, Object] | None) -> None:
        with self._changed:
            self._held[name] = held
            self._waiting_for.discard(name)
            self._away.pop(name, None)
            self._tell()

    def _lost(self, name: str, error: TransientError) -> float | None:
        """Return the seconds before the next try; None if it has been away for too long."""
        with self._changed:
            if name not in self._away:
                self._away[name] = _Away(time.monotonic())
                self._tell()
            away = self._away[name]
            if time.monotonic() - away.since > self._patience:
                self._error = self._error or error
                self._tell()
                return None
            away.tries += 1
            return _PAUSES[min(away.tries, len(_PAUSES)) - 1]

    def _end(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.notify_all()
