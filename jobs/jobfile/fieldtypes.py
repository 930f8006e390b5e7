"""The form of texts in `placement` and `chart`: names, amounts, times and addresses, each with what to write.

What Kubernetes refuses is refused here.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from trainer.run.spec import WHOLE, spelled, words_of

# Amounts are written as Kubernetes writes them back: in an object that a controller owns, another spelling of the same
# amount would be a change at every apply. So the chart passes them on as they are.
SIZE: Final = "^[1-9][0-9]{0,4}(k|Ki|[MGT]i?)$"
AMOUNT: Final = "^(0|[1-9][0-9]{0,4}(m|k|Ki|[MGT]i?)?)$"
REDUCIBLE: Final = f"^([0-9]+000[mkMGT]?|({'|'.join(str(1024 * times) for times in range(1, 98))})[KMGT]i)$"
"""Amounts of at most five digits that a larger unit writes with fewer."""
_CRON: Final = r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4})$"
_DNS: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_IMAGE: Final = (
    r"^([0-9A-Za-z][-0-9A-Za-z.]*(:[0-9]+)?/)?([0-9a-z][-0-9a-z._]*/)*[0-9a-z]([-0-9a-z._]*[0-9a-z])?"
    r"(:[0-9A-Za-z_][-0-9A-Za-z_.]{0,127})?(@sha256:[0-9a-f]{64})?$"
)
_DOMAIN: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*"
_WORD: Final = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_LABEL: Final = rf"^({_DOMAIN}/)?{_WORD}$"
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"
_REQUEST: Final = "^(cpu|memory|ephemeral-storage)$"
_RESOURCE: Final = rf"^(cpu|memory|ephemeral-storage|{_DOMAIN}/{_WORD})$"
_TIME: Final = "^([1-9][0-9]{0,8}s|[1-9][0-9]{0,6}m|[1-9][0-9]{0,4}h)$"
_PAUSE: Final = "^([0-9]{1,5}[sm]|[0-9]{1,3}h)$"

Cron = Annotated[str, spelled(_CRON, 'write five fields, minute hour day month weekday, such as "0 3 * * 0"')]
ObjectName = Annotated[
    str,
    Field(max_length=253),
    spelled(_DNS, "the name of a Kubernetes object has lower-case letters, digits, '-' and '.'"),
]
TimeZone = Annotated[str, spelled("^[A-Za-z0-9_+/-]+$", "write a time zone by its IANA name, such as Asia/Shanghai")]
Image = Annotated[str, spelled(_IMAGE, "write an image as REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST")]
LabelName = Annotated[
    str,
    Field(max_length=253),
    spelled(_LABEL, "a label's name has letters, digits, '-', '_' and '.', optionally after a domain and a slash"),
]
LabelValue = Annotated[
    str,
    spelled(
        _LABEL_VALUE,
        "a label's value has at most 63 letters, digits, '-', '_' and '.', and needs quotes if it is a number",
    ),
]
Labels = Mapping[LabelName, LabelValue]
LabelledName = Annotated[str, Field(max_length=63), spelled(_DNS, words_of(_DNS))]
"""The name of an object, used as a label of other objects."""
Time = Annotated[str, spelled(_TIME, "write a time above 0, such as 30s, 5m or 24h")]
Pause = Annotated[str, spelled(_PAUSE, "write a time such as 0m, 30s, 5m or 24h")]


def _in_largest_unit(size: str) -> str:
    if re.fullmatch(REDUCIBLE, size):
        raise PydanticCustomError("amount", "{words}", {"words": words_of(SIZE)})
    return size


Quantity = Annotated[
    str,
    spelled(SIZE, "write a whole number with the largest unit, such as 50Gi, 1536Mi for 1.5Gi, or 2Gi for 2048Mi"),
    AfterValidator(_in_largest_unit),
]

spelled(
    AMOUNT, "write a whole number with the largest unit, such as 4, 500m for 0.5, 1536Mi for 1.5Gi, or 2Gi for 2048Mi"
)


def _amount(value: Any) -> Any:
    # A number or a text, as Kubernetes takes both; a union's refusal would name each kind in a sentence of its own.
    if isinstance(value, str):
        fits = re.fullmatch(AMOUNT, value) and not re.fullmatch(REDUCIBLE, value)
    else:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and value in range(1000)
    if not fits:
        raise PydanticCustomError("amount", "{words}", {"words": words_of(AMOUNT)})
    return value


Amount = Annotated[
    Any,
    AfterValidator(_amount),
    WithJsonSchema({"type": ["string", "integer"], "pattern": AMOUNT, "minimum": 0, "maximum": 999}),
]


def _identity(least: int, pattern: str) -> Any:
    """Return the type of a user's or group's number, or `none`. Words are found by pattern, so each has its own."""
    words = f"write a whole number from {least} to {2**31 - 1}, or `none` to leave the field out"
    spelled(pattern, words)

    def check(value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value == "none" or (number and least <= value < 2**31 and value == int(value)):
            return value
        raise PydanticCustomError("identity", "{words}", {"words": words})

    schema = {"type": ["integer", "string"], "minimum": least, "maximum": 2**31 - 1, "pattern": pattern}
    return Annotated[Any, AfterValidator(check), WithJsonSchema(schema)]


UserId = _identity(1, "^none$")
GroupId = _identity(0, "^(none)$")
ResourceName = Annotated[
    str,
    Field(max_length=253),
    spelled(_RESOURCE, "write cpu, memory, ephemeral-storage, or a device by its domain, such as example.com/fpga"),
]
RequestName = Annotated[
    str,
    spelled(_REQUEST, "write cpu, memory or ephemeral-storage; devices are requested by placement.resources.limits"),
]

_BYTE: Final = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_CIDR4: Final = rf"{_BYTE}(\.{_BYTE}){{3}}/(3[0-2]|[12]?[0-9])"
_CIDR6: Final = "(::|([0-9a-fA-F]{1,4}:){1,7}:)/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"

Cidr = Annotated[
    str, spelled(f"^({_CIDR4}|{_CIDR6})$", "write a range of addresses such as 10.0.0.0/8 or 2600:1f18::/32")
]
_PORT: Final = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3})"
_HOST: Final = r"([0-9A-Za-z]([-0-9A-Za-z.]*[0-9A-Za-z])?|\[[0-9A-Fa-f:.]+\])"
Port = Annotated[int, Field(ge=1, le=65535), WHOLE]
ProxyUrl = Annotated[
    str,
    spelled(
        "^https?://[!-.0-?A-~]+(/[!-?A-~]*)?$",
        "write http://HOST:PORT or https://HOST:PORT; one with a password is set in chart.extraEnv, from a Secret",
    ),
]
StoreUrl = Annotated[
    str,
    spelled(
        f"^https?://{_HOST}(:{_PORT})?(/[!%-;=A-_a-z~]*)?$",
        "write https://HOST or http://HOST:PORT, optionally with a path",
    ),
]
Region = Annotated[str, spelled("^[0-9A-Za-z]([-0-9A-Za-z]*[0-9A-Za-z])?$", "write a region such as eu-central-1")]
RoleArn = Annotated[
    str,
    spelled("^arn:aws[a-z-]*:iam::[0-9]{12}:role/[0-9A-Za-z+=,.@_/-]+$", "write arn:aws:iam::ACCOUNT:role/NAME"),
]
GoogleAccount = Annotated[
    str, spelled(r"^[-a-z0-9]+@[-a-z0-9.]+\.gserviceaccount\.com$", "write NAME@PROJECT.iam.gserviceaccount.com")
]
Guid = Annotated[
    str,
    spelled("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", "a client id is a GUID, 32 hex digits with dashes"),
]
VariableName = Annotated[
    str,
    spelled(
        "^[A-Za-z_][A-Za-z0-9_]*$", "a variable's name has letters, digits and '_', and does not begin with a digit"
    ),
]
DeviceName = Annotated[
    str,
    Field(max_length=253),
    spelled(rf"^{_DOMAIN}/{_WORD}$", "write the name that the device plugin uses, such as rdma.example.com/hca"),
]
NoProxy = Annotated[str, spelled("^[!-+.-~-]+$", "write one host, domain or address range per item")]
FileName = Annotated[
    str,
    spelled(
        "^[_a-zA-Z0-9][-._a-zA-Z0-9]{0,252}$",
        "a key has letters, digits, '-', '_' and '.', and does not begin with '-' or '.'",
    ),
]
