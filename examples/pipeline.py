"""A pipeline's step that trains: for Airflow, Kubeflow Pipelines, a notebook, or as here a script.

python -m examples.pipeline job.yaml
"""

import sys
from pathlib import Path

from jobs import submit, wait


def train(job: str | Path, *, namespace: str | None = None, seed: int | None = None) -> str:
    """Train on the cluster of the current context, and return the id of the run that published the model.

    Raises:
        RuntimeError: the run failed; the message is the reason, and the next step.
    """
    submitted = submit(job, namespace=namespace, sets=[f"run.train.seed={seed}"] if seed is not None else [])
    print(f"{submitted.run_id}: {len(submitted.changes)} objects, engine {submitted.engine}")
    outcome = wait(
        submitted.run_id,
        namespace=namespace,
        on_status=lambda status: print(f"{status.run} is {status.phase}. {status.reason}".rstrip()),
        on_line=print,
    )
    if outcome.exit_code:
        raise RuntimeError(f"{outcome.run_id} ended with {outcome.exit_code}. {outcome.reason}")
    return outcome.run_id


if __name__ == "__main__":
    train(sys.argv[1])
