"""One module a command: `add` says its words to argparse, `run` does it. Nothing else in `jobs` prints."""
