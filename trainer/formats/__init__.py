"""YAML and canonical JSON."""
