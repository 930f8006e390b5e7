"""`ocrfleet stop` and `ocrfleet resume`: what they change on the server, what they leave alone, and what they say."""

from collections.abc import Callable
from typing import Any

import pytest

from jobs import cli
from jobs.kube.client import Cluster
from jobs.kube.fields import name_of
from jobs.kube.kinds import POD, kind_of
from tests.unit.jobs.apiserver import ApiServer
from tests.unit.jobs.commands.writes import changes
from tests.unit.jobs.runs.test_find import held
from tests.unit.jobs.states.read import recorded

RUN = "lines-1a2b3c4d"


KUEUE = "kueue.x-k8s.io"


Ocrfleet = Callable[..., Any]


def test_stop_and_resume_change_one_field_and_print_the_run(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    held(api, "job-running")
    ran = ocrfleet("stop", "lines", "-n", "ml")
    assert (ran.code, ran.out) == (0, f"{RUN}\n")
    assert changes(api) == [("PATCH", f"{RUN}-9f0e", {"spec": {"suspend": True}})]
    api.asked.clear()
    for pod in recorded("job-running")["pods"]:
        api.take(POD, name_of(pod), namespace="ml")
    assert "already" in ocrfleet("stop", RUN, "-n", "ml").err
    assert changes(api) == []
    ran = ocrfleet("resume", RUN, "-n", "ml")
    assert (ran.code, ran.out) == (0, f"{RUN}\n")
    assert changes(api) == [("PATCH", f"{RUN}-9f0e", {"spec": {"suspend": False}})]


def test_under_kueue_the_workload_is_changed_and_the_object_left_alone(api: ApiServer, ocrfleet: Ocrfleet) -> None:
    api.groups[KUEUE] = f"{KUEUE}/v1beta2"
    held(api, "kueue-waiting")
    queued = recorded("kueue-waiting")["queued"]
    assert ocrfleet("stop", RUN, "-n", "ml").code == 0
    assert changes(api) == [("PATCH", name_of(queued), {"spec": {"active": False}})]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["prune", "lines", "--keep", "1"], "the following arguments are required: --done"),
        (["prune", "lines", "--done"], "the following arguments are required: --keep"),
        (["prune", "lines", "--done", "--keep", "-1"], "--keep"),
        (["delete"], "the following arguments are required: RUN"),
        (["stop", RUN, "--timeout", "soon"], "'soon' is not a time such as 90s, 5m or 1h30m"),
        (["stop", RUN, "--timeout", "0s"], "'0s' is not a time"),
        (["resume", RUN, "-n", "Ä"], "is not a namespace"),
    ],
)
def test_words_that_do_not_fit(words: list[str], sentence: str, ocrfleet: Ocrfleet) -> None:
    ran = ocrfleet(*words)
    assert (ran.code, sentence in ran.err) == (2, True), ran


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        (["stop", RUN], "wait", False),
        (["stop", RUN, "--wait"], "wait", True),
        (["resume", RUN], "wait", False),
        (["resume", RUN, "--wait"], "wait", True),
        (["delete", RUN], "yes", False),
        (["delete", RUN, "--yes"], "yes", True),
        (["delete", RUN], "wait", False),
        (["delete", RUN, "--wait"], "wait", True),
        (["prune", "x", "--done", "--keep", "0"], "keep", 0),
        (["prune", "x", "--done", "--keep", "0"], "dry_run", False),
        (["prune", "x", "--done", "--keep", "0", "--dry-run"], "dry_run", True),
        *(([each, RUN, "-n", "ml"], "namespace", "ml") for each in ("stop", "resume", "delete", "shell")),
        *(([each, RUN, "--context", "c"], "context", "c") for each in ("stop", "resume", "delete", "shell")),
        *(([each, RUN, "--timeout", "2m"], "timeout", 120.0) for each in ("stop", "resume", "delete", "shell")),
    ],
)
def test_options(words: list[str], name: str, value: Any) -> None:
    assert vars(cli.build_parser().parse_args(words))[name] == value


def test_the_context_says_where(api: ApiServer, cluster: Cluster, ocrfleet: Ocrfleet) -> None:
    found = recorded("job-suspended")["workload"]
    api.put(found, namespace="team-ocr")
    assert ocrfleet("resume", RUN, "--context", "elsewhere").code == 0
    assert api.objects[kind_of(found).path(namespace="team-ocr", name=name_of(found))]["spec"]["suspend"] is False
    ran = ocrfleet("resume", RUN, "--context", "nowhere")
    assert (ran.code, "Its contexts: elsewhere, fake" in ran.err) == (40, True)
