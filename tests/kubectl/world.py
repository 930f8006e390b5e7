"""A case: what a user has, and what kubectl and ocrfleet each do with it, beside the same fake servers.

Texts of a case may name what is made for each run, as `<port>` or `<ca>`; `World.value` has the names.
"""

import base64
import datetime
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.kubectl import certificates
from tests.kubectl.proxies import proxy, socks
from tests.kubectl.server import Answer, Answers, ApiServer, Arrival, Listener, Request, Routes, listening, load
from tests.layers import NEWEST, Program

ROOT: Final = Path(__file__).parents[2]

KUBECTL: Final = Program(NEWEST, "kubectl", "65691ff77eb6fa44c908b77a1082c9f092c3b9733b5cefabec0d1104890e21a8")

TOKEN: Final = "s3cr3t-token"
"""Whatever must not be printed has `s3cr3t` in it."""

CLUSTER: Final[Mapping[str, Any]] = {"server": "https://127.0.0.1:<port>", "certificate-authority-data": "<ca>"}


@dataclass(frozen=True)
class Link:
    """A symbolic link among the files of a case."""

    target: str


@dataclass(frozen=True)
class Script:
    """An executable file among the files of a case."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Case:
    """What a user has, and whether kubectl works with it."""

    id: str
    """What the case claims."""

    works: bool = True
    """Whether kubectl lists anything."""

    user: Mapping[str, Any] | None = field(default_factory=lambda: {"token": TOKEN})
    cluster: Mapping[str, Any] = field(default_factory=lambda: CLUSTER)
    context: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Any] = field(default_factory=dict)
    """By their paths: text, what to write as YAML, a link, a script, or None for a folder. `config` is the kubeconfig,
    and made of user, cluster and context unless it is here."""

    env: Mapping[str, str | None] = field(default_factory=dict)
    flags: Sequence[str] = ()
    answers: Answers = lambda *_: None
    closed_stdin: bool = False
    difference: str = ""
    """Why ocrfleet does otherwise, on purpose."""


def config(
    *,
    user: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    name: str = "c",
) -> dict[str, Any]:
    """Return a kubeconfig whose cluster, user and context have one name."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": name, "cluster": {**(CLUSTER if cluster is None else cluster)}}],
        "users": [{"name": name, "user": {"token": TOKEN} if user is None else {**user}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, **(context or {})}}],
    }


@dataclass(frozen=True)
class Outcome:
    """The result of one program; only what must be equal in both is compared."""

    works: bool
    arrivals: frozenset[Arrival]
    namespaces: frozenset[str]
    """Of the Jobs that were listed; empty where that did not work."""

    logins: frozenset[str]
    """What programs that log in were told."""

    waited: bool
    """Whether no request came before the server's Retry-After was over."""

    stderr: str = field(compare=False)
    attempts: int = field(compare=False)
    """The most requests for one path."""


class World:
    """What one program of a case meets."""

    def __init__(self, case: Case, folder: Path) -> None:
        self._case, self._folder = case, folder
        self._stack, self._known = ExitStack(), dict[str, str]()
        self._routes = Routes()
        self._early = False
        self._open = dict[str, float]()
        self._listeners = list[Listener]()
        self.gone = threading.Event()
        """Set when the program has ended."""
        self._api = ApiServer(self._answer, self._routes)

    def __getitem__(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = self._make(name)
        return self._known[name]

    def _make(self, name: str) -> str:
        words = name.split("-")
        match words:
            case ["folder"]:
                return str(self._folder)
            case [*kind, "port"]:
                return str(self._stack.enter_context(listening(self._listener("-".join(kind)))))
            case ["socks", "proxy"]:
                return f"127.0.0.1:{self._stack.enter_context(listening(socks(name, self._routes)))}"
            case [*_, "proxy"]:
                pair = certificates.server("other" if "other" in words else "usual") if "tls" in words else None
                return f"127.0.0.1:{self._stack.enter_context(listening(proxy(name, self._routes, pair=pair)))}"
            case ["pem", *rest]:
                return self._pem(rest).decode()
            case ["lines", *rest]:
                return base64.encodebytes(self._pem(rest)).decode()
            case _:
                return base64.b64encode(self._pem(words)).decode()

    def reload(self, pair: certificates.Pair) -> None:
        """Let the API servers have another certificate from now on."""
        for each in self._listeners:
            if each.tls:
                load(each.tls, pair)

    def _listener(self, kind: str) -> Listener:
        pair = None if kind == "plain" else certificates.server(kind if kind in _SERVERS else "usual")
        host = "::1" if kind == "ipv6" else "127.0.0.1"
        self._listeners.append(self._api.listener(kind or "api", pair=pair, host=host))
        return self._listeners[-1]

    def _pem(self, words: list[str]) -> bytes:
        match words:
            case ["ca"]:
                return certificates.authority("usual").cert_pem.bytes()
            case ["ca", kind]:
                return certificates.authority(kind).cert_pem.bytes()
            case ["server"]:
                return certificates.server("usual").certificate
            case ["locked", "key"]:
                return certificates.encrypted_key()
            case [name, "cert"]:
                return certificates.user(name).certificate
            case [name, "key"]:
                return certificates.user(name).key
        raise KeyError("-".join(words))

    def fill(self, content: Any) -> Any:
        """Return what a case has written, with the names in it replaced."""
        if isinstance(content, str):
            return re.sub(r"<([a-z0-9-]+)>", lambda found: self[found[1]], content)
        if isinstance(content, Mapping):
            return {key: self.fill(value) for key, value in content.items()}
        if isinstance(content, list):
            return [self.fill(each) for each in content]
        return content

    def run(self, *command: str | Path) -> Outcome:
        """Run a program with the case's flags."""
        with self._stack:
            case = self._case
            written = {"config": config(user=case.user, cluster=case.cluster, context=case.context), **case.files}
            for path, content in written.items():
                self._write(self._folder / path, content)
            words = [*map(str, command), *map(self.fill, case.flags)]
            if case.closed_stdin:
                words = ["sh", "-c", 'exec "$0" "$@" <&-', *words]
            done = subprocess.run(
                words,
                env=self._environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=90,
                check=False,
            )
            self.gone.set()
            return self._outcome(done)

    def _write(self, path: Path, content: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        match content:
            case None:
                path.mkdir()
            case Link(target):
                path.symlink_to(self.fill(target))
            case Script(text):
                path.write_text(self.fill(text), "utf-8")
                path.chmod(0o755)
            case str(text):
                path.write_text(self.fill(text), "utf-8")
            case _:
                path.write_text(yaml.safe_dump(self.fill(content)), "utf-8")

    def _environment(self) -> dict[str, str]:
        home = self._folder / "home"
        home.mkdir(exist_ok=True)
        usual = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "KUBECONFIG": str(self._folder / "config"),
            "KUBECACHEDIR": str(self._folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        return {key: self.fill(value) for key, value in {**usual, **self._case.env}.items() if value is not None}

    def _answer(self, request: Request) -> Answer | None:
        # An answer that asks for patience closes its path until then.
        self._early |= request.at < self._open.get(request.path, 0.0)
        answer = self._case.answers(request, self)
        if answer and (seconds := answer.headers.get("Retry-After", "")).isdecimal():
            self._open[request.path] = request.at + int(seconds)
        return answer

    def _outcome(self, done: "subprocess.CompletedProcess[str]") -> Outcome:
        requests = [each for each in self._api.requests if each.path.startswith("/api")]
        listed = [found[1] for each in requests if (found := _JOBS.match(each.path))]
        return Outcome(
            works=done.returncode == 0,
            arrivals=frozenset(each.arrival for each in requests),
            namespaces=frozenset(listed if done.returncode == 0 else ()),
            logins=frozenset(self._logins()),
            waited=not self._early,
            stderr=done.stderr,
            attempts=max(Counter(each.path for each in requests).values(), default=0),
        )

    def _logins(self) -> Iterator[str]:
        written = self._folder / "logins"
        for line in written.read_text("utf-8").splitlines() if written.exists() else ():
            for name, value in self._known.items():
                line = line.replace(value, f"<{name}>")
            yield json.dumps(_without_nulls(json.loads(line)), sort_keys=True)


def _without_nulls(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_nulls(value) for key, value in content.items() if value is not None}
    return content


_SERVERS: Final = ("other", "intermediate", "expired", "misnamed")
"""Servers whose certificates are not the usual one."""

_JOBS: Final = re.compile(r"/apis/batch/v1/namespaces/([^/?]+)/jobs\b")


def outcomes(case: Case, folder: Path) -> tuple[Outcome, Outcome]:
    """Run kubectl and ocrfleet; return the outcome of each."""
    commands = {
        "kubectl": (KUBECTL.path(), "get", "jobs.v1.batch", "-o", "name"),
        "ocrfleet": (sys.executable, "-P", "-m", "jobs.cli", "list", "-o", "name"),
    }

    def one(name: str) -> Outcome:
        (folder / name).mkdir()
        return World(case, folder / name).run(*commands[name])

    with ThreadPoolExecutor(2) as pool:
        kubectl, ocrfleet = pool.map(one, commands)
    return kubectl, ocrfleet


_NOT_FOR_USERS: Final = re.compile(
    r"[Ff]ault of ocrfleet|Traceback|object at 0x|ConnectionPool\(|\b[A-Za-z.]+(Exception|Warning)\b|s3cr3t|PRIVATE KEY"
)


def judge(case: Case, folder: Path) -> None:
    """Check that both programs do the same, or not where the case says why; and that ocrfleet explains a refusal."""
    kubectl, ocrfleet = outcomes(case, folder)
    assert kubectl.works == case.works, f"the case is wrong; kubectl says: {kubectl.stderr}"
    found = _NOT_FOR_USERS.search(ocrfleet.stderr)
    assert not found, f"{found and found[0]!r} is in: {ocrfleet.stderr}"
    assert ocrfleet.works or _explains(ocrfleet.stderr), ocrfleet.stderr
    assert ocrfleet.attempts <= max(kubectl.attempts, 2), "it asks more often than kubectl"
    if case.difference:
        assert ocrfleet != kubectl, f"there is no difference any more: {case.difference}"
    else:
        assert ocrfleet == kubectl, "\n".join(_differences(kubectl, ocrfleet))


def _explains(stderr: str) -> bool:
    """Check that a refusal is in sentences, or that the command line itself is one that no kubeconfig could help."""
    # What programs that log in write to the terminal is theirs.
    lines = [line for line in stderr.splitlines() if not line.startswith("login: ")]
    if lines and lines[0].startswith("usage: "):
        return "error: argument " in lines[-1]
    return bool(lines) and all(line.startswith("error: ") for line in lines)


def _differences(kubectl: Outcome, ocrfleet: Outcome) -> Iterator[str]:
    """Return what differs, for a person."""
    for name in ("works", "waited"):
        if getattr(kubectl, name) != getattr(ocrfleet, name):
            yield f"{name}: {getattr(kubectl, name)} in kubectl, {getattr(ocrfleet, name)} in ocrfleet"
    for name in ("arrivals", "namespaces", "logins"):
        for program, one, other in (("kubectl", kubectl, ocrfleet), ("ocrfleet", ocrfleet, kubectl)):
            yield from (f"{name} of {program} alone: {each}" for each in getattr(one, name) - getattr(other, name))
    for program, each in (("kubectl", kubectl), ("ocrfleet", ocrfleet)):
        yield f"{program}: {each.stderr.strip()}"


def date(year: int, month: int, day: int) -> datetime.date:
    """Return what YAML writes without quotes, as if it were no text."""
    return datetime.date(year, month, day)
