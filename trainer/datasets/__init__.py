"""Labelled images: label files, splits, dictionary, samples."""
