"""Labels and names that a pod has already are refused, those of every engine too."""

import pytest

from jobs.engines import ENGINES
from jobs.jobfile.reserved import BARE, refuse_own, refuse_twice


@pytest.mark.parametrize("name", ENGINES)
def test_no_label_by_which_an_engine_finds_its_pods_may_be_given_again(name: str) -> None:
    engine = ENGINES[name]
    for key in (engine.RANK_LABEL, engine.pod_selector("").removesuffix("=")):
        with pytest.raises(ValueError, match=rf"^chart\.podLabels has {key}: "):
            refuse_own([key], "chart.podLabels")


def test_what_another_rule_names_is_refused_and_the_rest_is_free() -> None:
    with pytest.raises(ValueError, match="has job-name"):
        refuse_own(["team", "job-name"], "chart.podLabels", BARE)
    refuse_own(["team", "example.com/ocrfleet.io"], "chart.podLabels", BARE)


def test_a_name_is_refused_when_the_pod_has_it_and_when_it_is_there_twice() -> None:
    with pytest.raises(ValueError, match="has work, which the pod has already"):
        refuse_twice(["mine", "work"], "chart.volumes", ["work"])
    with pytest.raises(ValueError, match="has mine twice"):
        refuse_twice(["mine", "other", "mine"], "chart.volumes")
    refuse_twice(["mine", "other"], "chart.volumes", ["work"])
