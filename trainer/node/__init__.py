"""One node's run."""
