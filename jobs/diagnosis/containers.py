"""The state of a pod's container, explained: why it does not start, and how it ended."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from jobs.diagnosis.admission import when
from jobs.diagnosis.exit_codes import meaning
from jobs.engines.status import NO_REASON, Reason
from jobs.kube.fields import at, name_of, number, one_line, several, text
from jobs.kube.objects import Object
from trainer.contract import RETRY_CODE, ExitCode
from trainer.telemetry.lines import read

NAMES: Final = ("trainer", "node", "paddle")
"""Names of the trainer's container under the engines. Other containers belong to a mesh or an administrator."""

_DESCRIBE: Final = "See `kubectl describe pod {pod}`."
_IMAGE: Final = "Fix placement.image, or name the registry's Secret in placement.imagePullSecrets."

# Reasons of a waiting container, from the kubelet and the container runtime.
WAITING: Final[Mapping[str, Reason]] = {
    "ContainerCreating": NO_REASON,
    "PodInitializing": NO_REASON,
    "ErrImagePull": Reason("the image {image} cannot be pulled: {message}", _IMAGE),
    "ImagePullBackOff": Reason("the image {image} cannot be pulled: {message}", _IMAGE),
    "ErrImageNeverPull": Reason(
        "the image {image} is not on the Kubernetes node {machine}, and chart.imagePullPolicy is Never",
        "Load the image there, or change chart.imagePullPolicy.",
    ),
    "InvalidImageName": Reason("'{image}' is not the name of an image", "Fix placement.image."),
    "ImageInspectError": Reason("the Kubernetes node {machine} cannot read the image {image}: {message}", _DESCRIBE),
    "RegistryUnavailable": Reason("the registry of the image {image} does not answer: {message}", _IMAGE),
    "SignatureValidationFailed": Reason("the signature of the image {image} is not valid: {message}", _IMAGE),
    "CreateContainerConfigError": Reason("its container cannot be created: {message}", _DESCRIBE),
    "PreCreateHookError": Reason("its container cannot be created: {message}", _DESCRIBE),
    "CreateContainerError": Reason("its container cannot be created: {message}", _DESCRIBE),
    "PreStartHookError": Reason("its container cannot be started: {message}", _DESCRIBE),
    "PostStartHookError": Reason("its container cannot be started: {message}", _DESCRIBE),
    "RunContainerError": Reason("its container cannot be started: {message}", _DESCRIBE),
    "CreatePodSandboxError": Reason("its pod cannot be set up: {message}", _DESCRIBE),
    "ConfigPodSandboxError": Reason("its pod cannot be set up: {message}", _DESCRIBE),
    "CrashLoopBackOff": Reason("it keeps failing: {message}", "See `ocrfleet logs {run} --node {rank}`."),
}
_HELD_UP: Final[Mapping[str, Reason]] = {
    "FailedMount": Reason("a volume cannot be mounted: {message}", _DESCRIBE),
    "FailedAttachVolume": Reason("a volume cannot be attached: {message}", _DESCRIBE),
    "FailedMapVolume": Reason("a volume cannot be attached: {message}", _DESCRIBE),
    "FailedCreatePodSandBox": Reason("its pod cannot be set up: {message}", _DESCRIBE),
    "NetworkNotReady": Reason("the network of the Kubernetes node {machine} is not ready", _DESCRIBE),
}
"""Reasons of events that hold up a pod whose container only says ContainerCreating."""

_MISSING: Final = re.compile(r"(secret|configmap) \\?\"([^\"\\]+)\\?\" not found", re.IGNORECASE)
_KINDS: Final = {"secret": "Secret", "configmap": "ConfigMap"}
_MAKE: Final = {
    "Secret": "Create it (`kubectl create secret generic {0} --from-file=credentials`), or fix its name in the job.",
    "ConfigMap": "Create it (`kubectl create configmap {0} --from-file=…`), or fix its name in the job.",
}
_PREFIXES: Final = re.compile(
    r'^(?:Back-off pulling image "[^"]*": |ErrImagePull: |rpc error: code = \w+ desc = |'
    r'failed to pull and unpack image "[^"]*": |failed to resolve reference "[^"]*": )+'
)
"""Prefixes of pull messages that carry no information."""


def of_trainer(pod: Object, field: str = "containerStatuses") -> Object:
    """Return the status of a pod's trainer container; empty if it has none yet."""
    found = several(pod, "status", field)
    return next((each for each in found if text(each, "name") in NAMES), found[0] if found else {})


def exit_code(pod: Object) -> int | None:
    """Return the exit code of a pod's trainer; None until it ends."""
    code = number(of_trainer(pod), "state", "terminated", "exitCode")
    return int(ExitCode.TRANSIENT) if code == RETRY_CODE else code


def why_not_started(pod: Object, events: Sequence[Object]) -> Reason:
    """Return why the container of a scheduled pod does not run; empty if it is just starting."""
    for status in [*several(pod, "status", "initContainerStatuses"), of_trainer(pod)]:
        word = text(status, "state", "waiting", "reason")
        known = WAITING.get(word)
        if word and known is None:
            return _filled(
                Reason(f"its container waits with the reason '{one_line(word)}': {{message}}", _DESCRIBE), pod, status
            )
        if known and known.text:
            return _filled(known, pod, status)
    held = [each for each in events if _about(each, pod) and text(each, "reason") in _HELD_UP]
    if not held:
        return NO_REASON
    newest = max(held, key=when)
    return _filled(_HELD_UP[text(newest, "reason")], pod, {}, message=text(newest, "message"))


def why_ended(pod: Object) -> Reason:
    """Return why a pod's container ended, unless it succeeded."""
    ended = at(of_trainer(pod), "state", "terminated")
    if not isinstance(ended, Mapping):
        return NO_REASON
    code, word = exit_code(pod), text(ended, "reason")
    if word == "OOMKilled":
        return Reason(
            "it exceeded its memory limit and was killed",
            "Increase placement.resources.limits.memory, or lower run.train.batchSizePerDevice.",
        )
    if word in _NEVER_RAN:
        return Reason(f"its container could not be started: {one_line(text(ended, 'message')) or word}", _DESCRIBE)
    if word == "ContainerStatusUnknown" or code is None:
        return Reason("the end of its container was not recorded", _DESCRIBE)
    if code == ExitCode.DONE:
        return NO_REASON
    told = meaning(code)
    error = last_error(text(ended, "message"))
    return Reason(f"{told.text} (exit code {code})" + (f": {error}" if error else ""), told.advice)


_NEVER_RAN: Final = ("StartError", "ContainerCannotRun")


def last_error(message: str) -> str:
    """Return the last error that the trainer printed; empty if there is none.

    The trainer leaves its error as the termination message. If it was killed, that is the end of its log.
    """
    lines = [read(line.strip()).message for line in re.split(r"[\r\n]", message)]
    return next((one_line(line.removeprefix("error: ")) for line in reversed(lines) if line.startswith("error: ")), "")


def _about(event: Object, pod: Object) -> bool:
    about = at(event, "involvedObject") or at(event, "regarding") or {}
    return text(about, "kind") == "Pod" and text(about, "name") == name_of(pod)


def _filled(reason: Reason, pod: Object, status: Object, *, message: str = "") -> Reason:
    """Fill in image, machine and message; `{run}`, `{pod}` and `{rank}` are filled in later."""
    message = message or text(status, "state", "waiting", "message")
    if found := _MISSING.search(message):
        kind, name = _KINDS[found[1].lower()], found[2]
        return Reason(f"the {kind} {name} does not exist", _MAKE[kind].format(name))
    spec = next((each for each in several(pod, "spec", "containers") if each.get("name") == status.get("name")), {})
    message = _PREFIXES.sub("", message)
    facts = {
        "image": text(spec, "image") or text(status, "image"),
        "machine": text(pod, "spec", "nodeName"),
        "message": one_line(message) or "no message",
    }
    words = reason.text
    for key, value in facts.items():
        words = words.replace(f"{{{key}}}", value)
    return Reason(words, reason.advice)
