"""Each engine's controller is told the contract's exit codes in its own words."""

from typing import Any

import pytest
import yaml

from jobs.diagnosis.exit_codes import MEANINGS
from tests.chart.helm import in_process
from tests.chart.test_leaves import ENGINES, plain, with_fields
from trainer import contract

FINAL = sorted(code for code, meaning in MEANINGS.items() if code and not meaning.retry)
HOLD = "placement.debug.holdOnFailure"


def spec(engine: str, **fields: Any) -> dict[str, Any]:
    """Give what an engine's workload says."""
    made = in_process(with_fields({"placement.engine": engine, **fields})) if fields else plain(engine)
    found: dict[str, Any] = yaml.safe_load(made["workload.yaml"])["spec"]
    return found


def environment(engine: str, **fields: Any) -> dict[str, Any]:
    """Give the environment of its pods."""

    def inside(part: Any) -> dict[str, Any] | None:
        if isinstance(part, list):
            return next((found for each in part if (found := inside(each))), None)
        if not isinstance(part, dict):
            return None
        if env := part.get("env"):
            return {each["name"]: each.get("value") for each in env}
        return inside(list(part.values()))

    return inside(spec(engine, **fields)) or {}


def test_what_no_retry_mends_ends_a_job_at_once() -> None:
    (rule,) = (each for each in spec("job")["podFailurePolicy"]["rules"] if each["action"] == "FailJob")
    assert rule["onExitCodes"] == {"operator": "In", "values": FINAL}


def test_what_no_retry_mends_ends_a_job_of_volcano_before_anything_is_restarted() -> None:
    """Of its policies the first that fits counts."""
    *final, last = spec("volcano")["policies"]
    assert [(each["exitCode"], each["action"]) for each in final] == [(code, "TerminateJob") for code in FINAL]
    assert last == {"event": "PodFailed", "action": "RestartPod"}


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_training_operator_needs_a_code_of_its_own(engine: str) -> None:
    """It makes a pod anew from 128 on: 75 would be for good."""
    said = environment(engine).get(contract.ENV_RETRY_CODE)
    assert said == (str(contract.RETRY_CODE) if engine == "paddlejob" else None)
    assert contract.RETRY_CODE >= 128


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("pause", "seconds"), [("0m", None), ("00s", None), ("90s", "90"), ("010m", "600"), ("2h", "7200")]
)
def test_a_pod_knows_for_how_many_seconds_it_is_held_and_its_own_name(
    pause: str, seconds: str | None, engine: str
) -> None:
    found = environment(engine, **{HOLD: pause})
    assert found.get(contract.ENV_HOLD) == seconds
    assert (contract.ENV_POD in found) is bool(seconds)


@pytest.mark.parametrize("engine", ENGINES)
def test_pods_log_json_where_the_platform_asks_for_it(engine: str) -> None:
    assert environment(engine, **{"chart.logFormat": "json"})[contract.ENV_LOG_FORMAT] == "json"
    assert contract.ENV_LOG_FORMAT not in environment(engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_pods_address_buckets_as_the_platform_says(engine: str, style: str) -> None:
    assert environment(engine, **{"chart.endpoint.addressing": style})[contract.ENV_S3_ADDRESSING] == style
    assert contract.ENV_S3_ADDRESSING not in environment(engine, **{"chart.endpoint.addressing": "auto"})
    assert contract.ENV_S3_ADDRESSING not in environment(engine)
