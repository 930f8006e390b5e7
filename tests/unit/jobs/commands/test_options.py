"""Values of options that several commands share, to the edge of what each takes."""

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from jobs.commands import options


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (options.duration, "90s", 90),
        (options.duration, "0.3s", 0.3),
        (options.duration, "500ms", 0.5),
        (options.duration, "5", 5),
        (options.duration, "5m", 300),
        (options.duration, "1h30m", 5400),
        (options.duration, "1h1m1.5s", 3661.5),
        (options.positive, "1", 1),
        (options.count, "0", 0),
        (options.port, "1", 1),
        (options.port, "65535", 65535),
    ],
)
def test_a_value_is_read(parse: Callable[[str], Any], text: str, value: float) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((options.duration, text) for text in ("", "0", "0s", "1s5m", "-1s", "1d", "1.5m")),
        *((options.positive, text) for text in ("", "0", "-1", "1.5", "x")),
        *((options.count, text) for text in ("", "-1", "1.5")),
        *((options.port, text) for text in ("0", "65536", "-1", "http")),
    ],
)
def test_another_is_refused_by_its_text(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"^'{text}' is not a "):
        parse(text)


@pytest.mark.parametrize(
    ("text", "fits"), [("a", True), ("a" * 63, True), ("a" * 64, False), ("-a", False), ("A", False)]
)
def test_a_namespace_is_a_label_of_dns(text: str, fits: bool) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    options.namespace(parser)
    if fits:
        assert parser.parse_args(["-n", text]).namespace == text
    else:
        with pytest.raises(argparse.ArgumentError, match="is not a namespace"):
            parser.parse_args([f"--namespace={text}"])
