"""The store on a folder, and the rules that hold for every store."""

import pytest

from trainer.errors import AccessError, SpecError
from trainer.storage import join_uri, open_store, split_uri


@pytest.mark.parametrize("uri", ["gs://b/x", "s3:///x", "file://host/x", "/data", "https://me:secret@host/x"])
def test_an_unknown_location_is_refused_without_its_password(uri: str) -> None:
    with pytest.raises(SpecError, match=r"is not supported\. Use s3://BUCKET/PREFIX/ or file:///FOLDER/") as caught:
        open_store(uri)
    assert "secret" not in str(caught.value)


def test_locations_are_joined_and_divided() -> None:
    assert join_uri("s3://b/x/", "runs", "r1") == "s3://b/x/runs/r1"
    assert split_uri("s3://b/x/y.pdparams") == ("s3://b/x/", "y.pdparams")
    assert split_uri("file:///x/y%20z") == ("file:///x/", "y z")
    with pytest.raises(SpecError, match="is a folder"):
        split_uri("s3://b/x/")


def test_s3_without_credentials_is_refused_with_what_to_set() -> None:
    with pytest.raises(AccessError, match="AWS_ACCESS_KEY_ID"):
        open_store("s3://bucket/x")
