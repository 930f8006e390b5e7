"""Where a node's credentials are."""

import os
from pathlib import Path

import pytest
from botocore.loaders import create_loader
from botocore.session import Session

from trainer.run import credentials
from trainer.storage import open_store


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory without credentials, on a machine that has none either."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    # Set, so that what a test sets here is undone.
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "BOTO_CONFIG"):
        monkeypatch.setenv(name, "")
        del os.environ[name]
    return tmp_path


def profile(home: Path) -> Path:
    """Write a profile whose keys come from a program, and return the file that shows whether it ran."""
    program, ran = home / "program", home / "ran"
    program.write_text(f"""#!/bin/sh
touch '{ran}'
echo '{{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "b"}}'
""")
    program.chmod(0o700)
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(f"[default]\ncredential_process = {program}\n")
    return ran


def test_a_profile_that_a_worker_makes_later_runs_no_program(home: Path) -> None:
    credentials.settle(os.environ)
    ran = profile(home)
    (home / ".aws" / "credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    (home / ".boto").write_text("[Credentials]\naws_access_key_id = a\naws_secret_access_key = b\n")
    assert Session().get_credentials() is None
    assert not ran.exists()


def test_a_profile_that_is_there_before_is_used(home: Path) -> None:
    ran = profile(home)
    credentials.settle(os.environ)
    assert Session().get_credentials()
    assert ran.exists()


def test_a_file_that_a_variable_names_is_used(home: Path) -> None:
    """Such as a mounted Secret, which may come later."""
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(home / "mounted")
    credentials.settle(os.environ)
    (home / "mounted").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    found = Session().get_credentials()
    assert found
    assert found.access_key == "a"


def test_the_servers_of_services_are_taken_from_no_home_directory(home: Path) -> None:
    """A worker could name its own server for the service that takes the token of a pod."""
    profile(home)
    open_store("s3://bucket/")
    assert not [path for path in create_loader().search_paths if path.endswith(os.path.join(".aws", "models"))]
