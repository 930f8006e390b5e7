"""The one type of Kubernetes objects that tests make and change."""

from typing import Any

Object = dict[str, Any]
"""`jobs.kube.objects.Object` is only read."""
