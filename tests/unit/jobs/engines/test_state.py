"""The tables of the engines have every word that their controllers' APIs have, and nothing else."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from jobs.diagnosis import kueue
from jobs.diagnosis.containers import WAITING
from jobs.diagnosis.exit_codes import MEANINGS, meaning
from jobs.diagnosis.nodes import DISRUPTIONS, PHASES
from jobs.engines import ENGINES, engine_of, job, jobset, paddlejob, trainjob, volcano
from jobs.engines.state import State
from jobs.engines.status import Observed, Phase
from jobs.jobfile.placement import Engine as EngineName
from tests.unit.jobs.states.read import NOW
from trainer.contract import ExitCode

# k8s.io/api v0.36, batch/v1
JOB_CONDITION_TYPE = "Suspended Complete Failed FailureTarget SuccessCriteriaMet"
JOB_REASON = (
    "PodFailurePolicy BackoffLimitExceeded DeadlineExceeded MaxFailedIndexesExceeded FailedIndexes "
    "SuccessPolicy CompletionsReached"
)
JOB_SUSPENDED_REASON = "JobSuspended JobResumed"  # k8s.io/kubernetes pkg/controller/job
# sigs.k8s.io/jobset v0.12.0, JobSetConditionType and pkg/constants
JOBSET_CONDITION_TYPE = "Completed Failed Suspended RestartingJobSet StartupPolicyInProgress StartupPolicyCompleted"
JOBSET_REASON = (
    "ReachedMaxRestarts FailedJobs AllJobsCompleted InOrderStartupPolicyInProgress InOrderStartupPolicyCompleted "
    "DefaultFailurePolicy FailurePolicy_RestartJobSet FailurePolicy_RestartJobSetAndIgnoreMaxRestarts JobsReady "
    "JobSetFailed JobSetCompleted JobSetSuspended SuspendedJobs ResumeJobs FailJobSetFailurePolicyAction"
)
# github.com/kubeflow/trainer v2.3.0
TRAINJOB_CONDITION_TYPE = "Suspended Complete Failed"
TRAINJOB_REASON = "Suspended Resumed TrainingRuntimeNotSupported DeadlineExceeded"
# volcano.sh/apis v1.10 to v1.15
VOLCANO_JOB_PHASE = "Pending Aborting Aborted Running Restarting Completing Completed Terminating Terminated Failed"
VOLCANO_POD_GROUP_PHASE = "Pending Running Unknown Inqueue Completed"
# github.com/kubeflow/training-operator v1.9.4
PADDLEJOB_CONDITION_TYPE = "Created Running Restarting Succeeded Suspended Failed"
# sigs.k8s.io/kueue v0.19.2, v1beta2
WORKLOAD_CONDITION_TYPE = (
    "Admitted BlockedOnPreemptionGates QuotaReserved Finished PodsReady Evicted Preempted Requeued "
    "DeactivationTarget WaitingForReplacementPods"
)
QUOTA_RESERVED_REASON = (
    "NoMatchingFlavor WaitingForQuota ExceedsMaxQuota TopologyPlacementFailed WaitingForPreemptedWorkloads "
    "Misconfigured Suspended PendingEvaluation WaitingForPodsReady Inadmissible OnHold Pending Waiting AdmissionGated"
)
ADMITTED_REASON = "NoReservation UnsatisfiedAdmissionChecks PendingDelayedTopologyRequests"
EVICTED_REASON = (
    "Preempted FlavorMigration PodsReadyTimeout AdmissionCheck ClusterQueueStopped LocalQueueStopped NodeFailures "
    "EvictedOnManagerCluster WorkloadSliceReplaced Deactivated RequeuingLimitExceeded MaximumExecutionTimeExceeded"
)
PREEMPTED_REASON = "InClusterQueue InCohortReclamation InCohortFairSharing InCohortReclaimWhileBorrowing"
# k8s.io/api v0.36, core/v1
POD_PHASE = "Pending Running Succeeded Failed Unknown"
DISRUPTION_TARGET_REASON = (
    "PreemptionByScheduler DeletionByTaintManager EvictionByEvictionAPI DeletionByPodGC TerminationByKubelet"
)
# k8s.io/kubernetes v1.36: pkg/kubelet/{images,container,kuberuntime,kubelet_pods.go}; k8s.io/cri-api
WAITING_REASON = (
    "ContainerCreating PodInitializing ErrImagePull ImagePullBackOff ErrImageNeverPull InvalidImageName "
    "ImageInspectError RegistryUnavailable SignatureValidationFailed CreateContainerConfigError PreCreateHookError "
    "CreateContainerError PreStartHookError PostStartHookError RunContainerError CreatePodSandboxError "
    "ConfigPodSandboxError CrashLoopBackOff"
)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (job.CONDITIONS, JOB_CONDITION_TYPE),
        (job.REASONS, f"{JOB_REASON} {JOB_SUSPENDED_REASON}"),
        (jobset.CONDITIONS, JOBSET_CONDITION_TYPE),
        (jobset.TERMINAL_STATES, "Completed Failed"),
        (jobset.REASONS, JOBSET_REASON),
        (trainjob.CONDITIONS, TRAINJOB_CONDITION_TYPE),
        (trainjob.REASONS, f"{TRAINJOB_REASON} {JOBSET_REASON}"),
        ([word for word in volcano.PHASES if word], VOLCANO_JOB_PHASE),
        (volcano.GROUP_PHASES, VOLCANO_POD_GROUP_PHASE),
        (paddlejob.CONDITIONS, PADDLEJOB_CONDITION_TYPE),
        (kueue.CONDITIONS, WORKLOAD_CONDITION_TYPE),
        (kueue.WAITS, QUOTA_RESERVED_REASON),
        (kueue.CHECKS, ADMITTED_REASON),
        (kueue.EVICTIONS, EVICTED_REASON),
        (kueue.PREEMPTIONS, PREEMPTED_REASON),
        (PHASES, POD_PHASE),
        (DISRUPTIONS, DISRUPTION_TARGET_REASON),
        (WAITING, WAITING_REASON),
    ],
)
def test_a_table_has_every_word_of_its_api(table: Iterable[str], words: str) -> None:
    assert set(table) == set(words.split())


def alone(engine: str, status: Mapping[str, Any]) -> State:
    """Give what an engine says of an object of which only the status is known."""
    made = ENGINES[engine]
    return made.state(Observed(workload={"apiVersion": made.VERSION, "kind": made.KIND, "status": status}, now=NOW))


def true(*kinds: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "reason": "Any"} for kind in kinds]}


@pytest.mark.parametrize(
    ("engine", "words", "phase"),
    [
        ("job", (), None),
        ("job", ("Complete",), Phase.SUCCEEDED),
        ("job", ("SuccessCriteriaMet", "Complete"), Phase.SUCCEEDED),
        ("job", ("FailureTarget", "Failed"), Phase.FAILED),
        ("job", ("FailureTarget",), Phase.STOPPING),
        ("job", ("SuccessCriteriaMet",), Phase.STOPPING),
        ("job", ("Suspended",), Phase.STOPPED),
        ("job", ("Suspended", "Failed"), Phase.FAILED),
        ("jobset", (), None),
        ("jobset", ("Completed",), Phase.SUCCEEDED),
        ("jobset", ("Failed",), Phase.FAILED),
        ("jobset", ("Suspended",), Phase.STOPPED),
        ("jobset", ("RestartingJobSet",), Phase.WAITING),
        ("jobset", ("StartupPolicyInProgress",), None),
        ("jobset", ("StartupPolicyCompleted",), None),
        ("trainjob", (), None),
        ("trainjob", ("Complete",), Phase.SUCCEEDED),
        ("trainjob", ("Failed",), Phase.FAILED),
        ("trainjob", ("Suspended",), Phase.STOPPED),
        ("paddlejob", ("Created",), None),
        ("paddlejob", ("Created", "Running"), None),
        ("paddlejob", ("Created", "Restarting"), Phase.WAITING),
        ("paddlejob", ("Created", "Succeeded"), Phase.SUCCEEDED),
        ("paddlejob", ("Created", "Running", "Failed"), Phase.FAILED),
        ("paddlejob", ("Created", "Suspended"), Phase.STOPPED),
    ],
)
def test_the_condition_that_decides_gives_the_phase(engine: str, words: tuple[str, ...], phase: Phase | None) -> None:
    assert alone(engine, true(*words)).phase is phase


@pytest.mark.parametrize(
    ("word", "phase"),
    [
        ("", None),
        ("Pending", Phase.QUEUED),
        ("Aborting", Phase.STOPPING),
        ("Aborted", Phase.STOPPED),
        ("Running", None),
        ("Restarting", Phase.WAITING),
        ("Completing", Phase.STOPPING),
        ("Completed", Phase.SUCCEEDED),
        ("Terminating", Phase.STOPPING),
        ("Terminated", Phase.FAILED),
        ("Failed", Phase.FAILED),
    ],
)
def test_volcanos_phase_gives_ours(word: str, phase: Phase | None) -> None:
    assert alone("volcano", {"state": {"phase": word}}).phase is phase


@pytest.mark.parametrize(("word", "phase"), [("Completed", Phase.SUCCEEDED), ("Failed", Phase.FAILED)])
def test_a_jobsets_terminal_state_is_enough(word: str, phase: Phase) -> None:
    assert alone("jobset", {"terminalState": word}).phase is phase


@pytest.mark.parametrize(
    ("engine", "status"),
    [
        ("job", true("Novel")),
        ("jobset", true("Novel")),
        ("jobset", {"terminalState": "Novel"}),
        ("trainjob", true("Novel")),
        ("paddlejob", true("Created", "Novel")),
        ("volcano", {"state": {"phase": "Novel"}}),
    ],
)
def test_a_word_that_no_table_has_is_unknown_and_named(engine: str, status: Mapping[str, Any]) -> None:
    told = alone(engine, status)
    assert told.phase is Phase.UNKNOWN
    assert "'Novel'" in told.reason.text


def test_a_condition_that_is_not_true_says_nothing() -> None:
    status = {"conditions": [{"type": "Failed", "status": "False"}, {"type": "Novel", "status": "Unknown"}]}
    assert alone("job", status).phase is None


def test_every_engine_of_the_job_file_has_its_table() -> None:
    assert {*ENGINES, "auto"} == set(EngineName.__args__)


@pytest.mark.parametrize(
    ("version", "kind", "name"),
    [
        ("batch/v1", "Job", "job"),
        ("batch.volcano.sh/v1alpha1", "Job", "volcano"),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", "jobset"),
        ("jobset.x-k8s.io/v1", "JobSet", "jobset"),
        ("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjob"),
        ("kubeflow.org/v1", "PaddleJob", "paddlejob"),
    ],
)
def test_an_object_is_known_by_its_group_and_kind(version: str, kind: str, name: str) -> None:
    assert engine_of({"apiVersion": version, "kind": kind}) is ENGINES[name]


def test_every_exit_code_of_the_contract_has_a_meaning() -> None:
    assert set(MEANINGS) == set(ExitCode)
    assert {code for code in ExitCode if MEANINGS[code].retry} == {
        ExitCode.FAILED,
        ExitCode.TRANSIENT,
        ExitCode.STOPPED,
    }


@pytest.mark.parametrize(("code", "words"), [(137, "signal 9 killed it"), (3, "exit code 3")])
def test_codes_of_others_have_a_meaning_too(code: int, words: str) -> None:
    assert words in meaning(code).text


def test_only_three_phases_are_final() -> None:
    assert {phase for phase in Phase if phase.final} == {Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED}
