"""Node processes of local runs: the job that they get, and what tests see of them."""

import time
from pathlib import Path

JOB = """
apiVersion: ocrfleet.io/v1
name: receipts
run:
  task: det
  recipe: det-db-mobile
  data: {train: "file:///data/receipts"}
  output: s3://models/receipts
placement: {nodes: 2, devicesPerNode: 3, device: cpu}
"""


def wait_for(path: Path, *, filled: bool = False) -> None:
    """Wait for a file that another process writes, which sends no event to this one."""
    deadline = time.monotonic() + 60
    while not path.exists() or (filled and not path.stat().st_size):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)
