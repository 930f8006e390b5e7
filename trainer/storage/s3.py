"""Buckets behind an S3 endpoint: obstore moves the bytes, boto3 only finds credentials."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import obstore
from obstore.store import HTTPStore
from obstore.store import S3Store as Client

from trainer.errors import AccessError, NotFoundError, SpecError
from trainer.storage import settings, transfers
from trainer.storage.base import HIDDEN, Listing, Meter, ObjectInfo, Store, Transfer
from trainer.storage.faults import CAUGHT, Place
from trainer.storage.keys import check_key
from trainer.storage.landing import Landing
from trainer.storage.settings import check_bucket
from trainer.system import regular
from trainer.telemetry.callbacks import OnProgress

if TYPE_CHECKING:  # these two exist for type checkers only
    from obstore.store import ClientConfig, RetryConfig

_CREDENTIALS_LAST: Final = timedelta(minutes=5)
"""boto3 renews credentials 10 minutes before they expire at the latest, so asking it this often never uses old ones."""

_FILE_LASTS: Final = timedelta(seconds=60)
"""How long keys out of a file hold before it is read again; a kubelet takes as long to bring a changed Secret."""

_HANDSHAKE: Final = 5.0
"""Seconds to check the server's certificate. If that takes longer, it is left to the first request."""

_PROVEN: Final[set[tuple[str, bytes | None]]] = set()
"""Servers whose certificate was checked, with the authorities that were trusted."""


def open_s3(*, bucket: str, prefix: str, environ: Mapping[str, str], patience: float) -> "S3Store":
    """Make a store for a bucket from the AWS tools' variables; see `open_store`."""
    check_bucket(bucket)
    known = settings.read(environ)
    base, virtual = known.base(bucket)
    place = Place(
        bucket=bucket,
        prefix=prefix,
        endpoint=base if known.endpoint else "AWS",
        virtual=known.addressing == "virtual",
    )
    # All of these are set: a missing one, the client would take from the environment, unchecked.
    config: Any = {
        "aws_endpoint_url_s3": base,
        "virtual_hosted_style_request": virtual,
        "region": known.region,
    }
    provider = None
    if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
        config["access_key_id"] = environ["AWS_ACCESS_KEY_ID"]
        config["secret_access_key"] = environ["AWS_SECRET_ACCESS_KEY"]
        if environ.get("AWS_SESSION_TOKEN"):
            config["session_token"] = environ["AWS_SESSION_TOKEN"]
    else:
        provider = _credentials(place)

    def connect(folder: str) -> Client:
        try:
            return Client(
                bucket,
                prefix=folder or None,
                config=config,
                credential_provider=provider,
                client_options=_client_options(base, known.authorities, patience),
                retry_config=_retry_config(patience),
            )
        except CAUGHT as error:
            # It refuses values of variables of its own, such as AWS_CHECKSUM_ALGORITHM.
            suspects = [
                name for name, value in environ.items() if name.startswith("AWS_") and f'"{value}"' in str(error)
            ]
            raise SpecError(
                f"The S3 client refuses a setting: {' or '.join(suspects) or 'a variable AWS_*'}. Correct or unset it."
            ) from error

    def prove() -> None:
        if base.startswith("https://"):
            _prove(base, known.authorities, place=place)

    return S3Store(connect, prove, place=place, patience=patience)


def _prove(base: str, authorities: bytes | None, *, place: Place) -> None:
    """Refuse a certificate at once: the client itself would retry, as after a lost connection."""
    if (base, authorities) in _PROVEN:
        return
    options = _client_options(base, authorities, _HANDSHAKE)
    options["timeout"] = timedelta(seconds=_HANDSHAKE)
    try:
        obstore.head(HTTPStore(base, client_options=options, retry_config={"max_retries": 0}), "")
    except CAUGHT as error:
        if refusal := place.not_trusted(error):
            raise refusal from error
    _PROVEN.add((base, authorities))


def _client_options(base: str, authorities: bytes | None, patience: float) -> "ClientConfig":
    options: ClientConfig = {
        "allow_http": base.startswith("http://"),
        "connect_timeout": timedelta(seconds=min(5, patience)),
        "read_timeout": timedelta(seconds=patience),
        "timeout": timedelta(hours=6),  # of a whole body: a slow line is no fault while bytes come
    }
    return {**options, "root_certificate": authorities} if authorities else options


def _retry_config(patience: float) -> "RetryConfig":
    return {
        "max_retries": 100,  # time decides
        "retry_timeout": timedelta(seconds=patience),
        "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=3), "base": 2},
    }


def _credentials(place: Place) -> Any:
    """Ask boto3 for the profile, role or workload identity; imported late, since it takes 0.2 s."""
    from boto3.session import Session
    from botocore.exceptions import BotoCoreError
    from botocore.loaders import Loader
    from obstore.auth.boto3 import Boto3CredentialProvider

    # In ~/.aws/models, a worker could tell boto3 another address for the service that takes a pod's token.
    Loader.CUSTOMER_DATA_PATH = os.devnull
    try:
        session = Session()
        if session.get_credentials() is None:
            raise AccessError(
                f"No credentials for {place.uri()}. On this machine set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_PROFILE. In a pod, use a service account with a role."
            )
        provider = Boto3CredentialProvider(session, ttl=_CREDENTIALS_LAST)
        return _FromFile(provider) if session.get_credentials().method == "shared-credentials-file" else provider
    except BotoCoreError as error:
        raise place.refused(type(error).__name__) from error


class _FromFile:
    """Keys in a file that may change, such as a mounted Secret; boto3 itself reads the file only once."""

    def __init__(self, first: Any) -> None:
        self.config = first.config
        self._last = first

    def __call__(self) -> Any:
        """Return the keys as the file has them now; the previous ones while it is being written."""
        from boto3.session import Session
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider

        # ValueError: it has no keys at the moment.
        with suppress(BotoCoreError, ValueError):
            self._last = Boto3CredentialProvider(Session(), ttl=_FILE_LASTS)
        return self._last()


class S3Store(Store):
    """Objects under a prefix of a bucket."""

    def __init__(
        self, connect: Callable[[str], Client], prove: Callable[[], None], *, place: Place, patience: float
    ) -> None:
        self.uri = place.uri() + "/"
        self._connect = connect
        self._prove = prove
        self._connected = connect(place.prefix)
        self._place = place
        self._patience = patience

    @property
    def _client(self) -> Client:
        self._prove()
        return self._connected

    def below(self, folder: str) -> "S3Store":
        """Open a folder of this location; see `Store.below`."""
        inner = "/".join(filter(None, [self._place.prefix, check_key(folder.strip("/"))]))
        return S3Store(self._connect, self._prove, place=replace(self._place, prefix=inner), patience=self._patience)

    def list(self, prefix: str = "") -> Listing:
        """List the objects under a folder; see `Store.list`."""
        folder = prefix.strip("/")
        with self._place.faults("s3:ListBucket", folder):
            pages = obstore.list(self._client, check_key(folder) if folder else None, chunk_size=1000)
            # An empty object `x/` marks a folder in some tools; here its name is `x`.
            found = [_info(meta) for page in pages for meta in page if meta["path"]]
        parents = {info.key.rpartition("/")[0] for info in found}
        listed = (info for info in found if not _hidden(info.key) and (info.size or info.key not in parents | {folder}))
        return sorted(listed, key=lambda info: info.key)

    def first(self) -> ObjectInfo | None:
        """Return any object that is neither empty nor hidden; see `Store.first`."""
        with self._place.faults("s3:ListBucket"):
            pages = obstore.list(self._client, chunk_size=50)
            found = (_info(meta) for page in pages for meta in page if meta["path"] and meta["size"])
            return next((info for info in found if not _hidden(info.key) and not regular.hidden(info.key)), None)

    def read(self, key: str) -> tuple[bytes, str]:
        """Return an object's content and etag; see `Store.read`."""
        with self._place.faults("s3:GetObject", check_key(key)):
            result = obstore.get(self._client, key)
            return bytes(result.bytes()), result.meta["e_tag"] or ""

    def stat(self, keys: Iterable[str]) -> Listing:
        """Return size and etag of objects; see `Store.stat`."""
        client, names = self._client, [check_key(key) for key in keys]
        infos: dict[str, ObjectInfo] = {}

        async def look(key: str) -> None:
            with self._place.faults("s3:GetObject", key):
                infos[key] = _info(await obstore.head_async(client, key))

        with self._bucket_named():
            transfers.run(transfers.all_of(names, look))
        return [infos[key] for key in names]

    def put(self, key: str, data: bytes, *, if_absent: bool = False, if_match: str | None = None) -> str:
        """Write an object whole; see `Store.put`."""
        with self._place.faults("s3:PutObject", check_key(key)):
            mode: Any = "create" if if_absent else {"e_tag": if_match} if if_match is not None else "overwrite"
            result = obstore.put(self._client, key, data, mode=mode, use_multipart=False)
            return result["e_tag"] or ""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; see `Store.delete`."""
        names = [check_key(key) for key in keys]
        if names:
            with self._place.faults("s3:DeleteObject"):
                obstore.delete(self._client, names)

    def push(
        self, files: Mapping[str, Path], progress: OnProgress | None = None, *, if_absent: bool = False
    ) -> Transfer:
        """Send files; see `Store.push`."""
        started = time.monotonic()
        sizes = {check_key(key): path.stat().st_size for key, path in files.items()}
        meter = Meter(progress, total=sum(sizes.values()))
        push = transfers.Push(self._client, place=self._place, meter=meter, if_absent=if_absent)
        transfers.run(transfers.all_of(files, lambda key: push.send(key, files[key], size=sizes[key])))
        return Transfer(
            digests={},
            files=len(files),
            bytes=meter.total,
            moved_files=push.moved,
            moved_bytes=meter.moved,
            seconds=time.monotonic() - started,
        )

    def _fetch(self, infos: Listing, *, landing: Landing, meter: Meter) -> None:
        pull = transfers.Pull(self._client, place=self._place, landing=landing, meter=meter, patience=self._patience)
        transfers.run(transfers.all_of(infos, pull.bring))

    @contextmanager
    def _bucket_named(self) -> Iterator[None]:
        """Distinguish a missing bucket from a missing object, which the answer to HEAD does not."""
        try:
            yield
        except NotFoundError:
            with self._place.faults("s3:ListBucket"):
                next(iter(obstore.list(self._client, chunk_size=1)), None)
            raise


def _hidden(key: str) -> bool:
    return key.rpartition("/")[2].startswith(HIDDEN)


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(key=meta["path"], size=meta["size"], etag=meta["e_tag"] or "")
