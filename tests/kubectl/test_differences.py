"""Each difference from kubectl is written down with its reason."""

from pathlib import Path

import pytest

from tests.kubectl import differences

RECORD = Path(__file__).parents[2] / "docs/decisions/0018-the-package-kubernetes-is-the-way-to-the-api-server.md"
REASONS = {name: value for name, value in vars(differences).items() if name.isupper()}


@pytest.mark.parametrize("name", REASONS)
def test_the_decision_record_names_every_difference(name: str) -> None:
    assert REASONS[name] in " ".join(RECORD.read_text("utf-8").split())


def test_the_decision_record_names_no_other() -> None:
    section = RECORD.read_text("utf-8").partition("## Differences from kubectl")[2].partition("\n## ")[0]
    listed = [" ".join(item.partition("\n\n")[0].split()) for item in section.split("\n- ")[1:]]
    assert sorted(listed) == sorted(REASONS.values())
