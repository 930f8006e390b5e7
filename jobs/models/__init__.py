"""Published models on this side: find, pull, cache."""
