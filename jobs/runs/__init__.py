"""What is done with runs on a cluster."""
