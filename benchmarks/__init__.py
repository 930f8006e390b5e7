"""One script a claim, each against a peer in the same run. Those of speed fail when a case misses its bound."""
