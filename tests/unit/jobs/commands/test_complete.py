"""A TAB: words from the parser, names of runs from the cluster, in time; for the shells and for kubectl."""

import os
import socket
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from jobs import cli
from jobs.commands import complete
from jobs.commands.completion import SCRIPTS
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.runs.test_find import another, held

ROOT = Path(__file__).parents[4]
RUN = "lines-1a2b3c4d"


@pytest.fixture
def runs(api: ApiServer) -> None:
    """Two runs in namespace `ml`, none in the context's."""
    first = held(api, "job-running")
    another(api, first, "lines-00000000-0001", "lines-00000000", "2026-12-01T00:00:00Z")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sto", "stop"),
        ("models p", "pull promote"),
        ("render job.yaml --no", ""),
        ("render job.yaml --out", "--output --out"),
        ("render job.yaml -o ", "yaml json"),
        ("completion ", "bash zsh fish"),
        ("stop ", ""),
        ("stop -n ml ", f"lines-00000000 {RUN}"),
        ("stop --namespace=ml lines-1", RUN),
        ("logs --tail 3 -n ml lines-0", "lines-00000000"),
        ("logs -n ml --tail ", ""),
        ("shell -n ml --no", "--node"),
        ("status -n ml lines-1", RUN),
        ("watch -n ml lines-1", RUN),
        ("events -n ml lines-0", "lines-00000000"),
        ("list -o ", "wide yaml json name"),
        ("top -n ml ", ""),
        ("prune -n ml ", "lines"),
        ("delete -n ml --context elsewhere ", f"lines-00000000 {RUN}"),
        ("delete -n ml --context nowhere ", ""),
        ("delete -n ml --con nowhere ", f"lines-00000000 {RUN}"),
        ("delete -h -n ml ", f"lines-00000000 {RUN}"),
    ],
)
def test_what_a_word_can_be(words: str, expected: str) -> None:
    found = complete.in_time(cli.build_parser(), words.split(" "))
    assert sorted(found) == sorted(expected.split())


@pytest.mark.usefixtures("runs")
def test_the_hidden_command_prints_a_word_a_line(ocrfleet: Callable[..., Any]) -> None:
    ran = ocrfleet("__complete", "stop", "-n", "ml", "")
    assert (ran.code, ran.out, ran.err) == (0, f"lines-00000000\n{RUN}\n", "")
    assert "__complete" not in ocrfleet("-h").out


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the programs that an installation has, made of what pyproject.toml names."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert set(scripts) == {"ocrfleet", "kubectl-ocrfleet", "kubectl_complete-ocrfleet"}
    for name, target in scripts.items():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))
        path = folder / name
        path.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"from {module} import {function}\nsys.exit({function}())\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


def ran(*words: object, programs: Path) -> str:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
    ).stdout


@pytest.mark.usefixtures("runs")
def test_kubectls_plugin_names_itself_and_completes(programs: Path) -> None:
    assert ran("kubectl-ocrfleet", "stop", "-h", programs=programs).startswith("usage: kubectl ocrfleet stop [-h]")
    complete = "kubectl_complete-ocrfleet"
    assert ran(complete, "stop", "-n", "ml", "", programs=programs) == f"lines-00000000\n{RUN}\n:4\n"
    assert ran(complete, "render", "", programs=programs) == ":0\n"
    assert ran(complete, "prun", programs=programs) == "prune\n:4\n"


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["stop", "-n", "ml", ""], f"lines-00000000 {RUN}"),
        (["stop", "-n", "ml", "lines-1"], RUN),
        (["stop", "--w"], "--wait"),
    ],
)
def test_bash_asks_for_names(words: list[str], expected: str, programs: Path, tmp_path: Path) -> None:
    (tmp_path / "complete").write_text((SCRIPTS / "ocrfleet.bash").read_text("utf-8"))
    quoted = " ".join(f"'{word}'" for word in ["ocrfleet", *words])
    typed = f"source {tmp_path}/complete; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _ocrfleet"
    assert ran("bash", "-euc", f'{typed}; echo "${{COMPREPLY[*]}}"', programs=programs).split() == expected.split()


def test_a_cluster_that_does_not_answer_holds_up_nobody(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the connection, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"{{server: 'http://127.0.0.1:{silent.getsockname()[1]}'}}"
        config = (
            f"apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {where}}}]\n"
            "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: x}}]\n"
        )
        (tmp_path / "config").write_text(config)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
        began = time.monotonic()
        assert ran("ocrfleet", "__complete", "stop", "", programs=programs).strip() == ""
        assert time.monotonic() - began < complete.DEADLINE + 3
