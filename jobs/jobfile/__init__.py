"""The job file: YAML in, a frozen `TrainingJob` out."""
