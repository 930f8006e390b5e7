"""Texts are taken in the forms that Kubernetes takes, to the edge of each form."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from jobs.jobfile import fieldtypes


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Quantity", ["1k", "512Mi", "1536Mi", "99999Ti"], ["1", "0Gi", "1.5Gi", "2048Mi", "100000Ti", "5gi", ""]),
        ("Cron", ["0 3 * * 0", "*/5 * * * MON-FRI", "@daily"], ["0 3 * *", "@reboot", "0 3 * * 0 2026", ""]),
        ("ObjectName", ["a", "a.b-c", "a" * 253], ["A", "a_b", "-a", "a-", "a" * 254, ""]),
        ("LabelledName", ["a" * 63], ["a" * 64, "A"]),
        ("LabelName", ["a", "example.com/A_b.c", "a" * 63], ["/a", "a/", "a" * 64, "a b"]),
        ("LabelValue", ["", "A_b.c", "a" * 63], ["-a", "a" * 64, "a/b"]),
        ("Time", ["1s", "90m", "99999h"], ["0s", "1d", "1h30m", "100000h", "5"]),
        ("Pause", ["0m", "99999s", "999h"], ["1000h", "1d", "5"]),
        ("Amount", [4, 0, 4.0, 999, "500m", "16Gi"], [-1, 0.5, 1000, True, "1000m", "16gi", "", None]),
        ("ResourceName", ["cpu", "memory", "ephemeral-storage", "example.com/fpga"], ["gpu", "storage", "a/"]),
        ("RequestName", ["cpu", "memory", "ephemeral-storage"], ["example.com/fpga", "gpu"]),
        ("Cidr", ["10.0.0.0/8", "0.0.0.0/0", "1.2.3.4/32", "2600:1f18::/32", "::/0"], ["10.0.0.256/8", "1.2.3.4/33"]),
        ("Port", [1, 65535], [0, 65536, "80"]),
        (
            "StoreUrl",
            ["https://s3.test", "http://[::1]:65535/path"],
            ["s3://a", "https://s3.test:65536", "https://", "http://a/?b", "http://a/#b", "http://a/@", "http://b@a"],
        ),
        ("FileName", ["ca.crt", "_a", "a" * 253], [".a", "-a", "a/b", "a" * 254]),
        ("VariableName", ["_A1"], ["1A", "A-B", ""]),
    ],
)  # fmt: skip
def test_a_form_takes_what_kubernetes_takes_and_refuses_the_rest(kind: str, good: list[Any], bad: list[Any]) -> None:
    adapter = TypeAdapter(getattr(fieldtypes, kind))
    for value in good:
        assert adapter.validate_python(value) == value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value, strict=True)
