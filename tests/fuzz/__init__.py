"""Random input for the functions that parse what comes from outside."""
