"""A small API server over real HTTP: it keeps, lists and watches objects as Kubernetes does, and fails when told to.

It knows no kinds: whatever is put under a path is there. Server-side apply is a merge; owners of fields are not kept.
"""

import copy
import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from jobs.kube.kinds import Kind, kind_of
from tests.objects import Object
from tests.unit.jobs import execution

TOKEN = "a-token"


@dataclass
class Answer:
    """One answer out of the ordinary."""

    status: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """Why an admission webhook does not let an object in."""


class ApiServer:
    """What the server holds, and what it was asked."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.version = 100
        self.forgotten = 0
        """Watches from before this version are answered with 410."""
        self.objects: dict[str, Object] = {}
        """By path."""
        self.history: list[tuple[int, str, str, Object]] = []
        self.groups = {"batch": "batch/v1"}
        """Versions that are preferred, by group."""
        self.kinds = {"batch/v1": ["Job", "CronJob"], "v1": ["Pod", "Event", "Service"]}
        self.refused: set[tuple[str, str]] = set()
        """Pairs of a verb and a plural that this user may not."""
        self.webhooks: list[Callable[[Object], None]] = []
        """Each may change or refuse an object that is applied, in a dry run too, as admission webhooks do."""
        self.next: list[Answer] = []
        """Answers to the next requests, in place of the right ones."""
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        """Method, path, query and body of each request."""
        self.impersonated: list[str] = []
        """Users that requests were made as."""
        self.written: dict[str, str] = {}
        self.lost_logs: list[str] = []
        """Pods whose container the kubelet has not the next time that it is asked: it says so with status 200."""
        """Logs by pod."""
        self.cuts = 0
        self.ends = 0
        self.page = 10_000
        self.items_first = False

    def put(self, found: Mapping[str, Any], *, namespace: str = "default") -> Object:
        """Hold an object, as a controller or another user would write it."""
        kind = kind_of(found)
        body = copy.deepcopy(dict(found))
        path = kind.path(namespace=namespace, name=body["metadata"]["name"])
        with self.changed:
            return self._keep(path, body, namespace if kind.namespaced else None)

    def write(self, pod: str, *lines: str) -> None:
        """Let a pod write lines."""
        with self.changed:
            self.written[pod] = self.written.get(pod, "") + "".join(f"{line}\n" for line in lines)
            self.changed.notify_all()

    def take(self, kind: Kind, name: str, *, namespace: str = "default") -> None:
        """Let an object be gone."""
        with self.changed:
            self._drop(kind.path(namespace=namespace, name=name))

    def cut(self) -> None:
        """Break all watches, as a server does that is started again."""
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    def end_logs(self) -> None:
        """End all logs as if their pods had said all, as a server does that is told to end."""
        with self.changed:
            self.ends += 1
            self.changed.notify_all()

    def forget(self) -> None:
        """Forget what was before, as etcd does when it is compacted."""
        with self.changed:
            self.version += 1
            self.forgotten = self.version

    def _keep(self, path: str, body: Object, namespace: str | None) -> Object:
        old = self.objects.get(path)
        metadata = body["metadata"]
        if namespace:
            metadata["namespace"] = namespace
        metadata["uid"] = old["metadata"]["uid"] if old else metadata.get("uid") or str(uuid.uuid4())
        metadata.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        self.objects[path] = body
        self._note("MODIFIED" if old else "ADDED", path, body)
        return body

    def _drop(self, path: str) -> Object | None:
        found = self.objects.pop(path, None)
        if found:
            self.version += 1
            found["metadata"]["resourceVersion"] = str(self.version)
            self._note("DELETED", path, found)
        return found

    def _note(self, what: str, path: str, body: Object) -> None:
        self.history.append((self.version, what, path, copy.deepcopy(body)))
        self.changed.notify_all()

    @contextmanager
    def serving(self, folder: Path) -> Iterator[Path]:
        """Serve, and give a kubeconfig whose context is `fake`."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"held": self}))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {"token": TOKEN}}],
            "contexts": [
                {"name": "fake", "context": {"cluster": "c", "user": "u"}},
                {"name": "elsewhere", "context": {"cluster": "c", "user": "u", "namespace": "team-ocr"}},
            ],
        }
        path = folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config), "utf-8")
        try:
            yield path
        finally:
            self.cut()
            server.shutdown()
            server.server_close()


class _Handler(BaseHTTPRequestHandler):
    held: ApiServer
    protocol_version = "HTTP/1.1"
    # Head and body are written apart; to hold the second back until the first is confirmed costs 40 ms a request.
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._do()

    do_POST = do_PATCH = do_DELETE = do_GET

    def _do(self) -> None:
        url, held = urlsplit(self.path), self.held
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(data) if data else None
        self.cuts = held.cuts  # whatever is cut from now on is this line, too
        held.asked.append((self.command, url.path, query, body))
        held.impersonated += self.headers.get_all("Impersonate-User") or []
        if held.next:
            wrong = held.next.pop(0)
            return self._fail(wrong.status, wrong.message, wrong.headers)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._fail(401, "Unauthorized")
        parts = url.path.strip("/").split("/")
        if parts[-1] == "selfsubjectaccessreviews":
            asked = body["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in held.refused
            return self._answer({**body, "status": {"allowed": allowed}}, 201)
        if found := self._discovery(parts):
            return self._answer(found)
        rest = parts[2 if parts[0] == "api" else 3 :]
        if not rest:
            return self._fail(404, "the server could not find the requested resource", details={})
        namespace = rest[1] if rest[0] == "namespaces" and len(rest) > 2 else None
        plural, *names = rest[2:] if namespace else rest
        verb = {"GET": "get" if names else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[self.command]
        verb = "watch" if "watch" in query else verb
        if (verb, "/".join([plural, *names[1:]])) in held.refused:
            return self._fail(403, f'{plural} is forbidden: User "u" cannot {verb} resource "{plural}"')
        version = "/".join(parts[1 : 2 if parts[0] == "api" else 3])
        if (
            parts[0] == "apis"
            and version not in held.kinds
            and not any(p.startswith(f"/apis/{version}/") for p in held.objects)
        ):
            return self._fail(404, "the server could not find the requested resource", details={})
        if names[1:] == ["log"]:
            return self._log(names[0], url.path.removesuffix("/log"), query)
        if names[1:] == ["exec"]:
            return self._execute(parse_qs(url.query)["command"])
        if self.command == "GET" and not names:
            return self._watch(url.path, query) if "watch" in query else self._list(url.path, query)
        with held.changed:
            self._one(url.path, namespace, query, body, plural=plural, name=names[0] if names else None)
        return None

    def _discovery(self, parts: list[str]) -> Object | None:
        if parts[0] == "apis" and len(parts) == 2 and parts[1] in self.held.groups:
            return {"kind": "APIGroup", "preferredVersion": {"groupVersion": self.held.groups[parts[1]]}}
        version = "/".join(parts[1:])
        if version in self.held.kinds:
            return {"resources": [{"kind": each, "name": each.lower() + "s"} for each in self.held.kinds[version]]}
        return None

    def _one(
        self, path: str, namespace: str | None, query: dict[str, str], body: Any, *, plural: str, name: str | None
    ) -> None:
        held = self.held
        dry = "dryRun" in query
        if self.command == "POST":
            name = body["metadata"].get("name") or body["metadata"]["generateName"] + uuid.uuid4().hex[:5]
            made = {**body, "metadata": {**body["metadata"], "name": name}}
            return self._answer(made if dry else held._keep(f"{path}/{name}", made, namespace), 201)
        old = held.objects.get(path)
        if old is None and not (self.command == "PATCH" and "apply" in self.headers["Content-Type"]):
            return self._fail(404, f'{plural} "{name}" not found', details={"name": name})
        if self.command == "GET":
            return self._answer(old)
        if self.command == "DELETE":
            held._drop(path)
            return self._answer({"kind": "Status", "status": "Success"})
        merged = _merged(copy.deepcopy(old) if old else {}, body)
        try:
            for webhook in held.webhooks:
                webhook(merged)
        except Refusal as refusal:
            return self._fail(403, str(refusal))
        if old and {**merged, "metadata": {**merged["metadata"], "resourceVersion": ""}} == {
            **old,
            "metadata": {**old["metadata"], "resourceVersion": ""},
        }:
            return self._answer(old)
        return self._answer(merged if dry else held._keep(path, merged, namespace))

    def _list(self, path: str, query: dict[str, str]) -> None:
        with self.held.changed:
            found = [each for at, each in sorted(self.held.objects.items()) if _below(path, at) and _fits(each, query)]
            first = int(query.get("continue", 0))
            limit = min(int(query.get("limit", len(found) or 1)), self.held.page)
            rest = str(first + limit) if first + limit < len(found) else ""
            items = [{k: v for k, v in each.items() if k not in ("kind", "apiVersion")} for each in found]
            metadata = {"resourceVersion": str(self.held.version), "continue": rest}
        content = {"metadata": metadata, "items": items[first : first + limit]}
        # Of kinds that are not Kubernetes' own the fields come in the order of their names.
        self._answer(dict(sorted(content.items())) if self.held.items_first else content)

    def _watch(self, path: str, query: dict[str, str]) -> None:
        held, since = self.held, int(query.get("resourceVersion") or 0)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with held.changed:
            if since < held.forgotten:
                status = {"kind": "Status", "code": 410, "message": f"too old resource version: {since}"}
                self._chunk({"type": "ERROR", "object": status})
                return self._end_of_chunks()
            while self.cuts == held.cuts:
                for version, what, at, body in held.history:
                    if version > since and _below(path, at) and _fits(body, query):
                        self._chunk({"type": what, "object": body})
                since = held.version
                held.changed.wait()
        # No last chunk: the line breaks.
        self.close_connection = True

    def _log(self, pod: str, path: str, query: dict[str, str]) -> None:
        held = self.held
        if pod not in held.written:
            return self._fail(404, f'pods "{pod}" not found', details={"name": pod})
        if pod in held.lost_logs:
            held.lost_logs.remove(pod)
            return self._send(200, b"unable to retrieve container logs for containerd://0a1b2c3d", "text/plain")
        if "follow" not in query:
            return self._send(200, "".join(_log_lines(held.written[pod], query)).encode(), "text/plain")
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        stamped = {key: value for key, value in query.items() if key == "timestamps"}
        with held.changed:
            lines, whole = _log_lines(held.written[pod], query), len(_log_lines(held.written[pod], {}))
            ends = held.ends
            while self.cuts == held.cuts:
                for line in lines:
                    self._bytes(line.encode())
                if held.objects.get(path, {}).get("status", {}).get("phase") != "Running":
                    return self._end_of_chunks()
                held.changed.wait()
                if ends != held.ends:
                    return self._end_of_chunks()
                every = _log_lines(held.written[pod], stamped)
                lines, whole = every[whole:], len(every)
        self.close_connection = True
        return None

    def _execute(self, command: list[str]) -> None:
        self.send_response(101)
        for name, value in execution.accept(self.headers["Sec-WebSocket-Key"]).items():
            self.send_header(name, value)
        self.end_headers()
        execution.execute(command, self.rfile, self.wfile)  # type: ignore[arg-type]
        self.close_connection = True

    def _chunk(self, what: Object) -> None:
        self._bytes(json.dumps(what).encode() + b"\n")

    def _bytes(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _end_of_chunks(self) -> None:
        self.wfile.write(b"0\r\n\r\n")

    def _answer(self, body: Any, status: int = 200) -> None:
        self._send(status, json.dumps(body).encode(), "application/json")

    def _fail(self, code: int, message: str, headers: Mapping[str, str] | None = None, *, details: Any = None) -> None:
        body = {"kind": "Status", "code": code, "message": message, "details": details}
        self._send(code, json.dumps(body).encode(), "application/json", headers)

    def _send(self, code: int, data: bytes, content: str, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": content, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _log_lines(text: str, query: Mapping[str, str]) -> list[str]:
    """Give lines as they are asked for; each was written a second after the one before."""
    lines = [(f"2026-01-01T00:{i // 60:02}:{i % 60:02}.5Z", line) for i, line in enumerate(text.splitlines(True))]
    if "sinceTime" in query:
        # The server looks at whole seconds only.
        lines = [(stamp, line) for stamp, line in lines if stamp[:19] >= query["sinceTime"][:19]]
    if "tailLines" in query:
        lines = lines[max(len(lines) - int(query["tailLines"]), 0) :]
    return [f"{stamp} {line}" if "timestamps" in query else line for stamp, line in lines]


def _below(collection: str, path: str) -> bool:
    """Whether an object is of a collection, which may be of all namespaces."""
    parts, asked = path.split("/"), collection.split("/")
    return path.startswith(f"{collection}/") or ("namespaces" not in asked and [*parts[:-4], parts[-2]] == asked)


def _fits(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equals, value = term.partition("=")
        if labels.get(name) != value if equals else name not in labels:
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        name, _, value = term.partition("=")
        place: Any = found
        for step in name.split("."):
            place = (place or {}).get(step)
        if place != value:
            return False
    return True


def _merged(old: Object, new: Object) -> Object:
    for key, value in new.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and isinstance(old.get(key), dict):
            _merged(old[key], value)
        else:
            old[key] = copy.deepcopy(value)
    return old
