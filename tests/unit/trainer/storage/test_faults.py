"""What an endpoint answers, in our words and classes; the answers are SeaweedFS's and AWS's own."""

import pytest
from obstore.exceptions import (
    AlreadyExistsError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from trainer.errors import AccessError, ConflictError, NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.storage.base import NoBucketError
from trainer.storage.faults import Action, Place

PLACE = Place(bucket="models", prefix="receipts", endpoint="http://s3:9000")


def answer(status: int, code: str = "") -> str:
    body = f"<Error><Code>{code}</Code><Message>secret parts of the request</Message></Error>" if code else ""
    return f"Server returned non-2xx status code: {status} X: {body}"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (GenericError(answer(404, "NoSuchBucket")), NoBucketError),
        (FileNotFoundError("Object at location x not found"), NotFoundError),
        (AlreadyExistsError("x"), ConflictError),
        (PreconditionError("x"), ConflictError),
        (GenericError(answer(412)), ConflictError),
        (GenericError(answer(409, "ConditionalRequestConflict")), ConflictError),
        (PermissionDeniedError("x"), AccessError),
        (GenericError(answer(401)), AccessError),
        (GenericError(answer(403)), AccessError),
        (UnauthenticatedError("x"), AccessError),
        (GenericError(answer(400, "ExpiredToken")), AccessError),
        (GenericError("bulk delete (code: AccessDenied)"), AccessError),
        (GenericError(answer(403, "SecondLevelDomainForbidden")), SpecError),
        (PermissionDeniedError(answer(403, "PathStyleDomainForbidden")), SpecError),
        (GenericError("error sending request … InvalidCertificate(\n    UnknownIssuer,\n)"), AccessError),
        (GenericError(answer(500, "InvalidCertificate(UnknownIssuer)")), TransientError),
        (GenericError(answer(301)), SpecError),
        (GenericError(answer(307)), SpecError),
        (GenericError("a redirect without a location"), SpecError),
        (GenericError(answer(503, "SlowDown")), TransientError),
        *((GenericError(answer(status)), TransientError) for status in (408, 429, 500, 502, 503, 504)),
        (GenericError("connection refused"), TransientError),
        (ValueError("bad key\nmore"), SpecError),
        (GenericError(answer(501, "NotImplemented")), OcrfleetError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value)[:40],
)
def test_an_answer_is_the_error_that_says_what_to_do(error: Exception, kind: type[OcrfleetError]) -> None:
    translated = PLACE.translate(error, "x.json", action="s3:GetObject")
    assert type(translated) is kind
    assert "secret parts" not in str(translated)
    assert "models" in str(translated) or "http://s3:9000" in str(translated)


def test_a_store_that_wants_host_names_is_not_told_to_use_the_setting_that_it_has() -> None:
    """An address cannot have a bucket's name in front, so the path was used in spite of the setting."""
    place = Place(bucket="slips", prefix="", endpoint="http://10.0.0.1:9000", virtual=True)
    said = place.translate(GenericError(answer(403, "SecondLevelDomainForbidden")), action="s3:ListBucket")
    assert str(said) == (
        "http://10.0.0.1:9000 takes no bucket in the path (SecondLevelDomainForbidden). 'slips' cannot be in front of "
        "that host: use an endpoint that is a host name, and with https:// a bucket without dots in its name."
    )


def test_a_location_is_written_without_doubled_slashes() -> None:
    assert PLACE.uri("a/b") == "s3://models/receipts/a/b"
    assert PLACE.uri() == "s3://models/receipts"
    assert Place(bucket="models", prefix="", endpoint="AWS").uri("a") == "s3://models/a"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (GenericError(answer(501, "NotImplemented")), "http://s3:9000 answered 501 NotImplemented for {key}."),
        (GenericError(answer(400, "ExpiredToken")), "Access to {key} at http://s3:9000 was refused (ExpiredToken). "),
        (
            GenericError(answer(403)),
            "Access to {key} at http://s3:9000 was refused (status 403). Check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or the profile or role in use, and that it has s3:GetObject on this key.",
        ),
        (
            PermissionDeniedError(answer(403, "AccessDenied")),
            "Access to {key} at http://s3:9000 was refused (AccessDenied): the user or role in use needs s3:GetObject "
            "on this key. Without s3:ListBucket, ",
        ),
        (
            PermissionDeniedError(answer(403, "SignatureDoesNotMatch")),
            "Access to {key} at http://s3:9000 was refused (SignatureDoesNotMatch). Check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or the profile or role in use.",
        ),
        (
            GenericError(answer(403, "SecondLevelDomainForbidden")),
            "http://s3:9000 takes no bucket in the path (SecondLevelDomainForbidden). Set addressing_style = virtual ",
        ),
        *(
            (GenericError(f"InvalidCertificate(\n  {found},"), f"The certificate of http://s3:9000 {sentence}")
            for found, sentence in (
                ("UnknownIssuer", "is from an authority that is not trusted here. Set AWS_CA_BUNDLE, "),
                ("NotValidForNameContext {", "is for another host. Check AWS_ENDPOINT_URL (NotValidForName)."),
                ("ExpiredContext {", "has expired. Renew it"),
                ("NotValidYet", "is not valid yet. Check the clock"),
                ("BadSignature", "is not valid (BadSignature)."),
            )
        ),
        (PermissionDeniedError("x"), "Access to {key} at http://s3:9000 was refused (no valid credentials). "),
        (GenericError(answer(503, "SlowDown")), "The S3 endpoint http://s3:9000 answers with 503 SlowDown. "),
        (GenericError(answer(429)), "The S3 endpoint http://s3:9000 answers with 429. "),
        (GenericError("connection refused"), "The S3 endpoint http://s3:9000 does not answer. "),
        (ValueError("bad key\nmore"), "A key under {key} cannot be read: bad key"),
        (PreconditionError("x"), "Another writer has changed {key} since it was read."),
        (AlreadyExistsError("x"), "{key} already exists and was not overwritten."),
    ],
    ids=lambda value: str(value)[:40],
)
def test_an_error_says_what_the_endpoint_answered_and_for_what(error: Exception, sentence: str) -> None:
    said = str(PLACE.translate(error, "x.json", action="s3:GetObject"))
    assert said.startswith(sentence.format(key="s3://models/receipts/x.json"))


@pytest.mark.parametrize(
    ("action", "text", "needed"),
    [
        ("s3:ListBucket", answer(403, "AccessDenied"), r"needs s3:ListBucket on the bucket 'models'\.$"),
        ("s3:PutObject", answer(403, "AccessDenied"), r"x\.json .* needs s3:PutObject on this key\.$"),
        (
            "s3:DeleteObject",
            "DeleteObjects request failed for key receipts/b/y: Access Denied. (code: AccessDenied)",
            r"^Access to s3://models/receipts/b/y .* needs s3:DeleteObject on this key\.$",
        ),
    ],
)
def test_a_missing_right_is_named_with_its_key(action: Action, text: str, needed: str) -> None:
    with pytest.raises(AccessError, match=needed), PLACE.faults(action, "x.json"):
        raise PermissionDeniedError(text)
