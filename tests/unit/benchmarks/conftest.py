"""The API server on the wire, as the submitter's tests have it."""

from tests.unit.jobs.conftest import api

__all__ = ["api"]
