"""What a run keeps so that it can resume: receipts, checkpoints, their mirror in the bucket, fencing."""
