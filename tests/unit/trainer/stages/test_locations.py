"""Refusals of a job file's locations name the field, and leave alone what names itself."""

import pytest

from trainer.errors import AccessError, NotFoundError
from trainer.stages import locations
from trainer.storage import NoBucketError


def test_an_object_that_does_not_exist_is_named_by_its_field() -> None:
    gone = NotFoundError("There is no file weights.pdparams.")
    words = r"^run\.init\.pretrained is 's3://b/w', but that object does not exist"
    with pytest.raises(NotFoundError, match=words) as caught, locations.named("run.init.pretrained", "s3://b/w"):
        raise gone
    assert caught.value.__cause__ is gone


@pytest.mark.parametrize("error", [NoBucketError("There is no bucket 'b'."), AccessError("Access denied.")])
def test_a_missing_bucket_and_a_refused_key_keep_their_own_words(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, locations.named("run.init.pretrained", "s3://b/w"):
        raise error
    assert caught.value is error
