"""PaddleOCR's costly operators compiled: the same random draws and the same results, in a fraction of the time."""
