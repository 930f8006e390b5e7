"""Documents go to standard output, as they are read again."""

import json

import pytest
import yaml

from jobs.commands.document import document


@pytest.mark.parametrize("value", [{"a": [1, None, "zwölf", "6:2:2"]}, [], "text"])
def test_a_document_is_read_again_as_it_was(value: object, capsys: pytest.CaptureFixture[str]) -> None:
    document(value, "json")
    assert json.loads(capsys.readouterr().out) == value
    document(value, None)
    assert yaml.safe_load(capsys.readouterr().out) == value


def test_json_is_indented_and_keeps_its_letters(capsys: pytest.CaptureFixture[str]) -> None:
    document({"name": "zwölf", "in": [1]}, "json")
    assert capsys.readouterr().out == '{\n  "name": "zwölf",\n  "in": [\n    1\n  ]\n}\n'
