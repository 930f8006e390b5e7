"""Where a node's credentials are."""

from pathlib import Path

import pytest

from trainer.run import credentials


def test_files_that_variables_name_mounts_and_those_of_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    environ = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/t/aws",
        "KUBECONFIG": ":/k/one:/k/two",
        "AWS_CONFIG_FILE": "",
        "A": "/b",
    }
    found = credentials.paths(environ)
    named = {Path("/t/aws"), Path("/k/one"), Path("/k/two")}
    assert named | {Path("/run/secrets"), Path("/home/me/.aws"), Path("/home/me/.config/gcloud")} <= set(found)
    assert len(found) == len(named) + len(credentials.paths({}))
    assert Path() not in found
