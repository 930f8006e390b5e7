"""Move the versions in go.mod, the one file that has them."""

import json
import re
from pathlib import Path
from typing import Final

from tests.cluster.machine.layout import PROGRAMS
from tests.cluster.machine.processes import ClusterError, say
from tests.cluster.machine.programs import call_go

_KUBERNETES: Final = "k8s.io/kubernetes"


def pin(wanted: str) -> None:
    """Ask for another version of a module, and tidy go.mod and go.sum.

    Args:
        wanted: `module@version`, such as `k8s.io/kubernetes@v1.37.1`.

    Raises:
        ClusterError: there is no such version, or Go can't bring it together with the others.
    """
    module, _, version = wanted.partition("@")
    if not re.fullmatch(r"v\d+\.\d+\.\d+\S*", version):
        raise ClusterError(f"'{wanted}' is no module with a version, such as k8s.io/kubernetes@v1.37.1.")
    before = {name: (PROGRAMS / name).read_bytes() for name in ("go.mod", "go.sum")}
    try:
        found = json.loads(call_go("mod", "download", "-json", wanted))
        # A module may be in no public list of checksums; then only those who need it know its sum.
        (PROGRAMS / "go.sum").write_bytes(before["go.sum"] + (Path(found["Dir"]) / "go.sum").read_bytes())
        edits = [f"-require={wanted}"]
        if module == _KUBERNETES:
            edits += [f"-replace={name}={name}@v0.{version.removeprefix('v1.')}" for name in _staged(found["GoMod"])]
        call_go("mod", "edit", *edits)
        call_go("mod", "tidy")
    except ClusterError:
        for name, content in before.items():
            (PROGRAMS / name).write_bytes(content)
        raise
    say(f"{module} is {version} now: `python -m tests.cluster.machine build`, then `make test-cluster`.")


def _staged(go_mod: str) -> list[str]:
    """Give the modules that Kubernetes takes from its own tree: others have to get them by themselves."""
    return re.findall(r"^\t(\S+) => \./staging/", Path(go_mod).read_text("utf-8"), re.MULTILINE)
