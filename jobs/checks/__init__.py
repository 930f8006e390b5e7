"""Preflight: what would keep a job from running, found before it is submitted."""
