"""Prometheus on this machine, which finds the pods that have a port named `metrics` and reads what they say there."""

import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import yaml

from tests.cluster.machine.certificates import AUTHORITY
from tests.cluster.machine.layout import API, HERE, LOGS, STATE
from tests.cluster.machine.lifetime import apply, kubectl
from tests.cluster.machine.processes import ClusterError, start, wait_until
from tests.cluster.machine.separate import PROMETHEUS

ADDRESS: Final = "127.0.0.1:23900"
HOME: Final = STATE / "prometheus"
TOKEN: Final = HOME / "token"

Series = dict[str, Any]
"""What a query gives of one series: its labels as `metric`, its time and value as `value`."""


def run_prometheus() -> None:
    """Start Prometheus; one that answers already stays as it is. It goes with the cluster.

    Raises:
        ClusterError: the program does not build, or does not start.
    """
    if _ready():
        return
    program = PROMETHEUS.build()
    HOME.mkdir(exist_ok=True)
    apply((HERE / "monitoring.yaml").read_text("utf-8"))
    TOKEN.touch(mode=0o600)
    TOKEN.write_text(kubectl("--namespace=monitoring", "create", "token", "prometheus", "--duration=24h"), "ascii")
    configuration = HOME / "prometheus.yaml"
    configuration.write_text(yaml.safe_dump(_configuration()), "utf-8")
    options = [f"--config.file={configuration}", f"--storage.tsdb.path={HOME / 'data'}"]
    process = start("prometheus", [program, *options, f"--web.listen-address={ADDRESS}"])
    wait_until("Prometheus is ready", _ready, process=process)


def query(promql: str) -> list[Series]:
    """Give the series that an instant query finds now.

    Raises:
        ClusterError: Prometheus does not answer, or not to this query.
    """
    try:
        with _open(f"/api/v1/query?{urllib.parse.urlencode({'query': promql})}") as answer:
            found: list[Series] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as error:
        with error:
            raise ClusterError(f"Prometheus refuses `{promql}`: {error.read().decode()}") from error
    except OSError as error:
        raise ClusterError(f"Prometheus does not answer: {error}. Logs: {LOGS}") from error


def wait_for(promql: str, true: Callable[[list[Series]], bool], *, deadline: float = 60) -> None:
    """Query until something is true of the answer.

    Raises:
        AssertionError: it did not come true; the text has the last answer.
    """
    until, pause = time.monotonic() + deadline, threading.Event()
    while not true(found := query(promql)):
        assert time.monotonic() < until, f"`{promql}`: not true within {deadline:.0f} s. The last answer: {found}"
        pause.wait(0.2)  # Prometheus tells nobody


def _ready() -> bool:
    try:
        with _open("/-/ready") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _open(path: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    return opener.open(f"http://{ADDRESS}{path}", timeout=10)


def _configuration() -> dict[str, Any]:
    meta = "__meta_kubernetes_pod"
    access = {"authorization": {"credentials_file": str(TOKEN)}, "tls_config": {"ca_file": str(AUTHORITY)}}
    names = {"namespace": "__meta_kubernetes_namespace", "pod": f"{meta}_name", "node": f"{meta}_node_name"}
    rules = [
        {"action": "keep", "source_labels": [f"{meta}_container_port_name"], "regex": "metrics"},
        {"action": "drop", "source_labels": [f"{meta}_phase"], "regex": "Succeeded|Failed"},
        *({"source_labels": [source], "target_label": name} for name, source in names.items()),
    ]
    job = {
        "job_name": "pods",
        "kubernetes_sd_configs": [{"role": "pod", "api_server": API, **access}],
        "relabel_configs": rules,
    }
    return {"global": {"scrape_interval": "1s", "scrape_timeout": "1s"}, "scrape_configs": [job]}
