"""What the commands tell of pods that end with each exit code of the contract, as `ocrfleet-user` reads it.

The pods only exit: what a trainer must meet to end so is tested elsewhere, and nothing ends a run with 45 or 47 yet.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from jobs.diagnosis.exit_codes import MEANINGS
from jobs.kube.fields import name_of
from jobs.kube.kinds import kind_of
from jobs.rendering.render import Rendered, render
from tests.cluster.controllers import need_engine
from tests.cluster.kube import Namespace, Object, condition
from tests.cluster.machine.addons import JOBSET, TRAINER
from tests.cluster.test_commands_rbac import JOB, Account, account
from trainer.contract import ExitCode

pytestmark = pytest.mark.builds(JOBSET, TRAINER)

RETRIED = (ExitCode.FAILED, ExitCode.TRANSIENT)
FINAL = tuple(code for code, meaning in MEANINGS.items() if code and not meaning.retry)
CODES = (*RETRIED, *FINAL, ExitCode.STOPPED)
DEADLINE = "It ran longer than placement.deadlines.run allows."
"""What ends a run whose pods come back again and again."""


def comes_back(engine: str, code: int) -> bool:
    """Whether nothing but its deadline ends a run whose pods end so.

    To be told to stop costs no attempt. A runtime's limit is one for all TrainJobs, and so out of reach: gangs count.
    """
    return code == ExitCode.STOPPED or (engine == "trainjob" and code in RETRIED)


def objects(engine: str, code: int, image: str) -> Rendered:
    """Give a run's objects as the chart makes them, whose pods only say why, and end with the code."""
    placement = {"device": "cpu", "engine": engine, "image": image, "retries": 0}
    if comes_back(engine, code):
        placement["deadlines"] = {"run": "20s"}
    made = render({**JOB, "name": f"ends-{code}", "placement": placement})
    for each in trainers(made.workload):
        each["command"] = ["/tiny", "exit", str(int(code)), "-", f"error: this ends with {int(code)}"]
    return made


def trainers(found: Any) -> list[Any]:
    """Look for what starts the trainer, wherever a kind keeps it."""
    if isinstance(found, list):
        return [one for each in found for one in trainers(each)]
    if not isinstance(found, dict):
        return []
    own = [found] if found.get("command") == ["python", "-m", "trainer"] else []
    return own + [one for each in found.values() for one in trainers(each)]


def over(namespace: Namespace, made: Object) -> None:
    """Wait until a run's controller says that it is."""
    kind = kind_of(made)
    namespace.wait(
        kind.kind,
        name_of(made),
        lambda found: condition(found, "Failed") == "True",
        version=kind.version,
        deadline=180,
    )


@pytest.mark.timeout(600)  # the pods of a run that is retried wait 10 and 20 s for one another
@pytest.mark.parametrize("engine", ["job", "jobset", "trainjob"])
def test_what_is_told_of_pods_that_only_exit_with_each_code(
    engine: str, namespace: Namespace, tmp_path: Path, tiny: str
) -> None:
    """All of them at once, since they wait for their controllers; then each is read."""
    need_engine(namespace.cluster, engine)
    user = account(namespace, tmp_path, "ocrfleet-user")
    made = {code: objects(engine, code, tiny) for code in CODES}
    for each in chain(*(rendered.objects for rendered in made.values())):
        namespace.apply(each)
    for each in made.values():
        over(namespace, each.workload)
    runs = {code: each.run_id for code, each in made.items()}

    listed = {each["run"]: each for each in json.loads(user("list", "-o", "json")[0])}
    assert set(listed) == set(runs.values())
    with ThreadPoolExecutor(max_workers=4) as reading:
        list(reading.map(lambda code: tells(user, code, runs[code], listed[runs[code]]), runs))


def tells(user: Account, code: int, run: str, listed: dict[str, Any]) -> None:
    """See to it that each command says of a run why it has ended."""
    status = json.loads(user("status", run, "-o", "json")[0])
    meaning = MEANINGS[code]
    late = comes_back(listed["engine"], code)
    said = DEADLINE if late else meaning.text
    phase = "Superseded" if code == ExitCode.SUPERSEDED else "Failed"
    for each in (status, listed):
        assert (each["phase"], each["final"]) == (phase, True), each
        assert said.lower() in each["reason"].lower()
    if late:
        assert status["advice"].startswith("Increase it, and submit the file again")
    else:
        assert (status["exitCode"], listed["exitCode"]) == (code, code)
        assert status["advice"] == meaning.advice.format(run=run)
        assert (status["restarts"] > 0) == (code in RETRIED)
        assert user("logs", run)[0] == f"error: this ends with {int(code)}\n"
    heading, *rows = user("events", run, "-o", "wide")[0].splitlines()
    assert heading.split()[-1] == "MESSAGE"
    assert any(f"Pod {listed['object']}-" in each and " Started " in each for each in rows), rows
    # Kubeflow Trainer says nothing of a deadline but in the object.
    silent = late and listed["engine"] == "trainjob"
    assert silent or any(" Warning " in each and f" {listed['object']}" in each for each in rows), rows
