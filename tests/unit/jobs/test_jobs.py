"""`jobs` as a package: its names are there, and cost nothing until they are used."""

import subprocess
import sys

import pytest

import jobs


@pytest.mark.timeout(60)  # Python starts
def test_the_package_alone_loads_no_client() -> None:
    code = "import jobs, sys; assert 'kubernetes' not in sys.modules; jobs.submit; assert 'kubernetes' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'sumbit'"):
        jobs.sumbit  # type: ignore[attr-defined]  # noqa: B018
