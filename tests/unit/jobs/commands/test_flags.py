"""Every flag of every command that asks a cluster: what is so without it, and what each of its spellings changes.

What is seen of a command is its exit code, what it printed, each request that it made and what it left in its folder.
A new flag fails here until the table has it.
"""

import argparse
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import cli
from jobs.commands.complete import children, walk
from tests.unit.jobs.apiserver import Answer, ApiServer
from tests.unit.jobs.logged import output
from tests.unit.jobs.submitted import JOB
from tests.unit.jobs.whole import put

__all__ = ["output"]
RUN = "lines-1a2b3c4d"
KINDS = {"v1": ["ServiceAccount"], "networking.k8s.io/v1": ["NetworkPolicy"]}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag with a value, and what it changes. Patterns are searched for in what is seen."""

    value: str | None = None
    """None: it takes none."""

    default: str = ""
    """Seen without the flag, and no more with it. Empty: the effect is not seen, which is all."""

    effect: str
    """Seen with the flag, and not without."""

    words: str = ""
    """What the command needs beside it; empty: as in BASE."""

    state: str = ""
    """That a run is in; empty: as in STATES."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that do the same as the flag."""

    wrong: tuple[Answer, ...] = ()
    """What the server answers first."""


BASE = {
    "check": "job.yaml --request-timeout 30s --set run.data.train=file:///none",
    "render": "job.yaml",
    "diff": "job.yaml",
    "submit": "job.yaml",
    "list": "",
    "top": "",
    "status": RUN,
    "events": RUN,
    "logs": RUN,
    "watch": RUN,
    "stop": RUN,
    "resume": RUN,
    "delete": RUN,
    "prune": "lines --done --keep 0",
    "shell": f"{RUN} -- true",
}
"""What each command needs. The run has ended, but for `stop`, `resume` and `shell`."""
STATES = {"stop": "job-running", "resume": "job-suspended", "shell": "job-running"}

STARTING = Answer(503, "starting", {"Retry-After": "1"})
COMMON = {
    "--context": Flag(value="elsewhere", default="/namespaces/default[/?\n]", effect="/namespaces/team-ocr[/?\n]"),
    "--namespace": Flag(value="ml", default="/namespaces/default[/?\n]", effect="/namespaces/ml[/?\n]"),
    "--timeout": Flag(value="0.5s", effect="cannot answer: starting", wrong=(STARTING,)),
    "--request-timeout": Flag(value="0.5s", effect="cannot answer: starting", wrong=(STARTING,)),
    "--kubeconfig": Flag(value="none", effect="kubeconfig none cannot be read"),
    "--cluster": Flag(value="none", effect="no cluster 'none'"),
    "--user": Flag(value="none", effect="no user 'none'"),
    "--server": Flag(value="http://127.0.0.1:1", effect="http://127.0.0.1:1 does not respond"),
    "--as": Flag(value="robot", effect="^AS robot$"),
    "--as-group": Flag(value="night", effect=r"`as` \(--as\) is missing"),
    "--debug": Flag(effect="^Traceback", wrong=(Answer(500, "no"),)),
    "--set": Flag(value="name=changed", default="slips-rec", effect="changed"),
}
"""Of most commands, with the same effect in each."""

YAML, JSON = Flag(value="yaml", effect=r"^(- )?\w+: "), Flag(value="json", effect=r'^ +"\w+": ')
TABLE = [YAML, JSON]
EVERYWHERE = Flag(default="/namespaces/default/jobs", effect=r"GET /apis/batch/v1/jobs\?")
KEPT = f"{RUN} --from file://OUT"

FLAGS: dict[str, dict[str, Flag | list[Flag]]] = {
    "check": {
        "--cache": Flag(
            value="mine",
            words="job.yaml --set run.data.train=s3://pages/",
            default="FILE cache",
            effect="FILE mine",
            environment={"OCRFLEET_CACHE": "mine"},
        ),
        # On CPU that precision is refused, before paddle is loaded.
        "--rehearse": Flag(
            words="job.yaml --set run.train.precision=bf16 --set placement.device=cpu",
            effect="Rehearsing on this machine: fetch",
        ),
        "--output": TABLE,
        # Whatever else is wrong is a finding.
        "--debug": Flag(words="job.yaml --cache /dev/null --set run.data.train=s3://pages/", effect="^Traceback"),
    },
    "render": {
        "--namespace": Flag(value="ml", effect="^  namespace: ml$"),
        "--out": Flag(value="made", default="^kind: Job$", effect="FILE made/job-slips-rec-"),
        "--output": [
            Flag(value="yaml", words="job.yaml -o json", default='"kind": "Job"', effect="^kind: Job"),
            Flag(value="json", default="^kind: Job$", effect='"kind": "Job"'),
        ],
        "--debug": Flag(words="none.yaml", effect="^Traceback"),
    },
    "diff": {"--output": TABLE},
    "submit": {
        "--dry-run": [
            Flag(value="client", default="^PATCH", effect="not sent to a server"),
            Flag(
                value="server", default=r"^PATCH .*/jobs/[^?]*\?fieldManager=ocrfleet&fieldV", effect="dry run of the"
            ),
        ],
        "--watch": Flag(words="job.yaml --timeout 0.5s", effect="CODE 75"),
    },
    "list": {
        "--all-namespaces": EVERYWHERE,
        "--output": [
            *TABLE,
            Flag(value="wide", effect=r"\bOBJECT\b.*RESTARTS"),
            Flag(value="name", default="^RUN ", effect=f"^{RUN}$"),
        ],
    },
    "top": {
        "--all-namespaces": EVERYWHERE,
        "--output": [*TABLE, Flag(value="wide", effect=r"QUEUED +ENGINE +OBJECT")],
    },
    "status": {"--output": [*TABLE, Flag(value="wide", effect=r"RAN +POD")]},
    "events": {"--output": [*TABLE, Flag(value="wide", effect=f"Job {RUN}-9f0e ")]},
    "logs": {
        "--node": Flag(value="1", default=r"^\[node 0\] one", effect="^one$"),
        "--rank": Flag(value="3", words=KEPT, default="^.*of node 0", effect="2 of rank 3"),
        "--attempt": Flag(value="1", words=KEPT, default="^Logs of attempt 2", effect="^Logs of attempt 1"),
        "--follow": Flag(effect="follow=true"),
        "--tail": Flag(value="1", default=r"^\[node 0\] one", effect="tailLines=1"),
        "--previous": Flag(default=r"^\[node 0\] one", effect="No node has a previous pod"),
        "--from": Flag(value="file://OUT", default="^GET ", effect="2 of node 0"),
    },
    "stop": {"--wait": Flag(words=f"{RUN} --timeout 0.1s", effect="did not get there within 0.1 s")},
    "resume": {"--wait": Flag(effect=r"/jobs\?fieldSelector=metadata.name=")},
    "delete": {
        "--yes": Flag(state="job-running", default="ends them and keeps the run", effect="^DELETE "),
        "--wait": Flag(words=f"{RUN} --timeout 0.1s", effect="Waiting until the pods of"),
    },
    "prune": {
        "--done": Flag(words="lines --keep 0", default="required: --done", effect="^DELETE "),
        "--keep": Flag(value="1", words="lines --done", default="required: --keep", effect="at most 1 finished runs"),
        "--dry-run": Flag(default="^DELETE ", effect=r"deleted \(dry run\)"),
    },
    "shell": {"--node": Flag(value="1", default="pods/[^/]*-9f0e-0-", effect="pods/[^/]*-9f0e-1-")},
}


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Give each command that asks a cluster, and `render`, which makes what they send."""
    for path, parser in walk(cli.build_parser()):
        if not children(parser) and (path == "/render" or "--context" in parser._option_string_actions):
            yield path.strip("/"), parser


def spellings(command: str) -> dict[str, argparse.Action]:
    parser = dict(commands())[command]
    return {each.option_strings[-1]: each for each in parser._actions if each.option_strings and each.dest != "help"}


def entries(command: str) -> dict[str, list[Flag]]:
    of_its_own = FLAGS.get(command, {})
    common = {name: flag for name, flag in COMMON.items() if name in spellings(command)}
    return {name: flag if isinstance(flag, list) else [flag] for name, flag in (common | of_its_own).items()}


CASES = [
    pytest.param(command, name, flag, id=" ".join(filter(None, (command, name, flag.value))))
    for command in BASE
    for name, flags in entries(command).items()
    for flag in flags
]


@pytest.mark.parametrize("command", dict(commands()))
def test_the_table_has_every_flag_and_every_choice(command: str) -> None:
    assert command in BASE, f"say in BASE what `ocrfleet {command}` needs, and in FLAGS what its flags change"
    found = entries(command)
    assert set(found) == set(spellings(command))
    for name, action in spellings(command).items():
        assert all(flag.value in action.choices for flag in found[name] if action.choices)
        assert not action.choices or {flag.value for flag in found[name]} == set(action.choices)


@pytest.fixture
def see(
    api: ApiServer, ocrfleet: Callable[..., Any], job: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a command in a world that is new each time, and give all that is seen of it."""
    folder = job.parent
    (server,) = re.findall("server: (.*)", Path(os.environ["KUBECONFIG"]).read_text("utf-8"))
    for name, value in {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "a", "REGION": "a"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    job.write_text(yaml.safe_dump({**JOB, "run": yaml.safe_load(job.read_text("utf-8"))["run"]}), "utf-8")
    for version, kinds in KINDS.items():
        api.kinds[version] = [*api.kinds.get(version, ()), *kinds]

    def world(state: str) -> None:
        api.objects.clear()
        api.written.clear()
        for namespace in ("default", "ml", "team-ocr"):
            put(api, state, namespace=namespace)
        for path, each in api.objects.items():
            if "/pods/" in path:
                api.write(each["metadata"]["name"], "one", "two")
                if state == "job-running":
                    each["status"]["phase"] = "Running"
        api.asked.clear()
        api.impersonated.clear()

    def run(command: str, flag: Flag, *more: str, **environment: str) -> str:
        world(flag.state or STATES.get(command, "job-exit-41"))
        api.next = list(flag.wrong)
        for name in ("cache", "made", "mine"):
            shutil.rmtree(folder / name, ignore_errors=True)
        before = set(folder.rglob("*"))
        words, dashes, behind = (flag.words or BASE[command]).partition(" -- ")
        given = [each.replace("OUT", f"{folder}/out") for each in (*words.split(), *more)]
        with monkeypatch.context() as patch, Path("/dev/null").open("rb") as nothing:
            patch.setattr("sys.stdin", nothing)
            for name, value in environment.items():
                patch.setenv(name, value)
            ran = ocrfleet(command, *given, *dashes.split(), *behind.split())
        asked = [
            f"{verb} {path}{'?' if query else ''}{'&'.join(f'{key}={value}' for key, value in sorted(query.items()))}"
            for verb, path, query, _ in api.asked
        ]
        asked += [f"AS {user}" for user in dict.fromkeys(api.impersonated)]
        made = [f"FILE {path.relative_to(folder)}" for path in folder.rglob("*") if path not in before]
        return "\n".join([*asked, *made, f"CODE {ran.code}", ran.out, ran.err])

    return run


@pytest.mark.parametrize(("command", "name", "flag"), CASES)
def test_a_flag_changes_what_it_says(command: str, name: str, flag: Flag, see: Callable[..., str]) -> None:
    if not flag.wrong or flag.effect != COMMON["--timeout"].effect:
        without = see(command, flag)
        assert re.search(flag.default, without, re.MULTILINE), without
        assert not re.search(flag.effect, without, re.MULTILINE), without
    for spelled in spellings(command)[name].option_strings:
        long = spelled.startswith("--")
        given = [f"{spelled}={flag.value}"] if long and flag.value else [spelled, *filter(None, [flag.value])]
        proves(flag, see(command, flag, *given))
    if flag.environment:
        proves(flag, see(command, flag, **flag.environment))


def proves(flag: Flag, seen: str) -> None:
    assert re.search(flag.effect, seen, re.MULTILINE), seen
    assert not flag.default or not re.search(flag.default, seen, re.MULTILINE), seen


def test_without_a_timeout_a_server_that_starts_is_waited_for(see: Callable[..., str]) -> None:
    """For the second that it asks for."""
    seen = see("status", COMMON["--timeout"])
    assert "CODE 0" in seen
    assert "starting" not in seen


@pytest.mark.parametrize("path", dict(walk(cli.build_parser())))
def test_help_fits_into_80_columns(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples and usages of their own are not wrapped by argparse."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = dict(walk(cli.build_parser()))[path].format_help().splitlines()
    assert not [line for line in lines if len(line) > 80]
