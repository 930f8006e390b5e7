"""How a bucket is reached: the AWS tools' variables, then their profile, checked before a client gets them."""

import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar, cast, get_args

from trainer import contract
from trainer.errors import AccessError, SpecError

Addressing = Literal["auto", "path", "virtual"]
Value = TypeVar("Value")

_NAME: Final = r"[0-9A-Za-z]([-0-9A-Za-z._]*[0-9A-Za-z])?"
_ADDRESS: Final = r"\d+(\.\d+){3}|\[[0-9A-Fa-f:.]+\]"
# The path has what a request can carry unchanged, without '@', '?' and '#'.
_ENDPOINT: Final = re.compile(rf"https?://({_NAME}|{_ADDRESS})(:(?P<port>[0-9]{{1,5}}))?(/[!%-;=A-_a-z~]*)?")
_LABEL: Final = "[0-9a-z]([-0-9a-z]{0,61}[0-9a-z])?"
_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a store is reached."""

    endpoint: str | None
    """URL of the server, without a slash at its end. None: AWS."""

    region: str
    """The region that requests are signed for."""

    addressing: Addressing
    """Where the bucket's name is: in the path or in the host name. auto: on AWS in the host name, else in the path."""

    authorities: bytes | None
    """PEM certificates to trust in addition to those of the system."""

    def base(self, bucket: str) -> tuple[str, bool]:
        """Return the server's URL for a bucket, and whether it has the bucket in its host name."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        scheme, _, rest = (self.endpoint or f"https://s3.{self.region}.{domain}").partition("://")
        wanted = self.addressing == "virtual" or (self.addressing == "auto" and not self.endpoint)
        # As in the AWS tools: the path, where no host name can be made. A certificate for *.HOST covers one label.
        fitting = rf"{_LABEL}(\.{_LABEL})*" if scheme == "http" else _LABEL
        if wanted and re.fullmatch(fitting, bucket) and not re.match(rf"({_ADDRESS})(:|/|$)", rest):
            return f"{scheme}://{bucket}.{rest}", True
        return f"{scheme}://{rest}", False


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings of an environment and of the profile that it selects.

    Raises:
        SpecError: one of them cannot be used; the message has its name, and never a password.
        AccessError: a key cannot be one.
    """
    for name in _KEYS:
        if not re.fullmatch("[!-~]*", environ.get(name, "")):
            raise AccessError(f"{name} has a blank, a line break or another character that no key has. Set it again.")
    profile, where = _profile(environ)

    def first(variables: tuple[str, ...], field: str, check: Callable[[str, str], Value]) -> Value | None:
        for name in variables:
            if environ.get(name):
                return check(name, environ[name])
        return check(f"{field} in {where}", profile[field]) if profile.get(field) else None

    return Settings(
        endpoint=first(("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), "endpoint_url", _endpoint),
        region=first(("AWS_REGION", "AWS_DEFAULT_REGION"), "region", _region) or "us-east-1",
        addressing=first((contract.ENV_S3_ADDRESSING,), "addressing_style", _addressing) or "auto",
        authorities=first(("AWS_CA_BUNDLE",), "ca_bundle", _authorities),
    )


def check_bucket(name: str) -> None:
    """Refuse an invalid name of a bucket.

    Raises:
        SpecError: no bucket can have it, or it is an ARN.
    """
    if name.startswith("arn:"):
        raise SpecError(
            f"The location s3://{name} is an ARN. Use the name of the bucket, or the alias of the access point, which "
            "ends in -s3alias."
        )
    if not re.fullmatch("[0-9A-Za-z]([-._:0-9A-Za-z]*[0-9A-Za-z])?", name):
        # Somebody may have tried s3://KEY:SECRET@BUCKET.
        raise SpecError(
            f"The bucket {name.rpartition('@')[2]!r} cannot exist: a name has letters, digits, '-' and '.', and "
            "begins and ends with a letter or digit."
        )


def _endpoint(source: str, url: str) -> str:
    # A URL with one of these may have a secret in it, so it is not shown.
    for signs, what in (("@", "a user name or a password"), ("?#", "a query or a fragment")):
        if any(sign in url for sign in signs):
            raise SpecError(f"{source} has {what}. Remove it: requests are signed with the keys of the AWS tools.")
    if re.search(r"[\x00-\x20\x7f]", url):
        raise SpecError(f"{source} is {url!r}, with a blank or a control character. Remove it.")
    if not re.match("https?://", url):
        raise SpecError(f"{source} is {url!r}. Begin it with http:// or https://.")
    match = _ENDPOINT.fullmatch(url)
    if not match or not 0 < int(match["port"] or 443) < 65536:
        raise SpecError(f"{source} is {url!r}. Write https://HOST or http://HOST:PORT, optionally with a path.")
    return url.rstrip("/")


def _region(source: str, name: str) -> str:
    if not re.fullmatch("[0-9A-Za-z]([-0-9A-Za-z]*[0-9A-Za-z])?", name):
        raise SpecError(f"{source} is {name!r}. Write a region such as eu-central-1.")
    return name


def _addressing(source: str, style: str) -> Addressing:
    if style not in get_args(Addressing):
        raise SpecError(f"{source} is {style!r}. Set it to path, virtual or auto.")
    return cast(Addressing, style)


def _authorities(source: str, name: str) -> bytes:
    path = Path(os.path.expanduser(name))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        return path.read_bytes()
    except ssl.SSLError as error:
        raise SpecError(f"{source} is {name!r}, which is not a file of PEM certificates.") from error
    except OSError as error:
        raise SpecError(f"{source} is {name!r}, which cannot be read: {error.strerror}.") from error


def _profile(environ: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return the S3 settings of the selected profile, and where they come from."""
    # Not Path, whose methods raise an error for a user without a home, or one that may not search it.
    config = os.path.expanduser(environ.get("AWS_CONFIG_FILE") or "~/.aws/config")
    keys = os.path.expanduser(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials")
    name = environ.get("AWS_DEFAULT_PROFILE") or environ.get("AWS_PROFILE") or "default"
    where = f"the profile {name!r} of {config}"
    if not os.path.isfile(config) and not os.path.isfile(keys):
        return {}, where
    # Imported late, since it takes 0.1 s.
    from botocore.configloader import load_config, raw_config_parse
    from botocore.exceptions import BotoCoreError

    try:
        known = load_config(config) if os.path.isfile(config) else {"profiles": {}}
        # The AWS tools take settings out of this file, too.
        more = raw_config_parse(keys) if os.path.isfile(keys) else {}
    except BotoCoreError as error:
        raise SpecError(f"{error} Correct the file, or name another one in AWS_CONFIG_FILE.") from error
    values = {**known["profiles"].get(name, {}), **more.get(name, {})}
    service = known.get("services", {}).get(str(values.get("services")), {}).get("s3")
    # Values are strings or nested sections. As in the AWS tools, a service's own endpoint takes precedence.
    values["addressing_style"] = _field(values.get("s3"), "addressing_style")
    values["endpoint_url"] = _field(service, "endpoint_url") or values.get("endpoint_url")
    return {field: value for field, value in values.items() if isinstance(value, str)}, where


def _field(part: object, name: str) -> object:
    return part.get(name) if isinstance(part, dict) else None
