"""A job file in, Kubernetes objects out, by the one chart."""
