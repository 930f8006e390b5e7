"""The one way to a cluster: the API server's JSON in and out, with a deadline on every call.

The package `kubernetes` sends the requests (`jobs/kube/connection.py`). Paths and bodies are written here, and answers
decoded, so that a thousand objects are read as fast as JSON is. A request is repeated when the server asks for that,
and when a kept connection was closed.
"""

import functools
import json
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from kubernetes.client import ApiException
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, ProtocolError, ProxyError

from jobs.kube.connection import Connection, connect, open_websocket
from jobs.kube.fields import number, text
from jobs.kube.kinds import Kind, kind_of
from jobs.kube.objects import Object
from trainer.errors import AccessError, ConflictError, NotFoundError, OcrfleetError, SpecError, TransientError

if TYPE_CHECKING:
    from jobs.kube.changes import Change

MANAGER: Final = "ocrfleet"
"""The field manager of what is applied."""

DEADLINE: Final = 30.0
"""Seconds for a call, as kubectl has for a connection."""

_PAGE: Final = 500
"""Objects of one answer: what kubectl asks for."""

_AHEAD: Final = 2
"""Pages that are on their way, or wait to be read, beside the one that is read."""

_HEAD: Final = 4096
"""Bytes of an answer that have the head of a list, which of Kubernetes' own kinds comes before its items."""

_NO_LOGS: Final = re.compile(r"unable to retrieve container logs for [\w.+-]+://\w*")
"""What the kubelet writes in place of the logs of a container that is gone, with status 200."""

_CONTINUE: Final = re.compile(rb'"continue": ?"([^"\\\\]+)"')

_Ahead = tuple[str, "Future[Any]"]
"""Where a page begins, and the page, once it is there."""

_ADMISSION: Final = re.compile(r'^admission webhook |" is forbidden: (?!User )')
"""What is refused by a rule for objects, be it a quota, a policy or a webhook, and not for who asks."""

_WATCH: Final = 290
"""Seconds that the server is asked to keep a watch open; load balancers cut at 300."""

_EXEC: Final = "v5.channel.k8s.io"
"""The protocol of a command's streams, since Kubernetes 1.30."""

_LONGEST: Final = 7 * 86400.0
"""The longest deadline, in seconds: sockets refuse much longer timeouts."""

_SILENT: Final = 75.0
"""Seconds without a byte of a watch that has bookmarks, which come about once a minute."""


class MissingKindError(SpecError):
    """The cluster has no API for a kind."""


class ExpiredError(OcrfleetError):
    """A watch, or a list in pages, was asked to go on from a state that the server has forgotten."""


class Cluster:
    """A cluster, as one user sees it."""

    def __init__(
        self,
        connection: Connection | None = None,
        *,
        namespace: str | None = None,
        deadline: float = DEADLINE,
    ) -> None:
        """Use a connection; no request is sent yet.

        Args:
            connection: None: the kubeconfig's current context, as kubectl chooses it, or a pod's own account.
            namespace: None: the context's own, else `default`.
            deadline: seconds that the server may be silent during a call, and in which a call is repeated.

        Raises:
            SpecError: nothing names a cluster, or a kubeconfig cannot be used.
        """
        self.deadline = min(deadline, _LONGEST)
        self._versions: dict[str, str | None] = {}
        connection = connection or connect()
        self._api = connection.api
        self.context, self.host = connection.context, self._api.configuration.host
        self._kubectl = connection.kubectl
        self.namespace = namespace or connection.namespace or "default"

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object | None:
        """Return an object; None if there is none."""
        try:
            return self._json("GET", kind.path(namespace=namespace or self.namespace, name=name))
        except NotFoundError:
            return None

    def find(
        self, kind: Kind, *, selector: str = "", fields: str = "", everywhere: bool = False, shape: Any = None
    ) -> tuple[list[Object], str]:
        """Return all objects of a kind that fit, and the state of the server that they are of.

        Args:
            kind: what to list.
            selector: by labels.
            fields: by fields.
            everywhere: in all namespaces.
            shape: of `jobs/kube/projections.py`: what to read of each; None: all.
        """
        path = kind.path(namespace=None if everywhere else self.namespace)
        query = _filled(labelSelector=selector, fieldSelector=fields)
        with self._foreign():
            try:
                pages = list(self._pages(path, {**query, "limit": str(_PAGE)}, shape))
            except ExpiredError:  # the pages were read too slowly; one answer is of one moment
                pages = list(self._pages(path, query, shape))
            found = [item for page in pages for item in page.get("items") or ()]
            for item in found:  # the items of a list do not name their kind
                item.update(apiVersion=kind.version, kind=kind.kind)
            return found, pages[-1]["metadata"]["resourceVersion"]

    def watch(
        self, kind: Kind, *, since: str, selector: str = "", fields: str = "", everywhere: bool = False
    ) -> Iterator[tuple[str, Object]]:
        """Return what changes, as (`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, the object), until the server ends it.

        The first is a bookmark of `since`, as soon as the server has answered: where nothing changes, it sends one of
        its own only each minute.

        Args:
            kind: what to watch.
            since: the state to go on from: a list's, or a watched object's `resourceVersion`.
            selector: by labels.
            fields: by fields.
            everywhere: in all namespaces.

        Raises:
            ExpiredError: that state is forgotten: list again.
            TransientError: the connection was lost.
        """
        query = _filled(labelSelector=selector, fieldSelector=fields, resourceVersion=since)
        query |= {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH)}
        path = kind.path(namespace=None if everywhere else self.namespace)
        with self._stream(path, query, silent=_SILENT) as lines:
            yield "BOOKMARK", {"metadata": {"resourceVersion": since}}
            for line in lines:
                event = _object(line)
                change, found = event["type"], _object(event["object"])
                if change == "ERROR":
                    raise self._error(number(found, "code") or 500, found, "GET", path)
                yield change, found

    def apply(self, body: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Lay an object over the one that is there, or make it, and return it as the server has it then.

        Args:
            body: the object, of this namespace.
            dry_run: let the server check it, and change nothing.
            force: take fields from other managers.

        Raises:
            ConflictError: another manager has some of its fields.
            SpecError: the server does not take it.
        """
        query = _filled(fieldManager=MANAGER, fieldValidation="Strict", dryRun="All" if dry_run else "")
        query |= {"force": "true"} if force else {}
        path = kind_of(body).path(namespace=self.namespace, name=body["metadata"]["name"])
        return self._json("PATCH", path, query=query, body=body, content="application/apply-patch+yaml")

    def change(self, change: "Change") -> Object:
        """Do a change that an engine has asked for."""
        path = Kind(change.version, change.kind).path(
            namespace=self.namespace, name=change.name if change.verb == "patch" else None
        )
        verb, content = {"patch": ("PATCH", "application/merge-patch+json"), "create": ("POST", "application/json")}[
            change.verb
        ]
        return self._json(verb, path, query={"fieldManager": MANAGER}, body=change.body, content=content)

    def create(self, kind: Kind, body: Object) -> Object:
        """Make an object, such as a review that the server answers by filling it in."""
        return self._json("POST", kind.path(namespace=self.namespace), body=body, content="application/json")

    def delete(self, kind: Kind, name: str, *, foreground: bool = False) -> bool:
        """Delete an object with what it owns; whether there was one.

        Args:
            kind: of the object.
            name: of the object.
            foreground: it stays until all that it owns is gone.
        """
        policy = "Foreground" if foreground else "Background"
        try:
            self._json(
                "DELETE",
                kind.path(namespace=self.namespace, name=name),
                body={"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy},
                content="application/json",
            )
        except NotFoundError:
            return False
        return True

    def logs(
        self,
        pod: str,
        *,
        container: str | None = None,
        follow: bool = False,
        previous: bool = False,
        tail: int | None = None,
        since: str | None = None,
    ) -> Iterator[str]:
        """Return the lines that a pod's container has written.

        Args:
            pod: its name.
            container: which; None: the only one.
            follow: go on until the container ends.
            previous: of the container that ended before this one.
            tail: the last so many lines only.
            since: lines from this moment on, as the server writes it; each then begins with its own. Empty: from the
                first on.

        Raises:
            NotFoundError: the pod, its container or its logs are gone.
            OcrfleetError: they cannot be read.
        """
        query = _filled(
            container=container or "",
            follow="true" if follow else "",
            previous="true" if previous else "",
            tailLines="" if tail is None else str(tail),
            sinceTime=since or "",
            timestamps="" if since is None else "true",
        )
        path = f"{Kind('v1', 'Pod').path(namespace=self.namespace, name=pod)}/log"
        with self._stream(path, query, silent=None if follow else self.deadline) as lines:
            for line in lines:
                text = line.decode("utf-8", errors="replace")
                if _NO_LOGS.fullmatch(text):
                    raise NotFoundError(
                        f"The Kubernetes node has no logs of the pod {pod} any more: its container is gone. "
                        "`ocrfleet logs --attempt` reads those in the bucket."
                    )
                yield text

    def execute(self, pod: str, command: Sequence[str], *, container: str | None = None, terminal: bool = False) -> Any:
        """Start a command in a pod's container, and return the WebSocket to it; `jobs/kube/exec.py` speaks over it.

        Args:
            pod: its name.
            command: and its words.
            container: which; None: the only one.
            terminal: give it a terminal.
        """
        import websocket

        path = f"{Kind('v1', 'Pod').path(namespace=self.namespace, name=pod)}/exec"
        streams = {"stdin": "true", "stdout": "true", "stderr": str(not terminal).lower(), "tty": str(terminal).lower()}
        query = [
            *streams.items(),
            *_filled(container=container or "").items(),
            *(("command", word) for word in command),
        ]
        try:
            opened = open_websocket(self._api, f"{path}?{urlencode(query)}", protocol=_EXEC, deadline=self.deadline)
        except websocket.WebSocketBadStatusException as error:
            raise self._error(error.status_code, _status(error.resp_body or b""), "GET", path) from error
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise self._away(error) from error
        opened.settimeout(None)
        return opened

    def served(self, group: str) -> str | None:
        """Return the version of an API that the cluster prefers, such as `kueue.x-k8s.io/v1beta2`, or None."""
        if group not in self._versions:
            try:
                found = self._json("GET", f"/apis/{group}")
            except MissingKindError:
                self._versions[group] = None
            else:
                with self._foreign():
                    self._versions[group] = found["preferredVersion"]["groupVersion"]
        return self._versions[group]

    def serves(self, kind: Kind) -> bool:
        """Check whether the cluster has an API for a kind."""
        try:
            found = self._json("GET", f"/apis/{kind.version}" if kind.group else f"/api/{kind.version}")
        except MissingKindError:
            return False
        with self._foreign():
            return any(each["kind"] == kind.kind for each in found["resources"])

    def may(self, verb: str, kind: Kind, *, part: str = "", everywhere: bool = False) -> bool:
        """Check whether this user may do something to a kind here.

        Args:
            verb: as in a Role: `get`, `list`, `create`, …
            kind: to what.
            part: a subresource such as `log`.
            everywhere: in all namespaces.
        """
        attributes = {
            "verb": verb,
            "group": kind.group,
            "resource": kind.plural,
            "subresource": part,
            "namespace": "" if everywhere or not kind.namespaced else self.namespace,
        }
        review = Kind("authorization.k8s.io/v1", "SelfSubjectAccessReview", namespaced=False)
        body = {"apiVersion": review.version, "kind": review.kind, "spec": {"resourceAttributes": attributes}}
        with self._foreign():
            return self.create(review, body)["status"]["allowed"] is True

    def _pages(self, path: str, query: Mapping[str, str], shape: Any) -> Iterator[dict[str, Any]]:
        """Return the pages of a list; the next are asked for as soon as the server has said where they begin."""
        room = threading.Semaphore(_AHEAD)
        pool = ThreadPoolExecutor(_AHEAD)

        def fetch(rest: str) -> tuple[dict[str, Any], _Ahead | None]:
            ahead: list[_Ahead] = []

            def begin(head: bytes) -> None:
                found = _CONTINUE.search(head.partition(b'"items"')[0])
                if found and room.acquire(blocking=False):
                    ahead.append((found[1].decode(), pool.submit(fetch, found[1].decode())))

            page = _page(self._data("GET", path, query=_filled(**query, **{"continue": rest}), begin=begin), shape)
            return page, next(iter(ahead), None)

        try:
            rest = ""
            page, ahead = fetch(rest)
            while True:
                yield page
                before, rest = rest, page["metadata"].get("continue")
                if not rest:
                    return
                if rest == before:
                    raise ValueError("the pages have no end")
                if ahead is None or ahead[0] != rest:
                    page, ahead = fetch(rest)
                else:
                    page, ahead = ahead[1].result()
                    room.release()
        finally:
            pool.shutdown(wait=False)  # never more futures than threads: none waits that could be cancelled

    def _json(self, verb: str, path: str, **options: Any) -> dict[str, Any]:
        with self._foreign():
            return _object(self._data(verb, path, **options))

    @contextmanager
    def _foreign(self) -> Iterator[None]:
        """Refuse an answer that no API server gives."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise SpecError(
                f"{self.host} does not answer as a Kubernetes API server does. Check the address in the context "
                f"{self.context!r}: a proxy or a login page may answer in its place."
            ) from error

    def _data(
        self,
        verb: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content: str = "",
        begin: Callable[[bytes], None] | None = None,
    ) -> bytes:
        headers = {"Accept": "application/json", **({"Content-Type": content} if content else {})}
        until = time.monotonic() + self.deadline
        tries = 0
        while True:
            silent = max(until - time.monotonic(), 0.1)
            with self._answer(verb, path, query or {}, headers, body, silent=silent) as answer:
                data = answer.read(_HEAD)
                if begin and answer.status < 300:
                    begin(data)
                data += answer.read()
                pause = _pause(answer, tries)
            if answer.status < 300:
                return data
            # The server says when: it is starting, or has too many requests.
            if pause is None or time.monotonic() + pause > until:
                raise self._error(answer.status, _status(data), verb, path)
            time.sleep(pause)
            tries += 1

    @contextmanager
    def _stream(self, path: str, query: Mapping[str, str], *, silent: float | None) -> Iterator[Iterator[bytes]]:
        with self._answer("GET", path, query, {"Accept": "*/*"}, None, silent=silent) as answer:
            if answer.status >= 300:
                raise self._error(answer.status, _status(answer.read()), "GET", path)
            yield _lines(answer.stream(1 << 16))

    @contextmanager
    def _answer(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        headers: dict[str, str],
        body: Any,
        *,
        silent: float | None,
    ) -> Iterator[BaseHTTPResponse]:
        with self._foreign():
            try:
                with closing(self._ask(verb, path, query, headers, body, silent=silent)) as answer:
                    yield answer
            except (HTTPError, OSError, ApiException) as error:
                raise self._away(error) from error

    def _ask(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any,
        *,
        silent: float | None,
    ) -> BaseHTTPResponse:
        complete = {**self._api.default_headers, **headers}
        self._api.update_params_for_auth(complete, [], ["BearerToken"], path, verb, body)
        if not all(str(value).isprintable() for value in complete.values()):
            raise SpecError("The API client has a line break or a control character in its token or in a header.")
        url = self.host + path + (f"?{urlencode(query)}" if query else "")
        timeout = (min(10.0, self.deadline), silent)
        try:
            response = self._api.call_api(verb, url, complete, body, None, timeout)
        except (ProtocolError, ProxyError) as error:
            # Load balancers and proxies close kept connections silently; what creates an object is not sent twice.
            # An error of a proxy that was not reached is another one, such as NewConnectionError.
            if verb == "POST" or not isinstance(getattr(error, "original_error", None), ConnectionError | None):
                raise
            self._api.rest_client.close()  # the others may be closed as well
            response = self._api.call_api(verb, url, complete, body, None, timeout)
        answer: BaseHTTPResponse = response.response
        return answer

    def _away(self, error: BaseException) -> OcrfleetError:
        cause = _cause(error)
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return SpecError(
                f"The certificate of the API server {self.host} is not trusted: {cause}. Check "
                f"certificate-authority and tls-server-name in the context {self.context!r}."
            )
        proxy = getattr(self._api.rest_client.pool_manager, "proxy", None)
        through = f" through the proxy {proxy.host}:{proxy.port}" if proxy else ""
        return TransientError(
            f"The API server {self.host} does not respond{through} ({cause}). Check the context {self.context!r} and "
            f"the network: `{self._kubectl} version` must work, too."
        )

    def _error(self, code: int, status: Mapping[str, Any], verb: str, path: str) -> OcrfleetError:
        said = str(status.get("message") or f"status {code}").rstrip(".")
        match code:
            case 401:
                return AccessError(
                    f"The cluster of context {self.context!r} rejects your credentials. Log in again as for kubectl: "
                    f"`{self._kubectl} auth whoami` must answer."
                )
            case 403 if not _ADMISSION.search(said):
                return AccessError(
                    f"The cluster refuses the request: {said}. `kubectl auth can-i --list` shows your permissions."
                )
            case 404 if not text(status, "details", "name"):
                return MissingKindError(
                    f"The cluster does not serve {_api(path)}: it is not installed, or in another version."
                )
            case 404:
                return NotFoundError(f"{said[:1].upper()}{said[1:]}.")
            case 409:
                return ConflictError(f"The cluster refuses the request: {said}.")
            case 410:
                return ExpiredError(said)
            # A field that no schema has is the server's fault, it says, where it is applied.
            case _ if code in (400, 403, 422) or "failed to create typed patch" in said:
                return SpecError(f"The cluster rejects the object: {said}.")
            case _ if code == 429 or code >= 500:
                return TransientError(f"The API server {self.host} cannot answer: {said}. Try again.")
            case _:
                return OcrfleetError(f"The API server {self.host} answered {code} to {verb} {path}: {said}.")


def _api(path: str) -> str:
    """Name the API of a path: `jobsets of jobset.x-k8s.io/v1alpha2`."""
    parts = path.strip("/").split("/")
    version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
    plural = next(iter(rest[2:] if rest[:1] == ["namespaces"] and len(rest) > 2 else rest), "")
    return f"{plural} of {version}" if plural else version


def _filled(**values: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _page(data: bytes, shape: Any) -> dict[str, Any]:
    """Read a page of a list; objects that have not their kind's shape are read whole."""
    if shape is not None:
        import msgspec

        try:
            # Two threads that make a first decoder of one struct at once crash the process (msgspec 0.22).
            with _DECODERS:
                decoder = _decoder(shape)
            return msgspec.structs.asdict(decoder.decode(data))
        except msgspec.ValidationError:
            pass
    return _object(data)


_DECODERS = threading.Lock()


@functools.cache
def _decoder(shape: Any) -> Any:
    import msgspec

    page = msgspec.defstruct("Page", [("metadata", dict[str, Any]), ("items", list[shape] | None, None)])
    return msgspec.json.Decoder(page)


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    left = b""
    for block in blocks:
        *lines, left = (left + block).split(b"\n")
        yield from lines
    if left:
        yield left


def _object(data: Any) -> dict[str, Any]:
    found = json.loads(data) if isinstance(data, bytes) else data
    if not isinstance(found, dict):
        raise TypeError("a JSON object is expected")
    return found


def _status(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {"message": data.decode("utf-8", errors="replace").strip()[:300]}
    return found if isinstance(found, dict) else {}


def _pause(answer: BaseHTTPResponse, tries: int) -> float | None:
    """Return the seconds after which the server wants the request again; one that says 0 is not flooded."""
    told = answer.headers.get("Retry-After", "")
    wanted = (answer.status == 429 or answer.status >= 500) and told.isdecimal()
    return max(float(told), 2.0**tries) if wanted else None


def _cause(error: BaseException) -> str:
    """Return why a request failed: the words of the operating system or of TLS, without the libraries' own."""
    cause = "timed out" if "Timeout" in type(error).__name__ else type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        cause = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or cause
        inner = inner.__cause__ or inner.__context__
    return cause.rstrip(".")
