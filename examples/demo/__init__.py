"""The demonstration: generated pages, two job files and the driver of `make demo`."""
