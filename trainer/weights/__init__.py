"""Where weights come from, and their cache."""
