"""The only way to the Kubernetes API server."""
