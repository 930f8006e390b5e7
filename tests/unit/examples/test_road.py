"""What the demo reports of itself can be checked."""

import subprocess
import sys

from examples.road import cpu_seconds

BUSY = "import time\nwhile time.process_time() < 0.3: pass"


def test_the_cpu_time_of_a_process_that_a_child_started_counts() -> None:
    """`make demo` starts ocrfleet, which starts nodes, which start workers: all of them are in its figure."""
    before = cpu_seconds()
    child = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}], check=True)"
    subprocess.run([sys.executable, "-c", child], check=True)
    assert cpu_seconds() - before >= 0.3
