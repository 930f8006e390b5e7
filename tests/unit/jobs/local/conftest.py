"""What tests of local runs have in common: a stub program stands for the trainer."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.jobfile import model as jobfile
from jobs.local import plan as local_plan
from tests.unit.jobs.local.nodes import JOB, wait_for

# Writes what it was given, then does what its rank's line of the plan says.
STUB = """
import json, os, signal, sys, time
from pathlib import Path
work = Path(sys.argv[sys.argv.index("--workdir") + 1])
(work / "seen.json").write_text(json.dumps(dict(os.environ)))
print("stdout of", work.name)
deed = sys.argv[1].split(",")[int(os.environ["OCRFLEET_NODE_RANK"])]
if deed == "stop":
    signal.signal(signal.SIGTERM, lambda *_: ((work / "stopped").touch(), sys.exit(143)))
if deed == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if deed in ("stop", "deaf"):
    (work / "ready").touch()
    signal.alarm(30)  # no orphan of a failed test lives longer
    signal.pause()
if deed == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
if deed == "json":
    print('{"time":"2026","event":"ended","code":41,"message":"error: said as JSON."}', file=sys.stderr)
    sys.exit(41)
if deed != "0":
    print(f"error: node says {deed}.", file=sys.stderr)
sys.exit(int(deed))
"""


@pytest.fixture
def planned(tmp_path: Path) -> Callable[[str], local_plan.LocalRun]:
    program = tmp_path / "stub.py"
    program.write_text(STUB)

    def plan(deeds: str) -> local_plan.LocalRun:
        command = [sys.executable, "-I", str(program), deeds]
        job = jobfile.load(JOB, sets=[f"placement.nodes={len(deeds.split(','))}"])
        return local_plan.plan(job, local_plan.Options(workdir=tmp_path / "work", command=command))

    return plan


@pytest.fixture
def orphaned(planned: Callable[[str], local_plan.LocalRun]) -> Callable[[str], tuple[local_plan.LocalRun, int]]:
    """Start a run in a process of its own and kill that; give the run and its node."""

    def start(deed: str) -> tuple[local_plan.LocalRun, int]:
        run = planned(deed)
        script = (
            "import pickle, sys; from jobs.local import plan; plan.run_local(pickle.loads(bytes.fromhex(sys.argv[1])))"
        )
        parent = subprocess.Popen([sys.executable, "-c", script, pickle.dumps(run).hex()])
        wait_for(run.folder.node(0).root / "ready")
        node = int(run.folder.lock.read_text())
        parent.kill()
        parent.wait(10)
        return run, node

    return start
