"""Many objects at once: how they are sent and brought, and what happens when a line breaks."""

import asyncio
import hashlib
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError

from trainer.errors import ConflictError, NotFoundError, TransientError
from trainer.storage.base import Meter, ObjectInfo
from trainer.storage.faults import CAUGHT, Place
from trainer.storage.landing import Landing

IN_FLIGHT: Final = 128
"""Requests under way: small objects cost waiting, not bytes. More gave no more speed, on one machine."""

LARGE: Final = 8 << 20
"""Bytes from which an object is brought and sent in parts, so that memory and what a broken line costs are bounded."""

_LARGE_IN_FLIGHT: Final = 8
"""Large objects under way: each holds one part in memory."""

_WORTH_A_QUESTION: Final = 1 << 20
"""Bytes from which it is cheaper to ask whether an object is there already than to send it again."""

Item = TypeVar("Item")


async def all_of(items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do a piece of work for every item, `IN_FLIGHT` at once; the first error ends the others."""
    waiting = iter(items)

    async def take() -> None:
        for item in waiting:
            await work(item)

    tasks = [asyncio.ensure_future(take()) for _ in range(IN_FLIGHT)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a transfer to its end, in a thread of its own.

    In this thread a signal's handler may raise to stop the run; inside an event loop that exception could
    fall into a callback, where asyncio only logs it.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="transfers", daemon=True)
    thread.start()
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        future.result()
    finally:
        future.cancel()  # does nothing when it is done
        asyncio.run_coroutine_threadsafe(_settle(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _settle() -> None:
    """Wait until cancelled tasks have let go of their files."""
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()


class Pull:
    """Brings objects to a landing."""

    def __init__(self, client: Any, *, place: Place, landing: Landing, meter: Meter, patience: float) -> None:
        self._client = client
        self._place = place
        self._landing = landing
        self._meter = meter
        self._patience = patience
        self._large = asyncio.Semaphore(_LARGE_IN_FLIGHT)

    async def bring(self, info: ObjectInfo) -> None:
        """Bring one object, over as many attempts as it takes while there is progress."""
        if info.size >= LARGE:
            async with self._large:
                temporary = self._landing.partial(info.key, etag=info.etag)
                self._meter.skip(_size(temporary))
                await self._persist(info, lambda: self._large_one(info, temporary), lambda: _size(temporary))
        else:
            await self._persist(info, lambda: self._small_one(info), lambda: 0)

    async def _small_one(self, info: ObjectInfo) -> None:
        result = await obstore.get_async(self._client, info.key, options={"if_match": info.etag or None})
        data = bytes(await result.bytes_async())
        self._landing.land_bytes(info.key, data, etag=info.etag)
        self._meter.add(len(data))

    async def _large_one(self, info: ObjectInfo, temporary: Path) -> None:
        with temporary.open("ab") as target:
            start = target.tell()
            if start < info.size:
                wanted: Any = {"range": {"offset": start}, "if_match": info.etag or None}
                result = await obstore.get_async(self._client, info.key, options=wanted)
                async for block in result.stream(min_chunk_size=1 << 20):
                    target.write(block)
                    self._meter.add(len(block))
        digest = await asyncio.to_thread(_sha256, temporary)
        self._landing.land(info.key, temporary, etag=info.etag, sha256=digest)

    async def _persist(
        self, info: ObjectInfo, attempt: Callable[[], Awaitable[None]], position: Callable[[], int]
    ) -> None:
        """Try again with back-off on transient faults, until `patience` has gone by without a byte."""
        reached, until, delay = position(), time.monotonic() + self._patience, 0.1
        while True:
            try:
                return await attempt()
            except CAUGHT as error:
                fault = self._place.translate(error, info.key, action="s3:GetObject")
                if isinstance(fault, ConflictError):
                    raise TransientError(
                        f"{self._place.uri(info.key)} was changed during the download. Run it again."
                    ) from error
                if not isinstance(fault, TransientError):
                    raise fault from error
                if position() > reached:
                    reached, until, delay = position(), time.monotonic() + self._patience, 0.1
                if time.monotonic() > until:
                    raise fault from error
            # Jitter, so that 128 requests do not come back together.
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, 3)


class Push:
    """Sends files as objects."""

    def __init__(self, client: Any, *, place: Place, meter: Meter, if_absent: bool) -> None:
        self._client = client
        self._place = place
        self._meter = meter
        self._if_absent = if_absent
        self._large = asyncio.Semaphore(_LARGE_IN_FLIGHT)
        self.moved = 0

    async def send(self, key: str, path: Path, *, size: int) -> None:
        """Send one file, unless it is large and there already."""
        try:
            if size < _WORTH_A_QUESTION:
                await self._put(key, path)
            else:
                async with self._large:
                    if await self._there(key, path, size=size):
                        self._meter.skip(size)
                        return
                    await self._put(key, path)
        except CAUGHT as error:
            if not path.exists():  # obstore has one word for this and for a missing bucket
                raise FileNotFoundError(path) from error
            raise self._place.translate(error, key, action="s3:PutObject") from error
        self.moved += 1
        self._meter.add(size)

    async def _put(self, key: str, path: Path) -> None:
        if not self._if_absent:
            await obstore.put_async(self._client, key, path, chunk_size=LARGE, max_concurrency=4)
            return
        try:
            await obstore.put_async(self._client, key, path, mode="create", use_multipart=False)
        except AlreadyExistsError:
            # Our own first request may have been done though its answer was lost.
            if not await self._same(key, path):
                raise

    async def _same(self, key: str, path: Path) -> bool:
        theirs = hashlib.sha256()
        with self._place.faults("s3:GetObject", key):
            result = await obstore.get_async(self._client, key)
            async for block in result.stream(min_chunk_size=1 << 20):
                theirs.update(block)
        return theirs.hexdigest() == await asyncio.to_thread(_sha256, path)

    async def _there(self, key: str, path: Path, *, size: int) -> bool:
        try:
            with self._place.faults("s3:GetObject", key):
                found = await obstore.head_async(self._client, key)
        except NotFoundError:
            return False
        if found["size"] != size or not found["e_tag"]:
            return False
        return found["e_tag"].strip('"') == await asyncio.to_thread(_s3_etag, path)


def _s3_etag(path: Path) -> str:
    """Return the etag that S3 makes of a file sent by us: MD5, or MD5 over the parts' MD5.

    Where it makes another (encryption with KMS), the file is sent again, which is only slower.
    """
    parts = []
    with path.open("rb") as stream:
        while block := stream.read(LARGE):
            parts.append(hashlib.md5(block, usedforsecurity=False))
    if len(parts) == 1:
        return parts[0].hexdigest()
    joined = hashlib.md5(b"".join(part.digest() for part in parts), usedforsecurity=False)
    return f"{joined.hexdigest()}-{len(parts)}"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
