"""What is kept of a test that failed."""

import json
import re
import shutil
from contextlib import suppress
from pathlib import Path

from tests.cluster.kube import ApiException, Namespace
from tests.cluster.machine.layout import LOGS, NODES

FOLDER = Path("build") / "cluster"


def keep(namespace: Namespace, test: str) -> Path:
    """Write a namespace's events, pods and their logs, and the nodes' logs, and give the folder.

    Args:
        namespace: where the test has failed.
        test: its name.
    """
    folder = (FOLDER / re.sub(r"[^\w.-]+", "-", test)).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    events = namespace.cluster.find("Event", namespace=namespace.name, version="v1")
    lines = [f"{e.get('lastTimestamp')} {e['involvedObject']['name']} {e['reason']}: {e['message']}" for e in events]
    (folder / "events.txt").write_text("\n".join(lines) + "\n", "utf-8")
    pods = namespace.pods()
    (folder / "pods.json").write_text(json.dumps(pods, indent=1), "utf-8")
    for pod in pods:
        name = pod["metadata"]["name"]
        for container in pod["spec"]["containers"]:
            for previous in (False, True):
                with suppress(ApiException):
                    text = namespace.logs(name, container=container["name"], previous=previous)
                    suffix = ".previous" if previous else ""
                    (folder / f"{name}.{container['name']}{suffix}.log").write_text(text, "utf-8")
    if namespace.cluster.local:
        for source, name in [(LOGS, "control"), *((node.home / "log", node.name) for node in NODES)]:
            for log in source.glob("*.log"):
                shutil.copy(log, folder / f"{name}.{log.name}")
    return folder
