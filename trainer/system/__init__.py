"""The machine: disk and CPU."""
