"""The store on a folder, and the rules that hold for every store."""

from pathlib import Path

import pytest

from trainer.errors import AccessError, SpecError
from trainer.storage import join_uri, local_path, open_store, split_uri


@pytest.mark.parametrize(
    "uri",
    [
        "gs://b/x",
        "s3:///x",
        "file://host/x",
        "file://",
        "/data",
        "s3",
        "gs://[",
        "https://me:secret@host/x",
        "https://host/x?token=secret",
    ],
)
def test_an_unknown_location_is_refused_without_its_password(uri: str) -> None:
    with pytest.raises(SpecError, match=r"is not supported\. Use s3://BUCKET/PREFIX/ or file:///FOLDER/") as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "folder"),
    [
        ("a#b", "a#b"),
        ("a?b=c", "a?b=c"),
        ("#", "#"),
        ("50%", "50%"),
        ("100%/a", "100%/a"),
        ("%zz", "%zz"),
        ("a b", "a b"),
        ("a%20b", "a b"),
        ("a%23b", "a#b"),
        ("a%2520b", "a%20b"),
        ("图;x", "图;x"),
        ("[", "["),
    ],
)
def test_a_file_location_is_the_folder_that_was_named(written: str, folder: str, tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/{written}/")
    store.put("key", b"content")
    assert (tmp_path / folder / "key").read_bytes() == b"content"
    assert open_store(store.uri).get("key") == b"content"


def test_a_path_as_uri_is_that_path(tmp_path: Path) -> None:
    for name in ("a#b", "a?b", "a%20b", "a b", "图", "%"):
        assert local_path((tmp_path / name).as_uri()) == tmp_path / name
    assert local_path("s3://bucket/x") is None


def test_locations_are_joined_and_divided() -> None:
    assert join_uri("s3://b/x/", "runs", "r1") == "s3://b/x/runs/r1"
    assert split_uri("s3://b/x/y.pdparams") == ("s3://b/x/", "y.pdparams")
    assert split_uri("file:///x/y%20z") == ("file:///x/", "y z")
    with pytest.raises(SpecError, match="is a folder"):
        split_uri("s3://b/x/")


def test_s3_without_credentials_is_refused_with_what_to_set() -> None:
    with pytest.raises(AccessError, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x")
