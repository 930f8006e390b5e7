"""Turns errors of an S3 endpoint into those of `trainer.errors`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

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

Action = Literal["s3:DeleteObject", "s3:GetObject", "s3:ListBucket", "s3:PutObject"]
"""The right that a request needs, as policies spell it."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_REFUSED = {
    "AccountProblem",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_NO_RIGHT = {"AccessDenied", "AllAccessDisabled"}
# Of Alibaba Cloud OSS and Tencent Cloud COS.
_NO_PATH_STYLE = {"SecondLevelDomainForbidden", "PathStyleDomainForbidden"}
# rustls's words: https://docs.rs/rustls/latest/rustls/enum.CertificateError.html
_CERTIFICATE = {
    "UnknownIssuer": "is from an authority that is not trusted here. Set AWS_CA_BUNDLE, or chart.caBundle for pods, "
    "to the certificate of that authority",
    "NotValidForName": "is for another host. Check AWS_ENDPOINT_URL",
    "Expired": "has expired. Renew it, or check the clock of this machine",
    "NotValidYet": "is not valid yet. Check the clock of this machine",
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

    virtual: bool = False
    """Whether the settings ask for the bucket's name in the host name."""

    def uri(self, key: str = "") -> str:
        """Return the location of a key."""
        return "/".join(["s3:/", self.bucket, *filter(None, [self.prefix, key])])

    @contextmanager
    def faults(self, action: Action, key: str = "") -> Iterator[None]:
        """Raise our errors in place of obstore's, for a request that needs a right on a key."""
        try:
            yield
        except CAUGHT as error:
            raise self.translate(error, key, action=action) from error

    def translate(self, error: Exception, key: str = "", *, action: Action) -> OcrfleetError:
        """Return our error for one of obstore's.

        Of the endpoint's answer only the code is shown, since some servers answer with parts of the request. The
        whole answer is in the chained cause.
        """
        text = str(error)
        # The second form is for one key of a bulk delete, whose answer as a whole has status 200.
        code = _first(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
        # A bulk delete names the key that it was refused for.
        if refused := _first(r"request failed for key (.+?): ", text):
            key = refused.removeprefix(f"{self.prefix}/")
        status = int(_first(r"status code: (\d{3})", text) or 0)
        if code == "NoSuchBucket":
            return self.no_bucket()
        if code in _NO_PATH_STYLE:
            remedy = (
                f"{self.bucket!r} cannot be in front of that host: use an endpoint that is a host name, and with "
                "https:// a bucket without dots in its name."
                if self.virtual
                else "Set addressing_style = virtual for s3 in ~/.aws/config, or OCRFLEET_S3_ADDRESSING=virtual; for "
                "pods, chart.endpoint.addressing."
            )
            return SpecError(f"{self.endpoint} takes no bucket in the path ({code}). {remedy}")
        if isinstance(error, FileNotFoundError):
            return NotFoundError(f"The object {self.uri(key)} does not exist at {self.endpoint}. Check the location.")
        if isinstance(error, AlreadyExistsError):
            return ConflictError(f"{self.uri(key)} already exists and was not overwritten.")
        if isinstance(error, PreconditionError) or status in (409, 412):
            return ConflictError(f"Another writer has changed {self.uri(key)} since it was read.")
        if code in _NO_RIGHT:
            return self._no_right(code, key, action=action)
        if isinstance(error, PermissionDeniedError | UnauthenticatedError) or status in (401, 403) or code in _REFUSED:
            why = code or (f"status {status}" if status else "no valid credentials")
            # The answer to HEAD has no code, so the keys may be wrong, or the right may be missing.
            return self.refused(why, key, action=None if code else action)
        if status in (301, 307) or "redirect" in text:
            return SpecError(f"The bucket {self.bucket!r} is in another region. Set AWS_REGION to the bucket's region.")
        if status and status not in _TRANSIENT_STATUS:
            return OcrfleetError(f"{self.endpoint} answered {status} {code or ''} for {self.uri(key)}.")
        if isinstance(error, ValueError):
            return SpecError(f"A key under {self.uri(key)} cannot be read: {text.splitlines()[0]}")
        if not status and (refusal := self.not_trusted(error)):
            return refusal
        return self.down(f"answers with {status} {code or ''}".rstrip() if status else "does not answer")

    def no_bucket(self) -> NoBucketError:
        """Return the error for a bucket that does not exist."""
        return NoBucketError(
            f"The bucket {self.bucket!r} does not exist at {self.endpoint}. Check its name and AWS_ENDPOINT_URL, or "
            "create it."
        )

    def refused(self, why: str, key: str = "", *, action: Action | None = None) -> AccessError:
        """Return the error for credentials that are invalid, or may be."""
        needs = f", and that it has {action} on this key" if action else ""
        return AccessError(
            f"Access to {self.uri(key)} at {self.endpoint} was refused ({why}). Check AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or the profile or role in use{needs}."
        )

    def _no_right(self, code: str, key: str, *, action: Action) -> AccessError:
        where = f"the bucket {self.bucket!r}" if action == "s3:ListBucket" else "this key"
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        absent = " Without s3:ListBucket, an object that does not exist is refused in the same way."
        return AccessError(
            f"Access to {self.uri(key)} at {self.endpoint} was refused ({code}): the user or role in use needs "
            f"{action} on {where}.{absent if action == 's3:GetObject' else ''}"
        )

    def not_trusted(self, error: Exception) -> AccessError | None:
        """Return the error for a server whose certificate is not valid here; None for any other fault."""
        found = (_first(r"InvalidCertificate\(\s*(\w+)", str(error)) or "").removesuffix("Context")
        what = _CERTIFICATE.get(found, "is not valid")
        return AccessError(f"The certificate of {self.endpoint} {what} ({found}).") if found else None

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
