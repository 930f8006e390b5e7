"""The outside of a pod: exit codes, environment names and ports. Constants, and what follows from them alone.

The chart, the submitter and the trainer all read them here, so that the three cannot disagree.
"""

from enum import IntEnum
from typing import Final


class ExitCode(IntEnum):
    """How a run ended, as the pod's exit code. The chart's failure policy is made of these."""

    DONE = 0
    """Published, or nothing to do."""
    FAILED = 1
    """A bug in ocrfleet or in a library that it uses. The traceback is in the log."""
    USAGE = 2
    """The command line is wrong."""
    SPEC = 40
    """The job file or the configuration is wrong. A retry cannot help."""
    DATASET = 41
    """The dataset is wrong: empty, unreadable, or not covered by the dictionary."""
    ACCESS = 42
    """Access was refused by the object store or the cluster."""
    GATE = 43
    """The model did not pass its gate, or its export gives different results than the trained model."""
    DIVERGED = 44
    """The loss became NaN or infinite again after the allowed rollbacks."""
    STALLED = 45
    """Reserved for a run that makes no progress in several attempts: this version never exits with it."""
    SUPERSEDED = 46
    """A newer object of the same run has taken over."""
    SUSPENDED = 47
    """Reserved for a schedule that is suspended after repeated failures: this version never exits with it."""
    TRANSIENT = 75
    """A peer or the rendezvous was lost, a transient failure outlasted its retries, or a disk is full. Retry it."""
    STOPPED = 143
    """Stopped on request, with a checkpoint saved. The same job file resumes from it."""


RETRY_CODE: Final = 128 + ExitCode.TRANSIENT
"""TRANSIENT for the training operator, which makes a pod anew from 128 on only. No signal ends a process with it."""

VERSION: Final = "0.1.0"
"""Version of this ocrfleet, as pyproject.toml has it: to ask the installed package takes a tenth of a start."""

CONTRACT: Final = 1
"""Version of all that is said here, and of the chart that says it to a pod. One higher with each change that an older
partner would get wrong: chart, command line and trainer refuse one another by it, before anything is read or made."""

CONTRACT_ANNOTATION: Final = "ocrfleet.io/contract"
"""Where Chart.yaml has it."""

API_VERSION: Final = "ocrfleet.io/v1"
"""The one version of the job file that this code reads."""

RENDEZVOUS_DEADLINE: Final = "30m"
"""`placement.deadlines.rendezvous` where the job file names none."""

STALL_DEADLINE: Final = "15m"
"""`placement.deadlines.stall` where the job file names none."""

MAX_PIXELS: Final = 600_000_000
"""`run.data.maxPixels` where the job file names none."""

METRICS_PORT: Final = 9400
"""Port of the Prometheus endpoint in a pod."""

TERMINATION_LOG: Final = "/dev/termination-log"
"""Where a container leaves its last words: the default of Kubernetes, which makes the file."""

LAST_WORDS: Final = 4096
"""Bytes of them that the kubelet takes at most."""

STAGES: Final = ("fetch", "prepare", "rehearse", "train", "evaluate", "export", "verify", "publish")
"""The stages of a run, in their order."""

GANG_STAGES: Final = ("train", "evaluate")
"""Stages that need every node at once; the others never wait for a peer."""

# Names of the environment that a node process reads; `ocrfleet run` and the chart both set them.
ENV_CONTRACT: Final = "OCRFLEET_CONTRACT"
"""CONTRACT of whoever starts the node."""
ENV_RUN_ID: Final = "OCRFLEET_RUN_ID"
ENV_OBJECT: Final = "OCRFLEET_OBJECT"
"""Name of the cluster's object that a pod is of. A run that a newer object takes up is lost to the older one."""
ENV_WORKDIR: Final = "OCRFLEET_WORKDIR"
ENV_NODE_RANK: Final = "OCRFLEET_NODE_RANK"
ENV_NODES: Final = "OCRFLEET_NODES"
ENV_DEVICES: Final = "OCRFLEET_DEVICES_PER_NODE"
ENV_DEVICE: Final = "OCRFLEET_DEVICE"
ENV_HOSTS: Final = "OCRFLEET_HOSTS"
"""Host names of all nodes in rank order, with commas; or one name with `*` in the place of the rank. Node 0 leads."""
ENV_PORT: Final = "OCRFLEET_PORT"
"""First of the TCP ports that a gang has to itself, `ports(devices)` of them; at the first one the supervisors meet."""
ENV_RETRIES: Final = "OCRFLEET_RETRIES"
"""How often a gang that has lost a node or a worker meets again. Unset: never, since
whoever starts nodes without chart or command line may have nobody to replace one, and all would wait for it."""
ENV_RETRY_CODE: Final = "OCRFLEET_RETRY_CODE"
"""What a node ends with in place of TRANSIENT, where a controller reads codes in its own way. Unset: TRANSIENT."""
ENV_HOLD: Final = "OCRFLEET_HOLD_ON_FAILURE"
"""Seconds for which a node that failed for good stays to be looked at. Unset: none."""
ENV_POD: Final = "OCRFLEET_POD"
"""Name of the pod, where it is held on failure: whoever looks at it needs that."""
ENV_METRICS_PORT: Final = "OCRFLEET_METRICS_PORT"
ENV_METRICS_HOST: Final = "OCRFLEET_METRICS_HOST"
"""The address that metrics are served on. Unset: 127.0.0.1; in a pod all, since Prometheus is elsewhere."""
ENV_RUN_FILE: Final = "OCRFLEET_RUN_FILE"
"""Where a pod finds its run.yaml, which is copied into the work folder. Unset: it is there already."""
ENV_UNREADABLE: Final = "OCRFLEET_UNREADABLE"
"""Files and folders with credentials, which a worker shall not be able to read; as in PATH."""
ENV_LOG_FORMAT: Final = "OCRFLEET_LOG_FORMAT"
"""`text` for sentences, `json` for an object a line. Unset: text."""
ENV_S3_ADDRESSING: Final = "OCRFLEET_S3_ADDRESSING"
"""Where requests have the bucket's name: `path`, `virtual` (in the host name) or `auto`. The AWS tools have no variable
for that. Unset: `addressing_style` of the AWS configuration, else auto."""
ENV_EVENTS_FD: Final = "OCRFLEET_EVENTS_FD"
"""File descriptor on which a worker tells its supervisor what happens, one JSON object a line."""
ENV_PADDLEOCR_HOME: Final = "PADDLEOCR_HOME"
"""A checkout of PaddleOCR to train with, in place of the packaged tree."""


def ports(devices: int) -> int:
    """Return how many consecutive ports a gang uses: those of two attempts, and the supervisors' own."""
    return 1 + 2 * (devices + 1)
