"""Turns errors of an S3 endpoint into those of `trainer.errors`."""

import re
from dataclasses import dataclass
from typing import Final

from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from trainer.errors import AccessError, ConflictError, NotFoundError, OcrfleetError, SpecError, TransientError
from trainer.storage.base import NoBucketError

CAUGHT: Final = (BaseError, FileNotFoundError, ValueError)
"""Everything that obstore raises; it uses some of Python's own classes."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_REFUSED = {
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a request went, for messages."""

    bucket: str
    """The bucket's name."""

    prefix: str
    """What stands before every key, without a `/` at the end."""

    endpoint: str
    """URL of the endpoint, or what stands for it."""

    def uri(self, key: str = "") -> str:
        """Return the location of a key."""
        return "/".join(["s3:/", self.bucket, *filter(None, [self.prefix, key])])

    def translate(self, error: Exception, key: str = "") -> OcrfleetError:
        """Return our error for one of obstore's.

        Of the endpoint's answer only the code is shown, since some servers answer with parts of the request. The
        whole answer is in the chained cause.
        """
        text = str(error)
        # The second form is for one key of a bulk delete, whose answer as a whole has status 200.
        code = _first(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
        status = int(_first(r"status code: (\d{3})", text) or 0)
        if code == "NoSuchBucket":
            return self.no_bucket()
        if isinstance(error, FileNotFoundError):
            return NotFoundError(f"The object {self.uri(key)} does not exist at {self.endpoint}. Check the location.")
        if isinstance(error, AlreadyExistsError):
            return ConflictError(f"{self.uri(key)} already exists and was not overwritten.")
        if isinstance(error, PreconditionError) or status in (409, 412):
            return ConflictError(f"Another writer has changed {self.uri(key)} since it was read.")
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403) or code in _REFUSED:
            return self.refused(code or (f"status {status}" if status else "no valid credentials"), key)
        if status in (301, 307) or "redirect" in text:
            return SpecError(f"The bucket {self.bucket!r} is in another region. Set AWS_REGION to the bucket's region.")
        if status and status not in _TRANSIENT_STATUS:
            return OcrfleetError(f"{self.endpoint} answered {status} {code or ''} for {self.uri(key)}.")
        if isinstance(error, ValueError):
            return SpecError(f"A key under {self.uri(key)} cannot be read: {text.splitlines()[0]}")
        return self.down(f"answers with {status} {code or ''}".rstrip() if status else "does not answer")

    def no_bucket(self) -> NoBucketError:
        """Return the error for a bucket that does not exist."""
        return NoBucketError(
            f"The bucket {self.bucket!r} does not exist at {self.endpoint}. Check its name and AWS_ENDPOINT_URL, or "
            "create it."
        )

    def refused(self, why: str, key: str = "") -> AccessError:
        """Return the error for credentials that are invalid or not allowed to do this."""
        return AccessError(
            f"Access to {self.uri(key)} at {self.endpoint} was refused ({why}). Check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or the profile or role in use, and its permissions on this bucket."
        )

    def down(self, how: str) -> TransientError:
        """Return the error for an endpoint that stayed down through all retries."""
        return TransientError(
            f"The S3 endpoint {self.endpoint} {how}. Check AWS_ENDPOINT_URL, the server and the network, "
            "then run it again. It resumes where it left off."
        )


def _first(pattern: str, text: str) -> str | None:
    """Return what the first group of a pattern that takes part in a match has found."""
    match = re.search(pattern, text)
    return next(filter(None, match.groups())) if match else None
