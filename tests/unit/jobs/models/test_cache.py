"""Where pulled models are kept."""

from pathlib import Path

import pytest

from jobs.models.cache import Cache


@pytest.mark.parametrize(
    ("given", "environ", "root"),
    [
        (Path("/c"), {"OCRFLEET_CACHE": "/e"}, "/c"),
        (None, {"OCRFLEET_CACHE": "/e", "XDG_CACHE_HOME": "/x"}, "/e"),
        (None, {"XDG_CACHE_HOME": "/x"}, "/x/ocrfleet"),
        (None, {}, str(Path.home() / ".cache/ocrfleet")),
    ],
)
def test_where_the_cache_is(given: Path | None, environ: dict[str, str], root: str) -> None:
    assert Cache.choose(given, environ).root == Path(root)
