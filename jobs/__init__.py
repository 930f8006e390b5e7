"""The submitter: from a job file to a run, here or on a cluster."""
