"""The one way to a cluster: the API server's JSON in and out, with a deadline on every call.

The package `kubernetes` finds the server and the credentials, as kubectl does; paths and bodies are written here, so
that a thousand objects are read as fast as JSON is. Nothing is tried again but what the server asks to be.
"""

import json
import os
import ssl
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from jobs.kinds import Kind, kind_of
from jobs.status import Object
from trainer.errors import AccessError, ConflictError, NotFoundError, OcrfleetError, SpecError, TransientError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

    from jobs.engines.state import Change

MANAGER: Final = "ocrfleet"
"""The field manager of what is applied."""

DEADLINE: Final = 30.0
"""Seconds for a call, as kubectl has for a connection."""

_PAGE: Final = 500
"""Objects of one answer: what kubectl asks for."""

_WATCH: Final = 290
"""Seconds that the server is asked to keep a watch open; load balancers cut at 300."""

_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""Where a pod finds its namespace."""

_SILENT: Final = 75.0
"""Seconds without a byte of a watch that has bookmarks, which come about once a minute."""


class MissingKindError(SpecError):
    """The cluster has no API for a kind."""


class ExpiredError(OcrfleetError):
    """A watch, or a list in pages, was asked to go on from a state that the server has forgotten."""


class Cluster:
    """A cluster, as one user sees it."""

    def __init__(self, *, context: str | None = None, namespace: str | None = None, deadline: float = DEADLINE) -> None:
        """Find the API server: by the kubeconfig as kubectl does, or in a pod by its own account.

        Args:
            context: of the kubeconfig; None: its current one.
            namespace: None: the context's own, else `default`.
            deadline: seconds for one call.

        Raises:
            SpecError: there is no such context, or nothing that names a cluster.
            OcrfleetError: the package `kubernetes` is missing.
        """
        self.deadline = deadline
        self._versions: dict[str, str | None] = {}
        self._client, self.context, found = _connect(context)
        self.namespace = namespace or found or "default"
        self.host: str = self._client.configuration.host

    def get(self, kind: Kind, name: str, *, namespace: str | None = None) -> Object | None:
        """Give an object; None if there is none."""
        try:
            return self._json("GET", kind.path(namespace=namespace or self.namespace, name=name))
        except NotFoundError:
            return None

    def find(
        self, kind: Kind, *, selector: str = "", fields: str = "", everywhere: bool = False
    ) -> tuple[list[Object], str]:
        """Give all objects of a kind that fit, and the state of the server that they are of.

        Args:
            kind: what to list.
            selector: by labels.
            fields: by fields.
            everywhere: in all namespaces.
        """
        path = kind.path(namespace=None if everywhere else self.namespace)
        query = _filled(labelSelector=selector, fieldSelector=fields, limit=str(_PAGE))
        found: list[Object] = []
        while True:
            try:
                page = self._json("GET", path, query=query)
            except ExpiredError:  # the pages were read too slowly; one answer is of one moment
                found, query = [], {key: value for key, value in query.items() if key not in ("continue", "limit")}
                continue
            for item in page.get("items") or ():
                # The items of a list do not name their kind.
                item.update(apiVersion=kind.version, kind=kind.kind)
                found.append(item)
            if not (rest := page["metadata"].get("continue")):
                return found, page["metadata"]["resourceVersion"]
            query = {**query, "continue": rest}

    def watch(
        self, kind: Kind, *, since: str, selector: str = "", fields: str = "", everywhere: bool = False
    ) -> Iterator[tuple[str, Object]]:
        """Give what changes, as (`ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, the object), until the server ends it.

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
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise self._error(event["object"].get("code", 500), event["object"], "GET", path)
                yield event["type"], event["object"]

    def apply(self, body: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Lay an object over the one that is there, or make it, and give it as the server has it then.

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
        """Give the lines that a pod's container has written.

        Args:
            pod: its name.
            container: which; None: the only one.
            follow: go on until the container ends.
            previous: of the container that ended before this one.
            tail: the last so many lines only.
            since: lines from this moment on, as the server writes it; each then begins with its own. Empty: from the
                first on.
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
                yield line.decode("utf-8", errors="replace")

    def execute(self, pod: str, command: Sequence[str], *, container: str | None = None, terminal: bool = False) -> Any:
        """Start a command in a pod's container, and give the WebSocket to it; `jobs/session.py` speaks over it.

        Args:
            pod: its name.
            command: and its words.
            container: which; None: the only one.
            terminal: give it a terminal.
        """
        import websocket  # comes with kubernetes
        from kubernetes.stream import ws_client

        headers: dict[str, str] = {}
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        path = f"{Kind('v1', 'Pod').path(namespace=self.namespace, name=pod)}/exec"
        streams = {"stdin": "true", "stdout": "true", "stderr": str(not terminal).lower(), "tty": str(terminal).lower()}
        query = [
            *streams.items(),
            *_filled(container=container or "").items(),
            *(("command", word) for word in command),
        ]
        before = websocket.getdefaulttimeout()
        websocket.setdefaulttimeout(self.deadline)
        try:
            opened = ws_client.create_websocket(
                self._client.configuration, ws_client.get_websocket_url(self.host + path, query), headers
            )
        except websocket.WebSocketBadStatusException as error:
            raise self._error(error.status_code, _status(error.resp_body or b""), "GET", path) from error
        except (websocket.WebSocketException, OSError) as error:
            raise self._away(error) from error
        finally:
            websocket.setdefaulttimeout(before)
        opened.settimeout(None)
        return opened

    def served(self, group: str) -> str | None:
        """Give the version of an API that the cluster prefers, such as `kueue.x-k8s.io/v1beta2`, or None."""
        if group not in self._versions:
            try:
                found = self._json("GET", f"/apis/{group}")
            except MissingKindError:
                self._versions[group] = None
            else:
                self._versions[group] = found["preferredVersion"]["groupVersion"]
        return self._versions[group]

    def serves(self, kind: Kind) -> bool:
        """Tell whether the cluster has an API for a kind."""
        try:
            found = self._json("GET", f"/apis/{kind.version}" if kind.group else f"/api/{kind.version}")
        except MissingKindError:
            return False
        return any(each["kind"] == kind.kind for each in found["resources"])

    def may(self, verb: str, kind: Kind, *, part: str = "", everywhere: bool = False) -> bool:
        """Tell whether this user may do something to a kind here.

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
        return self.create(review, body)["status"]["allowed"] is True

    def _json(
        self, verb: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, content: str = ""
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", **({"Content-Type": content} if content else {})}
        until = time.monotonic() + self.deadline
        while True:
            with self._answer(verb, path, query or {}, headers, body, silent=until - time.monotonic()) as answer:
                data = answer.read()
                pause = _pause(answer)
            if answer.status < 300:
                found: dict[str, Any] = json.loads(data)
                return found
            # The server says when: it is starting, or has too many requests.
            if pause is None or time.monotonic() + pause > until:
                raise self._error(answer.status, _status(data), verb, path)
            time.sleep(pause)

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
    ) -> Iterator["BaseHTTPResponse"]:
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        try:
            answer = self._client.rest_client.pool_manager.request(
                verb,
                self.host + path + (f"?{urlencode(query)}" if query else ""),
                body=None if body is None else json.dumps(body),
                headers=headers,
                preload_content=False,
                retries=False,
                timeout=Timeout(connect=min(10.0, self.deadline), read=silent),
            )
            with closing(answer):
                yield answer
        except (HTTPError, OSError, ssl.SSLError) as error:
            raise self._away(error) from error

    def _away(self, error: BaseException) -> TransientError:
        return TransientError(
            f"The API server {self.host} does not answer ({_cause(error)}). Check the context "
            f"{self.context!r} and the network; `kubectl --context {self.context} version` must answer, too."
        )

    def _error(self, code: int, status: Mapping[str, Any], verb: str, path: str) -> OcrfleetError:
        said = str(status.get("message") or f"status {code}")
        match code:
            case 401:
                return AccessError(
                    f"The cluster of context {self.context!r} does not know you. Log in again, as for kubectl: "
                    f"`kubectl --context {self.context} auth whoami` must answer."
                )
            case 403:
                return AccessError(f"The cluster refuses that: {said}. `kubectl auth can-i --list` shows what you may.")
            case 404 if not (status.get("details") or {}).get("name"):
                return MissingKindError(
                    f"The cluster has no {_api(path)}: what serves it is not installed, or in another version."
                )
            case 404:
                return NotFoundError(f"{said[:1].upper()}{said[1:]}.")
            case 409:
                return ConflictError(f"The cluster refuses that: {said}.")
            case 410:
                return ExpiredError(said)
            # A field that no schema has is the server's fault, it says, where it is applied.
            case _ if code in (400, 422) or "failed to create typed patch" in said:
                return SpecError(f"The cluster does not take it: {said}.")
            case _ if code == 429 or code >= 500:
                return TransientError(f"The API server {self.host} is not able to answer: {said}. Try again.")
            case _:
                return OcrfleetError(f"The API server {self.host} answered {code} to {verb} {path}: {said}.")


def _connect(context: str | None) -> tuple[Any, str, str | None]:
    """Give a client, the name of its context, and the context's namespace."""
    try:
        with warnings.catch_warnings():
            # `requests`, which it uses for logins alone, warns of newer packages that it works with.
            warnings.simplefilter("ignore")
            from kubernetes import client, config
    except ImportError as error:
        raise OcrfleetError(
            "The package `kubernetes` is not installed: `pip install 'ocrfleet[cluster]'` brings it."
        ) from error
    # The package itself looks when it is imported.
    file = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    try:
        contexts, current = config.list_kube_config_contexts(config_file=file)
    except config.ConfigException:
        contexts, current = [], None
    chosen = next((each for each in contexts if each["name"] == context), None) if context else current
    if chosen:
        try:
            found = config.new_client_from_config(config_file=file, context=chosen["name"])
        except config.ConfigException as error:
            raise SpecError(f"The context {chosen['name']!r} of the kubeconfig cannot be used: {error}.") from error
        return found, chosen["name"], (chosen.get("context") or {}).get("namespace")
    if context:
        known = ", ".join(sorted(each["name"] for each in contexts)) or "none"
        raise SpecError(f"The kubeconfig has no context {context!r}; it has: {known}.")
    settings = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=settings)
    except config.ConfigException as error:
        raise SpecError(
            "No cluster is named: there is no kubeconfig with a current context. Set KUBECONFIG, or "
            "`kubectl config use-context NAME`."
        ) from error
    return client.ApiClient(settings), "in-cluster", _OWN_NAMESPACE.read_text("utf-8").strip()


def _api(path: str) -> str:
    """Name the API of a path: `jobsets of jobset.x-k8s.io/v1alpha2`."""
    parts = path.strip("/").split("/")
    version, rest = ("/".join(parts[1:3]), parts[3:]) if parts[0] == "apis" else (parts[1], parts[2:])
    plural = next(iter(rest[2:] if rest[:1] == ["namespaces"] and len(rest) > 2 else rest), "")
    return f"{plural} of {version}" if plural else version


def _filled(**values: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    left = b""
    for block in blocks:
        *lines, left = (left + block).split(b"\n")
        yield from lines
    if left:
        yield left


def _status(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {"message": data.decode("utf-8", errors="replace").strip()[:300]}
    return found if isinstance(found, dict) else {}


def _pause(answer: "BaseHTTPResponse") -> float | None:
    told = answer.headers.get("Retry-After", "")
    return float(told) if answer.status in (429, 503) and told.isdecimal() else None


def _cause(error: BaseException) -> str:
    return str(getattr(error, "reason", None) or error).partition(": ")[2] or type(error).__name__
