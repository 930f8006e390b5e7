"""What the kubelet says of a container becomes a sentence, and the trainer's last error is in it."""

from typing import Any

import pytest

from jobs.diagnosis.containers import WAITING, exit_code, last_error, why_ended, why_not_started
from jobs.engines.status import NO_REASON, Reason
from tests.unit.jobs.states.read import recorded, status
from trainer.contract import RETRY_CODE, ExitCode


def test_the_code_that_the_training_operator_retries_means_what_it_stands_for() -> None:
    objects = recorded("paddlejob-exit-44")
    for pod in objects["pods"]:
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] = RETRY_CODE
    told = status(objects)
    assert told.exit_code == ExitCode.TRANSIENT
    assert "failed: a peer, the network or a disk failed, and retrying did not help (exit code 75)" in str(told)


def test_what_the_trainer_said_last_is_in_the_sentence() -> None:
    objects = recorded("job-exit-41")
    message = "[prepare begun]\nreading  40%|##\rreading 100%|###\nerror: labels.txt:3 has no tab. Mend it.\n"
    for pod in objects["pods"]:
        pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message
    told = status(objects).reason
    assert told.text.endswith(" failed: the dataset is wrong (exit code 41): labels.txt:3 has no tab. Mend it.")


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("", ""),
        ("no error", ""),
        ("error: one\nerror: two\n", "two"),
        ("50%\rerror: after a bar", "after a bar"),
        ('{"time":"2026","event":"ended","message":"error: as JSON"}\n', "as JSON"),
    ],
)
def test_the_last_error_of_a_log_is_found(message: str, error: str) -> None:
    assert last_error(message) == error


# k8s.io/kubernetes v1.36: pkg/kubelet/{images,container,kuberuntime,kubelet_pods.go}; k8s.io/cri-api
WAITING_REASON = (
    "ContainerCreating PodInitializing ErrImagePull ImagePullBackOff ErrImageNeverPull InvalidImageName "
    "ImageInspectError RegistryUnavailable SignatureValidationFailed CreateContainerConfigError PreCreateHookError "
    "CreateContainerError PreStartHookError PostStartHookError RunContainerError CreatePodSandboxError "
    "ConfigPodSandboxError CrashLoopBackOff"
)


def test_the_table_has_every_word_of_its_api() -> None:
    assert set(WAITING) == set(WAITING_REASON.split())


def pod(name: str = "trainer", **state: Any) -> dict[str, Any]:
    """Return a pod whose sidecar runs and whose container of this name is in this state."""
    return {
        "metadata": {"name": "a-0"},
        "spec": {
            "nodeName": "node1",
            "containers": [{"name": "mesh", "image": "mesh:1"}, {"name": name, "image": "trainer:1"}],
        },
        "status": {
            "containerStatuses": [
                {"name": "mesh", "state": {"running": {}}},
                {"name": name, "state": state},
            ]
        },
    }


@pytest.mark.parametrize("name", ["trainer", "node", "paddle"])
def test_the_trainer_is_found_among_others_by_the_names_that_engines_give_it(name: str) -> None:
    assert exit_code(pod(name, terminated={"exitCode": 41})) == 41
    assert exit_code(pod("other", terminated={"exitCode": 41})) is None, "the first container runs"


@pytest.mark.parametrize("word", WAITING)
def test_why_a_container_waits_is_told_with_what_is_known_of_it(word: str) -> None:
    told = why_not_started(pod(waiting={"reason": word, "message": "so says the kubelet."}), ())
    facts = {"{image}": "trainer:1", "{machine}": "node1", "{message}": "so says the kubelet"}
    expected = WAITING[word].text
    for gap, fact in facts.items():
        expected = expected.replace(gap, fact)
    assert told == Reason(expected, WAITING[word].advice)


def test_a_word_that_is_new_is_named_and_no_word_is_no_reason() -> None:
    assert "'Novel': how odd" in why_not_started(pod(waiting={"reason": "Novel", "message": "how odd"}), ()).text
    assert why_not_started(pod(waiting={}), ()) == NO_REASON
    assert why_not_started(pod(running={}), ()) == NO_REASON


def test_a_container_that_starts_before_is_asked_first() -> None:
    found = pod(waiting={"reason": "PodInitializing"})
    before = {"name": "wait", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}}
    found["status"]["initContainerStatuses"] = [before]
    assert why_not_started(found, ()).text == WAITING["CrashLoopBackOff"].text.replace("{message}", "back-off")


def event(reason: str, message: str = "", at: str = "2026-01-01T00:00:00Z", **about: str) -> dict[str, Any]:
    about = {"kind": "Pod", "name": "a-0", **about}
    return {"reason": reason, "message": message, "lastTimestamp": at, "involvedObject": about}


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("FailedMount", "a volume cannot be mounted: timed out"),
        ("FailedAttachVolume", "a volume cannot be attached: timed out"),
        ("FailedMapVolume", "a volume cannot be attached: timed out"),
        ("FailedCreatePodSandBox", "its pod cannot be set up: timed out"),
        ("NetworkNotReady", "the network of the Kubernetes node node1 is not ready"),
        ("Pulled", ""),
    ],
)
def test_what_holds_up_a_container_that_is_being_created_is_in_the_pods_events(reason: str, words: str) -> None:
    creating = pod(waiting={"reason": "ContainerCreating"})
    assert why_not_started(creating, [event(reason, "timed out")]).text == words
    assert why_not_started(creating, [event(reason, "timed out", name="a-1")]) == NO_REASON
    assert why_not_started(creating, [event(reason, "timed out", kind="Job")]) == NO_REASON


def test_the_newest_event_counts() -> None:
    creating = pod(waiting={"reason": "ContainerCreating"})
    older = event("FailedMount", at="2026-01-01T00:00:00Z")
    newer = event("NetworkNotReady", at="2026-01-01T00:00:01Z")
    for order in ([older, newer], [newer, older]):
        assert "network" in why_not_started(creating, order).text


@pytest.mark.parametrize(("kind", "word"), [("Secret", "secret"), ("ConfigMap", "configmap")])
def test_what_does_not_exist_is_named_with_the_command_that_makes_it(kind: str, word: str) -> None:
    failing = {"reason": "CreateContainerConfigError", "message": f'{word} "bucket" not found'}
    told = why_not_started(pod(waiting=failing), ())
    assert told.text == f"the {kind} bucket does not exist"
    assert f"`kubectl create {kind.lower()} " in told.advice.replace("secret generic", "secret")
    assert "bucket" in told.advice


@pytest.mark.parametrize(
    ("terminated", "words"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "its memory limit"),
        ({"exitCode": 137, "reason": "Error"}, "signal 9 killed it (exit code 137)"),
        ({"exitCode": 128, "reason": "StartError", "message": "no such file"}, "could not be started: no such file"),
        ({"exitCode": 127, "reason": "ContainerCannotRun"}, "could not be started: ContainerCannotRun"),
        ({"exitCode": 137, "reason": "ContainerStatusUnknown"}, "its container was not recorded"),
        ({"reason": "Error"}, "its container was not recorded"),
        ({"exitCode": 0, "reason": "Completed"}, ""),
        ({"exitCode": 41, "message": "error: labels.txt is empty."}, "(exit code 41): labels.txt is empty"),
    ],
)
def test_how_a_container_ended_is_told_where_that_was_no_success(terminated: dict[str, Any], words: str) -> None:
    told = why_ended(pod(terminated=terminated)).text
    assert words in told
    assert bool(told) == bool(words)


def test_a_container_that_runs_has_not_ended() -> None:
    assert why_ended(pod(running={})) == NO_REASON
    assert exit_code(pod(running={})) is None
