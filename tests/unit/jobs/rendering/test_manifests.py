"""Manifests as YAML: any reader reads the same."""

import pytest

from jobs.rendering import manifests


@pytest.mark.parametrize(
    "text", ["1e5", "1e-5", "y", "NO", "0o17", "6:2:2", "2026-11-01", "", " a\nb \n", "~", "é\x85"]
)
def test_a_text_stays_one_for_every_reader(text: str) -> None:
    """PyYAML and Go's YAML take different words for numbers: what either would change stands in quotes."""
    import helm_python

    written = manifests.write([{"kind": "A", "text": text, "list": [text]}])
    assert [each["text"] for each in manifests.read(written)] == [text]
    assert helm_python.values_from_yaml(written) == {"kind": "A", "text": text, "list": [text]}
