"""The one type of Kubernetes objects."""

from collections.abc import Mapping
from typing import Any

Object = Mapping[str, Any]
"""An object of Kubernetes, as the API server's JSON."""
