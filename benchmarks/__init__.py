"""One script a claim, each against a peer in the same run. Nothing here is a test: figures are printed, not judged."""
