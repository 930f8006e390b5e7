"""What a run reports while it runs: events, metrics, progress, VisualDL."""
