"""Names that a pod has already are refused, those of every engine too."""

import pytest

from jobs.engines import ENGINES
from jobs.jobfile.reserved import refuse_reserved


@pytest.mark.parametrize("name", ENGINES)
def test_no_label_by_which_an_engine_finds_its_pods_may_be_given_again(name: str) -> None:
    engine = ENGINES[name]
    for key in (engine.RANK_LABEL, engine.pod_selector("").removesuffix("=")):
        with pytest.raises(ValueError, match=rf"^chart\.podLabels has {key}: "):
            refuse_reserved([key], "chart.podLabels")


def test_a_name_is_refused_only_in_the_field_that_its_rule_is_for() -> None:
    with pytest.raises(ValueError, match="has job-name"):
        refuse_reserved(["team", "job-name"], "chart.podLabels")
    refuse_reserved(["team", "job-name"], "chart.podAnnotations")
    refuse_reserved(["team", "example.com/ocrfleet.io", "my-job-name"], "chart.podLabels")
