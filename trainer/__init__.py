"""What runs in the pod, and on this machine: one job file's pipeline."""
