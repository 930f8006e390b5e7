"""Kubernetes objects in, a run's status with reasons in words out."""
